"""The TensorRT engines of an opened subject, as the cache has them on record."""

from __future__ import annotations

from dataclasses import dataclass

from edgevae.bundle import Bundle
from edgevae.strict import to_dict
from edgevae_bench.opened import OpenedSubject
from edgevae_bench.place import GpuPlace


@dataclass(frozen=True, kw_only=True)
class EngineFacts:
    """One engine."""

    role: str
    """encoder or decoder."""
    plan_sha256: str
    """Of the plan."""
    layer_types: dict[str, int]
    """How many of its layers run in which arithmetic."""
    profile: str
    """The sizes that it takes."""
    build_ms: float
    """How long it took to build, now or when it was cached."""


def describe_engines(subject: OpenedSubject) -> tuple[EngineFacts, ...]:
    """Return the engines of a subject on TensorRT; none of any other."""
    job, place = subject.job, subject.place
    if job.subject.cuda_graph is None or not isinstance(place, GpuPlace):
        return ()
    from edgevae_bench.bare import engine_records

    cell_px = Bundle.open(job.subject.path).manifest.spec.spatial_factor
    sizes = job.case.sizes(cell_px=cell_px)
    return tuple(
        EngineFacts(
            role=record.key.role,
            plan_sha256=record.plan_sha256,
            layer_types={
                name: count
                for name, count in to_dict(record.layers).items()
                if isinstance(count, int)
            },
            profile=", ".join(map(str, record.key.options.profiles)),
            build_ms=record.build_seconds * 1e3,
        )
        for record in engine_records(job.subject, place, sizes)
    )
