"""`python -m edgevae_bench.gpu`: an error of ours is one line on stderr and its exit code."""

import sys

import click

from edgevae.errors import EdgeVaeError
from edgevae_bench.gpu.cli import command

try:
    command(prog_name="python -m edgevae_bench.gpu")
except EdgeVaeError as error:
    click.echo(f"edgevae: {error}", err=True)
    sys.exit(error.exit_code)
