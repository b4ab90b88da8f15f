"""A command that is started as `python -m edgevae_bench.NAME`."""

from __future__ import annotations

import sys

import click

from edgevae.errors import EdgeVaeError


def run(command: click.Command, *, name: str) -> None:
    """Run a command; an error of ours is one line on stderr and its exit code.

    Args:
        command: The command.
        name: What it is called in its help.
    """
    try:
        command(prog_name=f"python -m {name}")
    except EdgeVaeError as error:
        click.echo(f"edgevae: {error}", err=True)
        sys.exit(error.exit_code)
