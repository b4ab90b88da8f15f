"""Options of `edgevae benchmark`, and values that the command line checks itself."""

from __future__ import annotations

import re
from pathlib import Path

import click

from edgevae.errors import InputError

_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")

SWEEP = (
    click.option(
        "--backend",
        "backends",
        metavar="NAME",
        multiple=True,
        default=("auto",),
        help="auto (the runtime's choice), all, or: onnxruntime, onnxruntime_tensorrt, tensorrt, tensorrt_rtx (these "
        "two also with _no_graph), openvino, pytorch_eager, pytorch_channels_last, pytorch_compile, "
        "pytorch_compile_graphs, pytorch_diffusers; repeatable.",
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    click.option(
        "--precision",
        "precisions",
        metavar="NAME",
        multiple=True,
        help="fp32, fp16, bf16; repeatable; by default what suits the device.",
    ),
    click.option(
        "--size",
        "sizes",
        metavar="WxH",
        multiple=True,
        help="Resize the frames first, for example to 640x360; repeatable.",
    ),
    click.option(
        "--batch",
        "batches",
        type=click.IntRange(min=1),
        multiple=True,
        default=(1,),
        help="Clips side by side in one call; repeatable.",
    ),
    click.option(
        "--boundary",
        "boundaries",
        type=click.Choice(["graph", "call", "stream", "file"]),
        multiple=True,
        help="Where the clock starts and stops; repeatable; by default all.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="CPU threads; by default one per physical core.",
    ),
    click.option(
        "--frames",
        type=click.IntRange(min=0),
        default=64,
        show_default=True,
        help="Frames to compare; 0 is all.",
    ),
    click.option(
        "--rounds",
        type=click.IntRange(min=1),
        help="Turns of each subject; by default as many as the percentile needs.",
    ),
    click.option(
        "--starts",
        type=click.IntRange(min=1),
        help="Processes of each subject, which share its rounds; by default 3; for `compare` 8 or more.",
    ),
    click.option(
        "--chunks",
        "max_chunks",
        type=click.IntRange(min=2),
        default=8,
        show_default=True,
        help="Chunks of a turn, at most; an even number.",
    ),
    click.option(
        "--percentile",
        type=click.Choice(["50", "90", "95", "99"]),
        help="The highest that is wanted: decides the rounds; by default 90, with --max-p99-ms 99.",
    ),
    click.option(
        "--seed",
        type=int,
        default=0,
        show_default=True,
        help="Of the order in which subjects take turns.",
    ),
    click.option(
        "--in-turns/--one-by-one",
        "is_interleaved",
        default=None,
        help="All subjects open at once, or one; by default one where GPU and CPU share their memory (Jetson).",
    ),
    click.option(
        "--min-psnr", type=float, metavar="DB", help="Gate: least PSNR against the source."
    ),
    click.option(
        "--max-p99-ms", type=float, metavar="MS", help="Gate: longest 99th percentile of a call."
    ),
)
"""What is measured, and how, and what it must reach."""


def size_of(text: str) -> tuple[int, int]:
    """Return (H, W) of `WxH`.

    Raises:
        InputError: it is no size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InputError(
            f"--size: got {text!r}, expected width and height in pixels, for example 640x360"
        )
    return int(match[2]), int(match[1])


def require_place(path: Path | None, option: str, *, suffix: str) -> None:
    """Refuse before the measuring, not after it, a file that could not be written.

    Raises:
        InputError: it could not be.
    """
    if path is None:
        return
    if path.suffix.lower() != suffix:
        raise InputError(f"{option}: got {path}, expected a file that ends in {suffix}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InputError(f"{option}: cannot write {path}; expected a file in a folder that exists")
