"""An evaluation as text: for the terminal, and as Markdown for a model card."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from edgevae_bench.evaluation.comparisons import models_table, published_table, x264_table
from edgevae_bench.evaluation.result import Evaluation
from edgevae_bench.evaluation.tables import Table, changes_table, quality_table
from edgevae_bench.report import columns


def tables(evaluation: Evaluation, *, others: Sequence[Evaluation] = ()) -> tuple[Table, ...]:
    """Return all tables that the evaluation has figures for.

    Args:
        evaluation: Of one model.
        others: Of other models; those on the same frames are set beside it.
    """
    made = [
        *(quality_table(evaluation, protocol) for protocol in evaluation.protocols),
        changes_table(evaluation),
        *(x264_table(evaluation, protocol) for protocol in evaluation.protocols),
        models_table(evaluation, others),
        published_table(evaluation),
    ]
    return tuple(table for table in made if table is not None)


def to_text(evaluation: Evaluation) -> str:
    """Return the tables for a terminal."""
    model = evaluation.model
    lines = [
        f"model    {model.name}, {model.compression_ratio():g}:1, weights sha256 {model.model_sha256[:12]}",
        f"run in   {model.backend} on {model.device}, {model.precision}; edgevae {evaluation.versions['edgevae']}",
    ]
    for table in tables(evaluation):
        lines += ["", table.title, *columns(table.header, table.body, left=1), *table.notes]
    lines += ["", *(f"note: {note}" for note in evaluation.notes)] if evaluation.notes else []
    return "\n".join(lines)


def to_markdown(evaluation: Evaluation, *, others: Sequence[Evaluation] = ()) -> str:
    """Return the tables as Markdown, with how they were made; ends with a newline."""
    model = evaluation.model
    parts = [_method(evaluation)]
    parts += [_markdown(table) for table in tables(evaluation, others=others)]
    if evaluation.notes:
        parts.append("\n".join(f"- {note}" for note in evaluation.notes))
    parts.append(
        f"Weights and specification sha256 `{model.model_sha256[:16]}`; {_versions(evaluation)}."
    )
    return "\n\n".join(parts) + "\n"


def _method(evaluation: Evaluation) -> str:
    model = evaluation.model
    squares = [protocol for protocol in evaluation.protocols if protocol != "native"]
    cut = (
        f" At {', '.join(squares)}: shorter side resized to it (bicubic), then the centre."
        if squares
        else ""
    )
    return (
        f"Frames in RGB, 8 bit, through the runtime ({model.backend}, {model.device}, {model.precision}).{cut} "
        "Made by\n\n"
        f"```sh\n{_command(evaluation.command)}\n```"
    )


def _command(words: Sequence[str]) -> str:
    """Return the command line, broken where it would be too wide."""
    lines = [""]
    for word in (shlex.quote(word) for word in words):
        if len(lines[-1]) + len(word) > 100:
            lines.append(" ")
        lines[-1] += f" {word}" if lines[-1] else word
    return " \\\n".join(lines)


def _versions(evaluation: Evaluation) -> str:
    wanted = ("edgevae", "onnxruntime", "numpy", "scipy", "av", "pillow", "torch")
    known = evaluation.versions
    return ", ".join(f"{name} {known[name]}" for name in wanted if name in known)


def _markdown(table: Table) -> str:
    lines = [f"### {table.title}", "", _row(table.header), "|" + "---|" * len(table.header)]
    for cells in table.body:
        mean = cells[0] == "mean"
        lines.append(_row([f"**{cell}**" if mean else cell for cell in cells]))
    for note in table.notes:
        lines += ["", note]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
