"""The choice of backend: what was asked for by name is taken or is an error; `auto` takes the best that is here.

    auto on auto     tensorrt -> tensorrt_rtx -> onnxruntime on the GPU -> onnxruntime on the CPU
    auto on cuda     the same without the last
    a backend        on the GPU, and where it can run there, on the CPU

What was taken, and why nothing before it, is one line in the log `edgevae`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgevae.bundle import Bundle
from edgevae.engine.flavour import FLAVOURS
from edgevae.errors import InputError, UnavailableError
from edgevae.roles import Role
from edgevae.runtime.obstacles import find_gpu, obstacles
from edgevae.runtime.session import Session
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.spec import Precision

BACKENDS = ("tensorrt", "tensorrt_rtx", "onnxruntime", "onnxruntime_tensorrt")
"""Names that `backend=` takes beside `auto`; the last, ONNX Runtime's TensorRT provider, is taken by its name only."""

DEVICES = ("cpu", "cuda", "cuda:N")
"""Names that `device=` takes beside `auto`; `cuda` is the first GPU."""

_logger = logging.getLogger("edgevae")


@dataclass(frozen=True)
class Skipped:
    """A backend that was looked at and not taken."""

    name: str
    """Such as `tensorrt` or `onnxruntime on cuda:0`."""
    reason: str
    """Why, and what mends it."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What will run."""

    backend: str
    """One of `BACKENDS`."""
    device: str
    """`cpu` or `cuda:N`."""
    precision: Precision
    """Which graphs of the bundle."""
    skipped: tuple[Skipped, ...] = ()
    """What comes before it in the order and cannot run here."""

    @property
    def index(self) -> int:
        """The GPU's number."""
        return int(self.device.removeprefix("cuda:"))

    def __str__(self) -> str:
        return f"{self.backend} on {self.device}, {self.precision}"


def choose(bundle: Bundle, *, backend: str, device: str, precision: Precision | None) -> Choice:
    """Return which backend, device and precision will run.

    The precision is fp16 on a GPU and fp32 on a CPU, whose fp16 graphs run in fp32 arithmetic anyway, where the bundle
    has them and no other was asked for.

    Raises:
        InputError: the backend, device or precision has an unknown name, the pair is impossible, or the bundle lacks
            graphs.
        UnavailableError: nothing of what was asked for can run here; with the reason and what mends it.
    """
    wanted = _candidates(backend, device)
    if precision not in (None, "fp32", "fp16"):
        raise InputError(f"precision: got {precision!r}, expected fp32 or fp16")
    if not bundle.precisions:
        raise InputError(
            f"{bundle.path}: has no {' and '.join(bundle.roles)} of one precision; export it again"
        )
    skipped = list[Skipped]()
    for name, place in wanted:
        reason = why_not(name, place)
        if reason is None:
            choice = Choice(
                backend=name,
                device=place,
                precision=precision or _fastest(bundle.precisions, place),
                skipped=tuple(skipped),
            )
            _say(bundle.manifest.name, choice, asked_for=device)
            return choice
        skipped.append(Skipped(name if name in FLAVOURS else f"{name} on {place}", reason))
    if len(skipped) == 1:
        place = wanted[0][1]
        raise UnavailableError(f"backend={backend!r} device={place!r}: {skipped[0].reason}")
    raise UnavailableError(f"backend={backend!r} device={device!r}: {_reasons(skipped)}")


def why_not(backend: str, device: str) -> str | None:
    """Return why a backend cannot run on a device here and what mends it, or None where it can.

    Args:
        backend: One of `BACKENDS`.
        device: `cpu` or `cuda:N`.
    """
    return next(obstacles(backend, device), None)


def open_session(
    bundle: Bundle,
    role: Role,
    *,
    choice: Choice,
    threads: int | None = None,
    options: TensorRtOptions | None = None,
) -> Session:
    """Return a session for one graph of a bundle, after checking the graph's digest.

    Args:
        bundle: The model.
        role: Which of its graphs.
        choice: What runs it.
        threads: CPU threads of ONNX Runtime for one call.
        options: Of the TensorRT backends; the others have none.

    Raises:
        IntegrityError: the graph is not the one that was exported.
        UnavailableError: the backend does not come up on the device after all.
    """
    if choice.backend in FLAVOURS:
        from edgevae.runtime.tensorrt import open_tensorrt

        return open_tensorrt(
            bundle,
            role,
            backend=choice.backend,
            device=choice.index,
            precision=choice.precision,
            options=options,
        )
    graph = bundle.graph(role, choice.precision)
    model = bundle.read(graph.file)
    if choice.device == "cpu":
        from edgevae.runtime.onnxruntime import OnnxRuntimeSession

        return OnnxRuntimeSession(model, graph, threads=threads)
    from edgevae.runtime.onnxruntime_cuda import OnnxRuntimeCudaSession
    from edgevae.runtime.providers import PROVIDERS

    return OnnxRuntimeCudaSession(
        model, graph, provider=PROVIDERS[choice.backend], device=choice.index, threads=threads
    )


def _candidates(backend: str, device: str) -> list[tuple[str, str]]:
    """Return pairs of backend and device, the first choice first."""
    if backend not in ("auto", *BACKENDS):
        raise InputError(f"backend: got {backend!r}, expected one of auto, {', '.join(BACKENDS)}")
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise InputError(f"device: got {device!r}, expected one of auto, {', '.join(DEVICES)}")
    gpu = f"cuda:{int(match[1] or 0)}"
    names = (*FLAVOURS, "onnxruntime") if backend == "auto" else (backend,)
    pairs = [] if device == "cpu" else [(name, gpu) for name in names]
    if device in ("auto", "cpu") and "onnxruntime" in names:
        pairs.append(("onnxruntime", "cpu"))
    if not pairs:
        raise InputError(
            f"backend={backend!r} device={device!r}: {backend} needs an NVIDIA GPU; "
            "use --device cuda, or --backend onnxruntime"
        )
    return pairs


def _fastest(precisions: tuple[Precision, ...], device: str) -> Precision:
    best: Precision = "fp32" if device == "cpu" else "fp16"
    return best if best in precisions else precisions[0]


def _say(model: str, choice: Choice, *, asked_for: str) -> None:
    """Log what was taken; a warning where a GPU is here and is not used although nobody asked for the CPU."""
    why = f"; not {_reasons(choice.skipped)}" if choice.skipped else ""
    idle = choice.device == "cpu" and asked_for == "auto" and _has_gpu()
    _logger.log(logging.WARNING if idle else logging.INFO, "%s: %s%s", model, choice, why)


def _has_gpu() -> bool:
    try:
        find_gpu("cuda:0")
    except UnavailableError:
        return False
    return True


def _reasons(skipped: Sequence[Skipped]) -> str:
    """Return why each was skipped; what was skipped for one reason is named together."""
    names = dict[str, list[str]]()
    for one in skipped:
        names.setdefault(one.reason.removeprefix(f"{one.name}: "), []).append(one.name)
    return "; ".join(f"{', '.join(those)} ({reason})" for reason, those in names.items())
