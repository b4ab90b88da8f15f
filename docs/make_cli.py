"""Write docs/cli.md from the help of every command; `--check` only says whether it is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edgevae.cli import COMMANDS, group
from edgevae_bench.compare_cli import command as compare

TARGET = Path(__file__).parent / "cli.md"


def reference() -> str:
    """Return the whole page."""
    parts = [
        "# Command line\n",
        "Written by `make docs` from `--help`; do not edit.\n",
        _block("edgevae", group),
    ]
    context = click.Context(group, info_name="edgevae")
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None, "COMMANDS names only commands that exist"
        parts += [f"\n## edgevae {name}\n", _block(f"edgevae {name}", command)]
        if name == "benchmark":
            parts += [f"\n## edgevae {name} compare\n", _block(f"edgevae {name} compare", compare)]
    return "\n".join(parts)


def _block(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
    return f"```text\n{command.get_help(context)}\n```"


def main() -> None:
    """Write the page, or leave with 1 where it differs and `--check` is given."""
    text = reference()
    if "--check" in sys.argv[1:]:
        sys.exit(
            0
            if TARGET.is_file() and TARGET.read_text() == text
            else "docs/cli.md is stale: run `make docs`"
        )
    TARGET.write_text(text)


if __name__ == "__main__":
    main()
