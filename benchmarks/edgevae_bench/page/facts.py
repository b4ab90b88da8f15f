"""Machine, model and method as lines of text."""

from __future__ import annotations

import datetime

from edgevae_bench.environment import Environment
from edgevae_bench.page.scale import number
from edgevae_bench.page.view import Fact
from edgevae_bench.result import Ceiling, Result


def subtitle(result: Result) -> str:
    """Return what ran where and when, on one line."""
    machine = result.environment
    name = machine.cpu_name if machine.gpu is None else machine.gpu.name
    when = datetime.datetime.fromisoformat(result.created_utc)
    return f"{name}, {when:%d %B %Y}, edgevae {machine.edgevae_version}"


def method(result: Result) -> tuple[Fact, ...]:
    """Return what was measured and how."""
    clip, settings = result.clip, result.settings
    rate = "still image" if clip.frames_per_s is None else f"{number(clip.frames_per_s)} frames/s"
    size = f"{clip.source_width_px}x{clip.source_height_px}"
    turns = (
        "interleaved in shuffled order" if settings.is_interleaved else "one subject after another"
    )
    frames = (
        "all frames" if settings.quality_frames is None else f"{settings.quality_frames} frames"
    )
    weights = result.model.checkpoint_sha256
    facts = {
        "bundle": f"sha256 {result.model.bundle_sha256}",
        "weights": "none: PyTorch did not run" if weights is None else f"sha256 {weights}",
        "clip": f"{clip.name}, {size}, {rate}, sha256 {clip.sha256}",
        "rounds": f"{settings.rounds} turns of {settings.chunks} chunks, at the boundary file "
        f"{settings.file_rounds}; {turns}, nothing trimmed",
        "starts": f"{settings.starts} of the process of each subject, one after the other",
        "percentile": f"enough turns for p{settings.percentile}",
        "quality": f"compared on {frames}",
        "device": f"{settings.device}, {settings.threads} CPU threads",
        "seed": str(settings.seed),
    }
    lines = [Fact(name=name, value=value) for name, value in facts.items()]
    return (
        *lines,
        *(Fact(name=f"ceiling {c.precision}", value=_ceiling(c)) for c in result.ceilings),
    )


def machine(environment: Environment) -> tuple[Fact, ...]:
    """Return the environment; what the system does not tell is left out."""
    e = environment
    virtual = {True: "virtual machine", False: "no hypervisor seen", None: None}[e.is_virtual]
    modified = " with changes" if e.git_modified else ""
    facts: dict[str, str | None] = {
        "CPU": f"{e.cpu_name}, {e.physical_cores} cores, {e.usable_cores} of {e.logical_cores} threads usable",
        "GPU": None if e.gpu is None else e.gpu.name,
        "GPU power limit": None
        if e.gpu_power_limit_w is None
        else f"{number(e.gpu_power_limit_w)} W",
        "memory": f"{e.ram_bytes / 2**30:.1f} GiB",
        "system": f"{e.os_name}, {e.architecture}",
        "virtual": virtual,
        "governor": e.cpu_governor,
        "power mode": e.power_mode,
        "load before": None
        if e.load_average_1min is None
        else f"{e.load_average_1min:g} processes",
        "Python": e.python_version,
        "edgevae": e.edgevae_version
        + (f", commit {e.git_commit[:12]}{modified}" if e.git_commit else ""),
        "packages": ", ".join(f"{n} {v}" for n, v in e.package_versions.items() if v),
    }
    return tuple(Fact(name=name, value=value) for name, value in facts.items() if value is not None)


def _ceiling(ceiling: Ceiling) -> str:
    compute, bandwidth = ceiling.compute_gflop_per_s, ceiling.bandwidth_gb_per_s
    told = [
        "compute not known" if compute is None else f"{number(compute)} GFLOP/s",
        f"({ceiling.compute_kernel}),",
        "bandwidth not known" if bandwidth is None else f"{number(bandwidth)} GB/s",
        f"({ceiling.bandwidth_kernel})",
    ]
    return " ".join(told)
