"""`edgevae benchmark compare`: two results, before and after."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgevae.cli.options import json_option

if TYPE_CHECKING:
    from edgevae_bench.compare import Comparison


ADVICE = "their starts are too few; measure both with --starts 8 or more"


@click.command(
    epilog="\b\nExample:\n  edgevae benchmark compare before.json after.json --fail-if-slower"
)
@click.argument("before", metavar="BEFORE.json", type=click.Path(path_type=Path))
@click.argument("after", metavar="AFTER.json", type=click.Path(path_type=Path))
@click.option(
    "--fail-if-slower", is_flag=True, help="Exit code 3 where a backend of edgevae's is slower."
)
@json_option
def command(before: Path, after: Path, fail_if_slower: bool, as_json: bool) -> None:
    """Say which figures of AFTER differ from BEFORE's by more than the noise of the two runs.

    Each is what `edgevae benchmark -o` wrote, with its .samples.jsonl beside it. A row is called different where the
    interval of its ratio, from the spread of the starts of its process, lies wholly beyond 1 %; PyTorch and peers are
    the control: where they moved alike, the machine did.
    """
    from edgevae.errors import GateError, IncompatibleError
    from edgevae.strict import to_dict
    from edgevae_bench import document
    from edgevae_bench.compare import compare

    results = [document.read_with_samples(path) for path in (before, after)]
    found = compare(results[0], results[1])
    if not as_json:
        click.echo("\n".join(_lines(found)) + "\n")
    click.echo(json.dumps(to_dict(found)))
    own = {row.subject.name for row in results[1][0].subjects if row.subject.kind == "runtime"}
    judged = [c for c in found.changes if c.key.subject in own]
    if fail_if_slower and all(c.low_ratio is None for c in judged):
        raise IncompatibleError(
            f"compare: --fail-if-slower: of {len(judged)} rows of ours none could be told slower, {ADVICE}"
        )
    slower = [c.key for c in judged if c.verdict == "slower"]
    if fail_if_slower and slower:
        from edgevae_bench.compare import name

        raise GateError(f"compare: slower: {', '.join(map(name, slower))}")


def _lines(found: Comparison) -> list[str]:
    from edgevae_bench.report import columns

    header = (
        "subject",
        "case",
        "work",
        "before ms",
        "after ms",
        "change",
        "interval",
        "others",
        "verdict",
    )
    body = [
        (
            c.key.subject,
            c.key.case,
            f"{c.key.boundary}/{c.key.arrays} {c.key.operation}",
            f"{c.before_ms:.4g}",
            f"{c.after_ms:.4g}",
            f"{100 * (c.ratio - 1):+.1f} %",
            _interval(c.low_ratio, c.high_ratio),
            "-" if c.control_ratio is None else f"{100 * (c.control_ratio - 1):+.1f} %",
            c.verdict,
        )
        for c in found.changes
    ]
    lines = [f"differs: {text}" for text in found.differences]
    lines += [f"only before: {text}" for text in found.only_before]
    lines += [f"only after: {text}" for text in found.only_after]
    changed = sum(c.verdict in ("faster", "slower") for c in found.changes)
    short = sum(c.low_ratio is None for c in found.changes)
    last = f"{changed} of {len(body)} rows differ"
    if short:
        last += f", of {short} no difference could be told, {ADVICE}"
    return [*lines, *columns(header, body, left=3), last]


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "-"
    return f"{100 * (low - 1):+.1f} .. {100 * (high - 1):+.1f} %"
