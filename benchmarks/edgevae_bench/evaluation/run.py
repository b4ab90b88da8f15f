"""A whole evaluation: every clip under every protocol, through the model and its variants, and through x264."""

from __future__ import annotations

import contextlib
import datetime
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import edgevae
from edgevae.files import sha256_of_file
from edgevae.frames import Frames
from edgevae_bench import environment
from edgevae_bench.evaluation import variants
from edgevae_bench.evaluation.codec import Codec, encode, score_clip
from edgevae_bench.evaluation.coding import coded_size, measure_ranges, quantise
from edgevae_bench.evaluation.plan import Plan, Progress
from edgevae_bench.evaluation.protocol import Protocol, chunks_of
from edgevae_bench.evaluation.result import (
    LATENTS_8BIT,
    MODEL,
    SCHEMA,
    SCHEMA_VERSION,
    ClipFigures,
    EvaluatedModel,
    Evaluation,
    Row,
)
from edgevae_bench.evaluation.x264_rows import measure_x264

OnChunk = Callable[[str, int, Frames, Frames], object]
"""Told the clip's path, the number of a chunk's first frame, its frames and the model's, at native size."""


@dataclass
class _Running:
    """What a run has open, and what it found so far; lives for one call of `evaluate`."""

    plan: Plan
    codecs: dict[str, Codec]
    progress: Progress
    on_chunk: OnChunk
    notes: list[str] = field(default_factory=list)
    x264: str | None = None


def evaluate(
    plan: Plan,
    *,
    progress: Progress = lambda what, done, of: None,
    on_chunk: OnChunk = lambda path, first, source, frames: None,
) -> Evaluation:
    """Return the figures of a plan.

    Memory: the latents and the encoded stream of one clip, and a few of its chunks. Time: mostly SSIM of each variant.

    Raises:
        InputError: a clip cannot be read, or the model has fewer channels than are asked for.
        EdgeVaeError: the model cannot be loaded or run, or its latents are not finite.
    """
    with contextlib.ExitStack() as stack:
        vae = stack.enter_context(variants.open_runtime(plan, precision=plan.precision))
        run = _Running(plan, {MODEL: vae}, progress, on_chunk)
        run.codecs |= variants.with_channels(vae, plan.channels)
        if plan.half:
            half, notes = variants.open_half(plan, vae, stack)
            run.codecs |= half
            run.notes += notes
        model, clips = _model(vae), tuple(_measure_all(run))
    return _evaluation(run, model, clips)


def command_line(words: list[str]) -> tuple[str, ...]:
    """Return a command line in which every path is only a name: it says what was done, not where.

    `edgevae` stands for however it was started, and `--json=q.json` keeps its option.
    """
    named = []
    for word in words[1:]:
        option, equals, value = word.rpartition("=") if word.startswith("--") else ("", "", word)
        named.append(option + equals + (Path(value).name if "/" in value else value))
    return ("edgevae", *named)


def _evaluation(run: _Running, model: EvaluatedModel, clips: tuple[ClipFigures, ...]) -> Evaluation:
    return Evaluation(
        schema=SCHEMA,
        schema_version=SCHEMA_VERSION,
        created_utc=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        command=command_line(sys.argv),
        versions=_versions(run.x264),
        model=model,
        max_frames=run.plan.max_frames,
        clips=clips,
        notes=tuple(dict.fromkeys(run.notes)),
    )


def _measure_all(run: _Running) -> Iterator[ClipFigures]:
    plan = run.plan
    work = [(protocol, path) for protocol in plan.protocols for path in plan.clips]
    for done, (protocol, path) in enumerate(work):
        tell = partial(_tell, run, f"{Path(path).stem} {protocol.name}", done, len(work))
        yield _measure(run, path, protocol, tell)


def _tell(run: _Running, where: str, done: int, of: int, what: str) -> None:
    run.progress(f"{where}: {what}", done, of)


def _measure(
    run: _Running, path: str, protocol: Protocol, tell: Callable[[str], None]
) -> ClipFigures:
    """Return all figures of one clip under one protocol."""
    plan, codec = run.plan, run.codecs[MODEL]
    source = partial(chunks_of, path, protocol, chunk_frames=codec.chunk_frames)
    codecs, size = dict(run.codecs), None
    if plan.latents_8bit or plan.x264:
        tell("8-bit latents")
        latents = encode(codec, source())
        ranges = measure_ranges(latents)
        size = coded_size(quantise(latents, ranges))
        codecs[LATENTS_8BIT] = variants.with_8bit_latents(codec, ranges)
    tell("reconstruct and compare")
    rows, shape = _compare(run, codecs, path, protocol)
    figures = ClipFigures(
        protocol=protocol.name,
        clip=Path(path).stem,
        sha256=sha256_of_file(Path(path)),
        frames=shape[0],
        height_px=shape[1],
        width_px=shape[2],
        rows=rows,
        size=size,
    )
    if not plan.x264:
        return figures
    tell("x264")
    figures, x264 = measure_x264(
        figures, source, period=codec.spec.temporal_factor, notes=run.notes
    )
    run.x264 = run.x264 or x264
    return figures


def _compare(
    run: _Running, codecs: Mapping[str, Codec], path: str, protocol: Protocol
) -> tuple[tuple[Row, ...], tuple[int, int, int]]:
    """Return a row for each variant, and frames, height and width."""
    codec, shape = codecs[MODEL], (0, 0, 0)

    def see(source: Frames, made: Mapping[str, Frames]) -> None:
        nonlocal shape
        if protocol.side_px is None:
            run.on_chunk(path, shape[0], source, made[MODEL])
        shape = (shape[0] + len(source), source.shape[1], source.shape[2])

    chunks = chunks_of(path, protocol, chunk_frames=codec.chunk_frames, notes=run.notes)
    tallies = score_clip(codecs, chunks, workers=run.plan.threads, on_chunk=see)
    period = codec.spec.temporal_factor
    rows = tuple(
        Row(variant=name, score=tally.score(period=period)) for name, tally in tallies.items()
    )
    if protocol.max_frames is not None and shape[0] < protocol.max_frames:
        run.notes.append(f"{Path(path).name}: has only {shape[0]} of {protocol.max_frames} frames")
    return rows, shape


def _model(vae: edgevae.Vae) -> EvaluatedModel:
    return EvaluatedModel(
        name=vae.name,
        model_sha256=vae.model_digest,
        temporal_factor=vae.spec.temporal_factor,
        spatial_factor=vae.spec.spatial_factor,
        latent_channels=vae.spec.latent_channels,
        backend=vae.backend,
        device=vae.device,
        precision=vae.precision,
    )


def _versions(x264: str | None) -> dict[str, str]:
    machine = environment.describe()
    found = {name: version for name, version in machine.package_versions.items() if version}
    return {
        "edgevae": machine.edgevae_version,
        "python": machine.python_version,
        "cpu": machine.cpu_name,
        **found,
        **({"x264": x264} if x264 else {}),
    }
