"""What the options of `edgevae build` come to: sizes and settings of each engine, the GPU, the TensorRT."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgevae.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from edgevae.engine.build import BuildOptions
    from edgevae.engine.flavour import Flavour
    from edgevae.engine.profile import Profile

F = TypeVar("F", bound=Callable[..., Any])  # Any: click commands take whatever their options are

DEFAULT_SIZE = "360p"


def size_options(function: F) -> F:
    """Add --size, --one-engine, --min-shapes, --opt-shapes, --max-shapes, and the builder's settings."""
    options = (
        click.option(
            "--size",
            "sizes",
            multiple=True,
            metavar="SIZE",
            help="360p, 480p, 720p, 1080p, HxW or BxHxW; repeatable, each makes a static engine.  [default: 360p]",
        ),
        click.option(
            "--one-engine", is_flag=True, help="Put all sizes into one engine, as its profiles."
        ),
        click.option(
            "--min-shapes",
            metavar="BxHxW",
            help="Smallest size of an engine for a range of sizes.",
        ),
        click.option("--opt-shapes", metavar="BxHxW", help="The size that engine is fastest at."),
        click.option(
            "--max-shapes", metavar="BxHxW", help="Its largest size; memory is taken for it."
        ),
        click.option(
            "--workspace-mib",
            type=click.IntRange(min=1),
            help="Most device memory that a layer may use beside its tensors; by default TensorRT decides.",
        ),
        click.option(
            "--level",
            type=click.IntRange(0, 5),
            help="Builder optimization level, 0 (fast to build) to 5 (fast to run); by default TensorRT's.",
        ),
        click.option(
            "--version-compatible",
            is_flag=True,
            help="Later versions of TensorRT can run the engine.",
        ),
        click.option(
            "--hardware-compatible",
            is_flag=True,
            help="Every GPU from Ampere on can run the engine.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def wanted_engines(
    *,
    cell_px: int,
    only_px: int | None,
    sizes: Sequence[str],
    one_engine: bool,
    min_shapes: str | None,
    opt_shapes: str | None,
    max_shapes: str | None,
    **settings: Any,  # Any: those of BuildOptions that are not sizes
) -> list[BuildOptions]:
    """Return the options of each engine to build; sizes that are no whole latent cells are rounded up, saying so.

    A model of several senses has one size, the `only_px` of its windows on each side, and that is its default.

    Raises:
        InputError: a size is none or not the only one, or some of the three shapes are missing or out of order.
    """
    from edgevae.engine.build import BuildOptions
    from edgevae.engine.profile import Profile

    shapes = [text for text in (min_shapes, opt_shapes, max_shapes) if text is not None]
    if len(shapes) not in (0, 3):
        raise InputError(
            f"--min-shapes, --opt-shapes and --max-shapes: got {len(shapes)} of them, expected all three or none"
        )
    default = DEFAULT_SIZE if only_px is None else f"{only_px}x{only_px}"
    profiles = _static(sizes or (() if shapes else (default,)), cell_px=cell_px)
    if shapes:
        least, best, most = (profile.opt for profile in _static(shapes, cell_px=cell_px))
        profiles.append(Profile(min=least, opt=best, max=most))
    once = tuple(dict.fromkeys(profiles))
    if only_px is not None:
        _refuse_others(once, only_px)
    groups = [once] if one_engine else [(profile,) for profile in once]
    return [BuildOptions(profiles=group, **settings) for group in groups]


def _refuse_others(profiles: Sequence[Profile], side_px: int) -> None:
    """Refuse engines that no window of a model of several senses would be run by."""
    from edgevae.engine.profile import Size

    window = Size(height=side_px, width=side_px)
    for profile in profiles:
        if not profile.covers(window):
            raise InputError(
                f"size: got {profile}, but windows of a model of several senses have one size; leave it out, or give "
                f"{side_px}x{side_px}"
            )


def device_index(name: str) -> int:
    """Return the number of the GPU that --device names.

    Raises:
        InputError: it names no GPU.
    """
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None:
        raise InputError(
            f"device: got {name!r}, expected cuda or cuda:N; engines are built on a GPU"
        )
    return int(match[1] or 0)


def require_gpu(device: int) -> None:
    """Check that the GPU is there, before anything of TensorRT is touched.

    Raises:
        UnavailableError: no driver, no GPU, or none of this number.
    """
    from edgevae.cuda.probe import gpus

    found = gpus()
    if device not in [gpu.index for gpu in found]:
        have = ", ".join(f"cuda:{gpu.index} ({gpu.name})" for gpu in found)
        raise UnavailableError(f"device: got cuda:{device}, this machine has {have}")


def choose_flavour(backend: str, order: Sequence[str]) -> Flavour:
    """Return the TensorRT that was asked for, or the first in order that is here, saying why not those before it.

    Raises:
        UnavailableError: it is not installed, or none is.
    """
    from edgevae.engine.flavour import open_flavour

    if backend != "auto":
        return open_flavour(backend)
    reasons = list[str]()
    for name in order:
        try:
            flavour = open_flavour(name)
        except UnavailableError as error:
            reasons.append(str(error))
        else:
            why = f" ({'; '.join(reasons)})" if reasons else ""
            click.echo(f"building with {flavour}{why}", err=True)
            return flavour
    raise UnavailableError("; ".join(reasons))


def _static(sizes: Sequence[str], *, cell_px: int) -> list[Profile]:
    from edgevae.engine.profile import Profile, parse_size

    profiles = []
    for text in sizes:
        size = parse_size(text)
        fit = size.in_cells(cell_px)
        if fit != size:
            click.echo(
                f"{size} is built as {fit}: frames are padded to whole latent cells of {cell_px} pixels",
                err=True,
            )
        profiles.append(Profile.static(fit))
    return profiles
