"""The command line: a group that imports a command's stage only when the command is called."""

from __future__ import annotations

import importlib
import logging
import sys

import click

from edgevae.errors import EdgeVaeError
from edgevae.version import __version__

COMMANDS = {
    "train": (
        "edgevae.cli.train:command",
        "Train a VAE on a folder of clips or images, or on built-in data.",
    ),
    "export": (
        "edgevae_export.cli:command",
        "Write a checkpoint as a bundle of ONNX graphs, checked against PyTorch.",
    ),
    "import": (
        "edgevae_export.import_command:command",
        "Write two ONNX files of somebody else as a bundle, checked against what they give.",
    ),
    "debug-precision": (
        "edgevae_export.debug_command:command",
        "Say layer by layer what float16 does to a network, and where it goes wrong first.",
    ),
    "build": (
        "edgevae.cli.build:command",
        "Build TensorRT engines of a bundle for this machine's GPU, and keep them in the cache.",
    ),
    "info": ("edgevae.cli.info:command", "Show what a bundle or checkpoint holds."),
    "encode": ("edgevae.cli.encode:command", "Encode a clip to a latents file."),
    "decode": ("edgevae.cli.decode:command", "Decode a latents file to a clip."),
    "reconstruct": (
        "edgevae.cli.reconstruct:command",
        "Encode and decode a clip, to see what a model keeps.",
    ),
    "predict": ("edgevae.cli.predict:command", "Continue a clip: the frames that come after it."),
    "generate": ("edgevae.cli.generate:command", "Make clips out of noise."),
    "translate": (
        "edgevae.cli.translate:command",
        "Fill in a sense of a clip out of others: video, sound, tracks, another camera.",
    ),
    "benchmark": (
        "edgevae_bench.cli:command",
        "Measure speed and quality, against PyTorch where a checkpoint is given.",
    ),
    "evaluate": (
        "edgevae_bench.evaluation.cli:command",
        "Measure how faithful a model is on clips, also beside x264; the figures of its card.",
    ),
    "doctor": (
        "edgevae.cli.doctor:command",
        "Say which backends can run here, and what to install for the others.",
    ),
}
"""Where each command is, and its line in the list; the line stands here so that listing imports nothing."""

EXIT_CODES = """\b
Exit codes:
  0  done
  1  failed while running
  2  an argument, file or array cannot be used as given
  3  a graph does not agree with its reference, or a benchmark misses a gate
  4  a bundle, latents file or engine is stale, damaged or made for something else
  5  a device, provider or optional package is not here
"""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing its file, or None where there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="edgevae")
@click.option(
    "-v",
    "--verbose",
    count=True,
    help="Say on stderr which backend was taken and why; twice: also what TensorRT says.",
)
def group(verbose: int) -> None:
    """Variational autoencoders for images and video, from PyTorch to the device."""
    _log_to_stderr((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])


class _Stderr(logging.Handler):
    """Writes a record as one line, like an error of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it to whatever stderr is now."""
        click.echo(f"edgevae: {self.format(record)}", err=True)


def _log_to_stderr(level: int) -> None:
    """Show the log of edgevae, and nobody else's, from a level on; warnings are always shown."""
    logger = logging.getLogger("edgevae")
    logger.setLevel(level)
    logger.handlers = [_Stderr()]
    logger.propagate = False


def main() -> None:
    """Run the command line; an error of ours becomes one line on stderr and its exit code."""
    try:
        # Without standalone mode click returns the code of an early exit, as of --help.
        sys.exit(group.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("edgevae: interrupted; nothing was left half-written", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; a second complaint would go nowhere
        sys.exit(1)
    except EdgeVaeError as error:
        click.echo(f"edgevae: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        click.echo(
            f"edgevae: {error.filename or 'system'}: {error.strerror}; check the path, permissions and space",
            err=True,
        )
        sys.exit(1)
