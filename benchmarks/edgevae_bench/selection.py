"""Which subjects are measured: names that the user gave, spelled out for a device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast, get_args

from edgevae.bundle import Bundle
from edgevae.errors import InputError
from edgevae.runtime.backends import BACKENDS as RUNTIME_BACKENDS
from edgevae.runtime.backends import choose
from edgevae_bench.checkpoint import is_of_diffusers
from edgevae_bench.plan import Plan
from edgevae_bench.subjects import Kind, Subject
from edgevae_bench.work import Arithmetic


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One name that can be asked for."""

    kind: Kind
    """Of its subjects."""
    runs: str
    """The runtime's backend, or the variant of PyTorch."""
    precisions: dict[str, tuple[Arithmetic, ...]]
    """By kind of device: what it can compute in, the usual ones."""
    cuda_graph: bool | None = None
    """TensorRT: whether calls are replayed."""
    extra: tuple[Arithmetic, ...] = field(default=())
    """What it can compute in besides, where the user asks for it."""


DIFFUSERS = "pytorch_diffusers"
"""diffusers' own calls, which are one picture each."""

_TORCH: dict[str, tuple[Arithmetic, ...]] = {"cpu": ("fp32",), "cuda": ("fp16",)}
_TENSORRT: dict[str, tuple[Arithmetic, ...]] = {"cuda": ("fp16",)}

BACKENDS = {
    "pytorch_eager": Backend(kind="pytorch", runs="eager", precisions=_TORCH),
    "pytorch_channels_last": Backend(kind="pytorch", runs="channels_last", precisions=_TORCH),
    "pytorch_compile": Backend(kind="pytorch", runs="compile", precisions=_TORCH),
    "pytorch_compile_graphs": Backend(
        kind="pytorch", runs="compile_graphs", precisions={"cuda": ("fp16",)}
    ),
    DIFFUSERS: Backend(kind="pytorch", runs="diffusers", precisions=_TORCH),
    "onnxruntime": Backend(kind="runtime", runs="onnxruntime", precisions=_TORCH, extra=("fp16",)),
    "onnxruntime_tensorrt": Backend(
        kind="runtime", runs="onnxruntime_tensorrt", precisions=_TENSORRT
    ),
    "openvino": Backend(kind="peer", runs="openvino", precisions={"cpu": ("fp32", "bf16")}),
    "tensorrt": Backend(kind="runtime", runs="tensorrt", precisions=_TENSORRT, cuda_graph=True),
    "tensorrt_no_graph": Backend(
        kind="runtime", runs="tensorrt", precisions=_TENSORRT, cuda_graph=False
    ),
    "tensorrt_rtx": Backend(
        kind="runtime", runs="tensorrt_rtx", precisions=_TENSORRT, cuda_graph=True
    ),
    "tensorrt_rtx_no_graph": Backend(
        kind="runtime", runs="tensorrt_rtx", precisions=_TENSORRT, cuda_graph=False
    ),
}
"""What can be asked for by name; the order is that of the report."""

BESIDE = ("pytorch_eager", "pytorch_channels_last", DIFFUSERS)
"""What a checkpoint is measured in where no backend of PyTorch was asked for."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The subjects of every case."""

    subjects: tuple[Subject, ...]
    """The reference first, where there is a checkpoint."""
    named: frozenset[str]
    """Subjects that were asked for by name: where one cannot be had, that is an error. Of a backend that was named
    without a precision, the first that is usual."""


def select(plan: Plan) -> Selection:
    """Return the subjects of a plan.

    Raises:
        InputError: an unknown name, a precision that a backend has not, PyTorch without a checkpoint, or no backend of
            edgevae's own.
        UnavailableError: the device or, for `auto`, every backend is not here.
    """
    bundle = Bundle.open(plan.bundle)
    _require_known(plan, bundle)
    device, own = _resolve(plan, bundle)
    subjects: dict[str, Subject] = {}
    named = set[str]()
    for name in _names(plan, bundle, own, device):
        for precision in _precisions(plan, name, device):
            subject = _subject(plan, bundle, name, precision, device)
            subjects[subject.name] = subject
            if (name in plan.backends or (name == own and "auto" in plan.backends)) and (
                precision in plan.precisions or precision == _usual(name, device)[0]
            ):
                named.add(subject.name)
    if not subjects:
        raise InputError(
            f"--precision: none of the backends computes in {', '.join(plan.precisions)} on {device}"
        )
    return Selection(subjects=tuple(subjects.values()), named=frozenset(named))


def _require_known(plan: Plan, bundle: Bundle) -> None:
    for name in plan.backends:
        if name not in (*BACKENDS, "auto", "all"):
            known = ", ".join(("auto", "all", *BACKENDS))
            raise InputError(f"--backend: got {name!r}, expected one of {known}")
        if name.startswith("pytorch") and plan.checkpoint is None:
            raise InputError(
                f"--backend {name}: needs the checkpoint that MODEL was exported from; give --against"
            )
        if name == DIFFUSERS and not _has_own_calls(plan, bundle):
            raise InputError(
                f"--backend {name}: {plan.checkpoint} is no model of diffusers that codes pictures; leave it out"
            )
    if not any(n in ("auto", "all") or BACKENDS[n].kind == "runtime" for n in plan.backends):
        raise InputError(
            f"--backend {', '.join(plan.backends)}: none of edgevae's own backends is among them; add auto"
        )
    for precision in plan.precisions:
        if precision not in get_args(Arithmetic):
            known = ", ".join(get_args(Arithmetic))
            raise InputError(f"--precision: got {precision!r}, expected one of {known}")


def _has_own_calls(plan: Plan, bundle: Bundle) -> bool:
    """Return whether the checkpoint's own library can be called chunk by chunk, as the others are."""
    pictures = bundle.manifest.graphs[0].chunk_frames == 1
    return pictures and plan.checkpoint is not None and is_of_diffusers(plan.checkpoint)


def _resolve(plan: Plan, bundle: Bundle) -> tuple[str, str]:
    """Return the device, and the backend that the runtime chooses on it by itself."""
    wanted = [
        BACKENDS[n].runs for n in plan.backends if n in BACKENDS and BACKENDS[n].kind == "runtime"
    ]
    auto = "auto" in plan.backends or "all" in plan.backends or not wanted
    choice = choose(
        bundle, backend="auto" if auto else wanted[0], device=plan.device, precision=None
    )
    assert choice.backend in RUNTIME_BACKENDS, "every backend of the runtime has a row in the table"
    return choice.device, choice.backend


def _names(plan: Plan, bundle: Bundle, own: str, device: str) -> Iterator[str]:
    """Yield the names of the backends, in the order of the table."""
    kind = device.partition(":")[0]
    asked = {own if name == "auto" else name for name in plan.backends}
    torch_asked = any(name.startswith("pytorch") for name in asked)
    for name, backend in BACKENDS.items():
        everything = "all" in asked and kind in backend.precisions
        beside = name in BESIDE and not torch_asked
        if backend.kind == "pytorch":
            wanted = plan.checkpoint is not None and (everything or beside or name in asked)
            # The reference of quality, whatever else of PyTorch is asked for.
            wanted = wanted or (plan.checkpoint is not None and name == "pytorch_eager")
            wanted = wanted and (name != DIFFUSERS or _has_own_calls(plan, bundle))
        else:
            wanted = everything or name in asked
        if wanted:
            yield name


def _precisions(plan: Plan, name: str, device: str) -> tuple[Arithmetic, ...]:
    """Return the precisions of one backend."""
    backend, kind = BACKENDS[name], device.partition(":")[0]
    usual = _usual(name, device)
    if backend.kind == "pytorch":
        able: tuple[Arithmetic, ...] = ("fp32", "fp16") if kind == "cuda" else ("fp32",)
    else:
        on_gpu: tuple[Arithmetic, ...] = ("fp32",) if kind == "cuda" else ()
        able = tuple(dict.fromkeys((*usual, *backend.extra, *on_gpu)))
    asked = cast("tuple[Arithmetic, ...]", plan.precisions)
    taken = tuple(p for p in asked if p in able) if asked else usual
    if not taken and name in plan.backends:
        raise InputError(
            f"--backend {name}: computes in {', '.join(able)}, not in {', '.join(asked)}"
        )
    if name == "pytorch_eager":  # the reference
        taken = tuple(dict.fromkeys(("fp32", *(p for p in taken if name in plan.backends))))
    return taken


def _usual(name: str, device: str) -> tuple[Arithmetic, ...]:
    """Return the precisions of one backend where none was asked for."""
    usual = BACKENDS[name].precisions.get(device.partition(":")[0])
    if usual is None:
        raise InputError(
            f"--backend {name}: does not run on {device}; leave it out, or give another --device"
        )
    return usual


def _subject(plan: Plan, bundle: Bundle, name: str, precision: Arithmetic, device: str) -> Subject:
    backend = BACKENDS[name]
    path: Path | None = plan.checkpoint if backend.kind == "pytorch" else plan.bundle
    assert path is not None, "PyTorch is selected only with a checkpoint"
    return Subject(
        name=f"{name}_{precision}",
        kind=backend.kind,
        path=str(path),
        backend=backend.runs,
        device=device,
        precision=precision,
        threads=plan.threads,
        chunk_frames=bundle.manifest.graphs[0].chunk_frames,
        cuda_graph=backend.cuda_graph,
    )
