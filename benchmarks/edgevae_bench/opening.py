"""A subject opened: the library that it needs is imported here and not before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from edgevae.errors import UnavailableError
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.spec import Precision
from edgevae_bench.subjects import AnyCodec, Subject
from edgevae_bench.work import Case


@contextlib.contextmanager
def open_subject(subject: Subject, case: Case) -> Iterator[AnyCodec]:
    """Yield the subject, loaded and ready for a case; TensorRT's engines are built where they are not in the cache.

    Raises:
        EdgeVaeError: as `edgevae.load`, `open_torch_codec` or `open_openvino_codec`.
        UnavailableError: the subject needs a library that is not installed.
    """
    precision = cast("Precision", subject.precision)
    if subject.kind == "runtime":
        import edgevae

        with edgevae.load(
            subject.path,
            backend=subject.backend,
            device=subject.device,
            precision=precision,
            threads=subject.threads,
            tensorrt=tensorrt_options(subject, case),
        ) as vae:
            yield vae
    elif subject.kind == "peer":
        yield _open_peer(subject, case)
    else:
        require_pytorch()
        from edgevae_bench.baseline import open_torch_codec

        yield open_torch_codec(
            Path(subject.path),
            variant=subject.backend,
            chunk_frames=subject.chunk_frames,
            threads=subject.threads,
            device=subject.device,
            precision=precision,
        )


def tensorrt_options(subject: Subject, case: Case) -> TensorRtOptions | None:
    """Return what a TensorRT backend is opened with: a static engine of the case; None for other backends."""
    if subject.cuda_graph is None:
        return None
    size = f"{case.batch_clips}x{case.height_px}x{case.width_px}"
    return TensorRtOptions(sizes=(size,), cuda_graph=subject.cuda_graph)


def require_pytorch() -> None:
    """Return if PyTorch is installed, without importing it.

    Raises:
        UnavailableError: it is not.
    """
    if find_spec("torch") is None:
        raise UnavailableError(
            "--against: PyTorch is not installed, and the baseline runs in it; install it with "
            "`pip install 'edgevae[export]'`, or leave --against out"
        )


def _open_peer(subject: Subject, case: Case) -> AnyCodec:
    from edgevae.bundle import Bundle
    from edgevae_bench.openvino_session import open_openvino_codec

    bundle = Bundle.open(subject.path)
    cell_px = bundle.manifest.spec.spatial_factor
    sizes = case.sizes(cell_px=cell_px)
    return open_openvino_codec(
        bundle, precision=subject.precision, threads=subject.threads, sizes=sizes
    )
