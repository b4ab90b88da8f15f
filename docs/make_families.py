"""Write the tables of docs/foreign.md from docs/families.json and benchmarks/results/foreign; `--check` compares only.

`make families` and `make full-size` measure the JSON again. Nothing in the tables is typed.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import make_results  # beside this script

from edgevae.errors import EdgeVaeError
from edgevae.files import write_atomically
from edgevae_bench.page.markdown import escape, table
from edgevae_bench.page.view import Table
from edgevae_export.diffusers.survey import Exported, Family, Parity, Survey, read

DOCS = Path(__file__).parent
PAGE, SURVEY = DOCS / "foreign.md", DOCS / "families.json"
FULL_SIZE = DOCS.parent / "benchmarks" / "results" / "foreign"
FIGURES = re.compile(r"(<!-- full size: [^>]*-->\n).*?(<!-- end of full size -->)", re.DOTALL)
BLOCK = re.compile(r"(<!-- families: [^>]*-->\n).*?(<!-- end of families -->)", re.DOTALL)
HEADER = (
    "family",
    "models",
    "exports",
    "diffusers' whole clip",
    "ONNX Runtime fp32",
    "fp16",
    "TensorRT",
    "streams",
    "tiles",
)


def block(survey: Survey) -> str:
    """Return the text between the marks in the page."""
    caption = (
        f"Small models of each family's structure with random weights, by edgevae {survey.edgevae} and diffusers "
        f"{survey.diffusers}. Parity: the largest difference to PyTorch in float32 on real frames, noise, black and "
        "white, of latents and, in levels of 255, of frames; the least PSNR between the frames."
    )
    rows = tuple(map(_row, survey.families))
    data = Table(caption=caption, header=HEADER, rows=rows, text_columns=len(HEADER))
    return table(data) + "\n\n"


def full_size() -> str:
    """Return the text between the marks of the benchmarks' results."""
    results, unread = make_results.read(FULL_SIZE)
    found = [one for result in results.values() for one in make_results.measured(result)]
    parts = [table(make_results.results_table(found))] if found else ["Nothing is measured yet."]
    for name, result in results.items():
        warnings = "".join(f" Warning: {escape(warning)}." for warning in result.warnings)
        command = shlex.join(result.command)
        parts.append(f"`benchmarks/results/foreign/{name}` was made by `{command}`.{warnings}")
    parts += [f"`{name}` is of an older version and not shown; measure again." for name in unread]
    return "\n\n".join(parts) + "\n\n"


def _row(family: Family) -> tuple[str, ...]:
    if family.exported is None:
        return (family.class_name, "", f"no: {family.refused}", *("-",) * 6)
    one = family.exported
    kept = f"; {one.half_kept_layers} layers in float32" if one.half_kept_layers else ""
    return (
        family.class_name,
        family.models,
        "yes",
        _parity(one.library),
        _parity(one.onnxruntime),
        _parity(one.half) + kept,
        one.tensorrt,
        _streams(one),
        _tiles(one),
    )


def _parity(parity: Parity) -> str:
    psnr = "equal" if parity.frames_psnr_dB is None else f"{parity.frames_psnr_dB:.1f} dB"
    levels = f"{parity.frames_levels:.0f} level{'s' if parity.frames_levels != 1 else ''}"
    return f"{parity.latents:.0e}, {levels}, {psnr}"


def _streams(one: Exported) -> str:
    if not one.state_tensors:
        return "picture by picture"
    first = f"{one.temporal_factor - one.lead_frames} + " if one.lead_frames else ""
    return f"{first}{one.temporal_factor}k frames, {one.state_tensors} caches"


def _tiles(one: Exported) -> str:
    if one.encoder_halo_px is None or one.decoder_halo_px is None:
        return "feathered"
    return f"exact ({one.encoder_halo_px} px in, {one.decoder_halo_px} px out)"


def main() -> None:
    """Write the page, or leave with 1 where it differs and `--check` is given."""
    try:
        texts = {BLOCK: block(read(SURVEY)), FIGURES: full_size()}
    except EdgeVaeError as error:
        sys.exit(f"{error}: run `make families`")
    page = new = PAGE.read_text(encoding="utf-8")
    for marks, text in texts.items():
        new, count = marks.subn(lambda match, text=text: match[1] + text + match[2], new)
        if not count:
            sys.exit(f"{PAGE.name} has no marks like {marks.pattern}")
    if "--check" in sys.argv[1:]:
        sys.exit(0 if new == page else f"docs/{PAGE.name} is stale: run `make docs`")
    write_atomically(PAGE, new.encode())


if __name__ == "__main__":
    main()
