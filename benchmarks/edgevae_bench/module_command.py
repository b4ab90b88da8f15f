"""A command that is started as `python -m edgevae_bench.NAME`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edgevae.errors import EdgeVaeError, InputError


def run(command: click.Command, *, name: str) -> None:
    """Run a command; an error of ours, or of the system, is one line on stderr and its exit code.

    Args:
        command: The command.
        name: What it is called in its help.
    """
    try:
        command(prog_name=f"python -m {name}")
    except EdgeVaeError as error:
        click.echo(f"edgevae: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        where, what = error.filename or "system", error.strerror
        click.echo(f"edgevae: {where}: {what}; check the path, permissions and space", err=True)
        sys.exit(1)


def check_outputs(*paths: Path | None, picture: Path | None = None) -> None:
    """Refuse files that cannot be written before the minutes that their content takes.

    Args:
        paths: What is to be written; None is nothing.
        picture: A PNG that is to be written.

    Raises:
        InputError: one is a folder or has no folder to be in, or the picture is no .png.
    """
    for path in (*paths, picture):
        if path is not None and path.is_dir():
            raise InputError(f"{path}: is a folder, expected the name of a file to write")
        if path is not None and not path.parent.is_dir():
            raise InputError(f"{path}: its folder {path.parent} does not exist; make it first")
    if picture is not None and picture.suffix.lower() != ".png":
        raise InputError(f"{picture}: got {picture.suffix or 'no extension'}, expected .png")
