"""Write the figures of README.md and docs/results.svg from benchmarks/results; `--check` only says if they differ.

Nothing in them is typed. A result of an older schema cannot be read any more and is named as such.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from edgevae.errors import IncompatibleError
from edgevae_bench.document import read_json
from edgevae_bench.page.arrange import arrange
from edgevae_bench.page.charts import bars
from edgevae_bench.page.markdown import escape, table
from edgevae_bench.page.scale import number
from edgevae_bench.page.view import Bar, BarChart, Part, Table
from edgevae_bench.result import SCHEMA, LatencyRow, Result
from edgevae_bench.work import Case

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
README, PICTURE = ROOT / "README.md", ROOT / "docs" / "results.svg"
BLOCK = re.compile(r"(<!-- results: [^>]*-->\n).*?(<!-- end of results -->)", re.DOTALL)

WIDTH_PX, MARGIN_PX, HEADING_PX = 720, 16, 28
STYLE = """
svg { color-scheme: light dark; font: 12px system-ui, sans-serif; fill: #1c1e22 }
.heading { font-weight: 600; font-size: 14px } .name { font-weight: 600 } .tick { fill: #5b6068 }
.grid { stroke: #dcdcd6 } .bar { fill: #1b66c9 }
@media (prefers-color-scheme: dark) {
  svg { fill: #e8e9eb } .tick { fill: #a3a9b3 } .grid { stroke: #343943 } .bar { fill: #6cb4ee }
}
"""


@dataclass(frozen=True)
class Measured:
    """One subject on one machine at one size."""

    machine: str
    case: Case
    subject: str
    rows: dict[str, LatencyRow]
    result: Result


def block(results: dict[str, Result], unread: list[str]) -> str:
    """Return the text between the marks in the README.

    Args:
        results: By the name of their file.
        unread: Names of files of an older schema.
    """
    found = [one for result in results.values() for one in measured(result)]
    parts = []
    if found:
        parts = [
            "![round trips a second of every subject](docs/results.svg)",
            table(results_table(found)),
        ]
    parts += [
        f"`benchmarks/results/{name}` was made by `{shlex.join(result.command)}`."
        + "".join(f" Warning: {escape(warning)}." for warning in result.warnings)
        for name, result in results.items()
    ]
    parts += [
        f"`benchmarks/results/{name}` is of an older version and not shown; measure again."
        for name in unread
    ]
    return "\n\n".join(parts or ["Nothing is measured yet."]) + "\n\n"


def measured(result: Result) -> list[Measured]:
    """Return every subject at every size that was timed at the boundary call with arrays on the host."""
    machine = result.environment
    name = machine.cpu_name if machine.gpu is None else machine.gpu.name
    grouped: dict[tuple[Case, str], dict[str, LatencyRow]] = {}
    for row in result.latency:
        if (row.work.boundary, row.work.arrays) == ("call", "host"):
            grouped.setdefault((row.work.case, row.subject), {})[row.work.operation] = row
    return [
        Measured(name, case, subject, rows, result) for (case, subject), rows in grouped.items()
    ]


def picture(results: dict[str, Result]) -> str:
    """Return the bars of all results as one SVG that follows the reader's colour scheme."""
    root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})
    ElementTree.SubElement(root, "title").text = "Frames a second of a round trip, by subject"
    ElementTree.SubElement(root, "style").text = STYLE
    top = MARGIN_PX
    for result in results.values():
        for title, drawing in _charts(result):
            place = {"class": "heading", "x": str(MARGIN_PX), "y": str(top + 14)}
            ElementTree.SubElement(root, "text", place).text = title
            top += HEADING_PX
            drawing.attrib |= {
                "x": str(MARGIN_PX),
                "y": str(top),
                "width": str(WIDTH_PX - 2 * MARGIN_PX),
            }
            root.append(drawing)
            top += int(float(drawing.attrib["height"])) + MARGIN_PX
    root.attrib |= {"viewBox": f"0 0 {WIDTH_PX} {top}", "width": str(WIDTH_PX), "height": str(top)}
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _charts(result: Result) -> list[tuple[str, ElementTree.Element]]:
    found = []
    subjects = arrange(result, {}).subjects
    for case in result.settings.cases:
        rows = [one for one in measured(result) if one.case == case and "round_trip" in one.rows]
        if not rows:
            continue
        parts = {
            one.subject: Part(label="", value=one.rows["round_trip"].frames_per_s) for one in rows
        }
        shown = BarChart(
            title="Round trip",
            text="",
            unit="frames/s",
            bars=tuple(Bar(subject=name, parts=(part,)) for name, part in parts.items()),
        )
        batch = f", batch {case.batch_clips}" if case.batch_clips > 1 else ""
        title = f"{result.model.name}, {rows[0].machine}, {case.width_px}x{case.height_px}{batch}"
        found.append((title, ElementTree.fromstring(bars.chart(shown, subjects).drawing)))
    return found


def results_table(found: list[Measured]) -> Table:
    """Return the figures of all subjects."""
    header = (
        "model",
        "machine",
        "size",
        "subject",
        "encode ms",
        "decode ms",
        "frames/s",
        "over PyTorch",
    )
    return Table(
        caption="Boundary call: arrays in host memory in and out. Medians; frames of a round trip a second.",
        header=(*header, "PSNR dB", "peak MiB"),
        rows=tuple(map(_cells, found)),
        text_columns=4,
    )


def _cells(one: Measured) -> tuple[str, ...]:
    batch = f", batch {one.case.batch_clips}" if one.case.batch_clips > 1 else ""
    trip = one.rows.get("round_trip")
    ratios = {} if trip is None else trip.speedup_ratios
    others = [(ratio, name) for name, ratio in ratios.items() if name != one.subject]
    claim = "-"
    if others:
        ratio, name = min(others)  # against the fastest of them
        claim = f"{ratio:.2f}x {name.removeprefix('pytorch_')}"
    psnr = [
        row.quality.psnr_db
        for row in one.result.quality
        if (row.subject, row.case, row.against) == (one.subject, one.case, "source")
    ]
    cost = [
        row.cost.device_peak_bytes or row.cost.peak_rss_bytes
        for row in one.result.subjects
        if (row.subject.name, row.case) == (one.subject, one.case) and row.cost is not None
    ]
    return (
        one.result.model.name,
        one.machine,
        f"{one.case.width_px}x{one.case.height_px}{batch}",
        one.subject,
        *(
            number(one.rows[name].latency.median_ms) if name in one.rows else "-"
            for name in ("encode", "decode")
        ),
        "-" if trip is None else number(trip.frames_per_s),
        claim,
        f"{psnr[0]:.2f}" if psnr and psnr[0] is not None else "-",
        number(cost[0] / 2**20) if cost and cost[0] is not None else "-",
    )


def read(folder: Path) -> tuple[dict[str, Result], list[str]]:
    """Return the benchmark's results of a folder by file name, and the names of those of an older schema.

    Other documents, such as those of `edgevae evaluate`, are not the README's.
    """
    results, unread = {}, []
    for path in sorted(folder.glob("*.json")):
        if json.loads(path.read_text(encoding="utf-8")).get("schema") != SCHEMA:
            continue
        try:
            results[path.name] = read_json(path)
        except IncompatibleError:
            unread.append(path.name)
    return results, unread


def main() -> None:
    """Write README and picture, or leave with 1 where one differs and `--check` is given."""
    results, unread = read(RESULTS)
    text = block(results, unread)
    readme = README.read_text(encoding="utf-8")
    if not BLOCK.search(readme):
        sys.exit("README.md has no marks for the results")
    new = {README: BLOCK.sub(lambda match: match[1] + text + match[2], readme)}
    new[PICTURE] = picture(results)
    if "--check" in sys.argv[1:]:
        stale = [
            p.name for p, t in new.items() if not p.is_file() or p.read_text(encoding="utf-8") != t
        ]
        sys.exit(f"{', '.join(stale)}: stale, run `make docs`" if stale else 0)
    for path, content in new.items():
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
