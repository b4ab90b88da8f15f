"""The options of a command that writes report files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])  # Any: click fills in the arguments

_OPTIONS = (
    ("--report", "HTML", "Write a page with charts and pictures; one file that needs no network."),
    ("--markdown", "MD", "Write the tables as Markdown."),
    ("--csv", "CSV", "Write one table of all latencies, with quality and cost beside them."),
)


def report_options(function: Function) -> Function:
    """Add `--report`, `--markdown` and `--csv` to a command: `report`, `markdown` and `csv`, each a path or None."""
    for name, kind, text in reversed(_OPTIONS):
        option = click.option(name, metavar=kind, type=click.Path(path_type=Path), help=text)
        function = option(function)
    return function
