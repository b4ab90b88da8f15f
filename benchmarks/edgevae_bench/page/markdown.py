"""A result as Markdown, for an issue or a README: the same tables as the page, without charts and pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgevae_bench.page.view import Fact, Table, View, kept

_SPECIAL = re.compile(r"([\\`*\[\]<>|#&~]|(?<!\w)_|_(?!\w))")


def to_markdown(view: View) -> str:
    """Return the page as GitHub-flavoured Markdown; names from files and machines are escaped."""
    parts = [
        f"# {escape(view.title)}",
        escape(view.subtitle),
        _list(
            f"**{escape(h.figure)}** {escape(h.label)}: {escape(h.detail)}" for h in view.headlines
        ),
        f"## Gates: {kept(view.verdicts)}" if view.verdicts else "",
        _list(f"{'kept' if v.passed else '**missed**'}: {escape(v.text)}" for v in view.verdicts),
        "## Before you believe the figures" if view.warnings or view.absent else "",
        _list([*map(escape, view.warnings), *map(_fact, view.absent)]),
        "## Figures",
        *map(table, view.tables),
        "## To repeat it",
        _code(view.command),
        _list(map(_fact, view.method)),
        "## Machine",
        _list(map(_fact, view.machine)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(data: Table) -> str:
    """Return a table under its caption, numbers on the right."""
    count = len(data.header)
    rule = ["---" if index < data.text_columns else "---:" for index in range(count)]
    lines = [_row(map(escape, data.header)), _row(rule)]
    lines += [_row(map(escape, row)) for row in data.rows]
    return f"{escape(data.caption)}\n\n" + "\n".join(lines)


def escape(text: str) -> str:
    """Return text that Markdown and HTML show as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _fact(fact: Fact) -> str:
    return f"{escape(fact.name)}: {escape(fact.value)}"


def _code(text: str) -> str:
    """Return a code block whose fence is longer than any row of backticks inside."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}"
