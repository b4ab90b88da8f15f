"""A whole benchmark: a process per subject, in turns, case by case, and everything kept after every round."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from pathlib import Path

from edgevae.bundle import Bundle
from edgevae.cuda.probe import Gpu, gpus
from edgevae.errors import IncompatibleError, InputError, UnavailableError
from edgevae_bench import document, environment
from edgevae_bench.case_run import CaseRun, Shared
from edgevae_bench.ceilings import CeilingJob, measure_ceiling
from edgevae_bench.checkpoint import require_source
from edgevae_bench.clip import Clip, ClipFacts, facts, parts
from edgevae_bench.energy import find_meter
from edgevae_bench.ledger import Ledger
from edgevae_bench.nvml import open_nvml
from edgevae_bench.plan import Found, Plan, Progress
from edgevae_bench.result import Ceiling, ModelFacts, Settings
from edgevae_bench.resuming import resume
from edgevae_bench.scoring import Shown
from edgevae_bench.selection import Selection, select
from edgevae_bench.work import Case

TIMED_BYTES = 1 << 28
"""The chunks of a turn are held in memory: fewer where frames are large."""


def run(plan: Plan, *, progress: Progress = lambda what, done, of: None) -> Found:
    """Return the figures of a plan.

    Raises:
        InputError: more threads than cores, a clip of fewer frames than one chunk, or a file that cannot be used.
        IncompatibleError: the checkpoint is not what the bundle was exported from; or `output` holds a run that was
        broken
            off and that is not to be gone on with, or another one.
        UnavailableError: a backend that was asked for by name is not here.
        EdgeVaeError: a subject that was asked for by name failed.
    """
    cores = environment.usable_cores()
    if plan.threads > cores:
        raise InputError(
            f"threads: got {plan.threads}, expected at most the {cores} cores of this process"
        )
    selection = select(plan)
    gpu = _gpu(selection.subjects[0].device)
    machine = environment.describe(
        gpu
    )  # before anything runs, so that the load average is not our own
    clip = facts(Clip(path=str(plan.video), max_frames=None))
    ledger = Ledger(
        environment=machine,
        model=_model(plan),
        clip=clip,
        settings=_settings(plan, selection, gpu, clip),
        output=plan.output,
    )
    ledger = _begin(plan, ledger)
    ledger.ceilings = ledger.ceilings or _ceilings(selection, ledger)
    nvml = None if gpu is None else open_nvml(gpu.index)
    shown: tuple[str, tuple[Shown, ...]] = ("", ())
    with tempfile.TemporaryDirectory(prefix="edgevae-benchmark-") as folder:
        shared = Shared(
            plan=plan,
            selection=selection,
            ledger=ledger,
            nvml=nvml,
            meter=find_meter(nvml, is_gpu=gpu is not None),
            folder=Path(folder),
            progress=progress,
        )
        for case in ledger.settings.cases:
            made = CaseRun(shared, case).run()
            shown = shown if shown[1] else made
    result = ledger.save(is_complete=True)
    measured = [
        row for row in result.subjects if row.subject.kind == "runtime" and row.status == "measured"
    ]
    if not measured:
        reasons = dict.fromkeys(
            f"{r.reason}" for r in result.subjects if r.subject.kind == "runtime"
        )
        raise UnavailableError(
            f"no backend of edgevae's can be measured here: {'; '.join(reasons)}"
        )
    return Found(
        result=result,
        shown=shown[1],
        shown_subject=shown[0],
        samples=tuple(ledger.samples),
    )


def _begin(plan: Plan, ledger: Ledger) -> Ledger:
    """Return the ledger to write in: that of the run that is gone on with, or a new one."""
    output = plan.output
    if output is None:
        return ledger
    if plan.is_resumed:
        found = resume(ledger)
        if found.samples:
            return found
    elif output.exists():
        with contextlib.suppress(IncompatibleError):  # something else, which may be written over
            if not document.read_json(output).is_complete:
                raise InputError(
                    f"{output}: holds a run that was broken off; go on with --resume, or give another --output"
                )
    return ledger


def _settings(plan: Plan, selection: Selection, gpu: Gpu | None, clip: ClipFacts) -> Settings:
    cell_px = Bundle.open(plan.bundle).manifest.spec.spatial_factor
    sizes = plan.sizes_px or ((clip.source_height_px, clip.source_width_px),)
    cases = tuple(
        dict.fromkeys(
            Case(height_px=height, width_px=width, batch_clips=batch)
            for height, width in sizes
            for batch in plan.batches
        )
    )
    for case in cases:
        if gpu is not None and (case.height_px % cell_px or case.width_px % cell_px):
            raise InputError(
                f"size: got {case.width_px}x{case.height_px}, expected multiples of {cell_px}: on the device nothing "
                "is padded"
            )
    first = selection.subjects[0]
    chunks = min(_chunks(plan, case, first.chunk_frames) for case in cases)
    rounds = plan.rounds_of(chunks)
    in_turns = gpu is None or not gpu.integrated
    return Settings(
        cases=cases,
        subjects=tuple(subject.name for subject in selection.subjects),
        boundaries=plan.boundaries,
        device=first.device,
        threads=plan.threads,
        chunks=chunks,
        rounds=rounds,
        starts=plan.starts_of(rounds),
        file_rounds=plan.file_rounds_of(rounds),
        percentile=plan.percentile,
        seed=plan.seed,
        is_interleaved=in_turns if plan.is_interleaved is None else plan.is_interleaved,
        quality_frames=plan.max_frames,
        gates=plan.gates,
    )


def _chunks(plan: Plan, case: Case, chunk_frames: int) -> int:
    """Return how many chunks a turn has: whole ones of the clip, even, and not too large together; at least 2."""
    size = case.height_px, case.width_px
    clip = Clip(path=str(plan.video), max_frames=plan.max_chunks * chunk_frames, size_px=size)
    frame_bytes = 3 * case.height_px * case.width_px * case.batch_clips
    room = TIMED_BYTES // (frame_bytes * chunk_frames)
    with contextlib.closing(parts(clip, chunk_frames=chunk_frames)) as read:
        few = itertools.islice(read, max(2, min(plan.max_chunks, room)))
        whole = sum(len(chunk) == chunk_frames for chunk in few)
    if plan.max_frames is not None:
        whole = min(whole, plan.max_frames // chunk_frames)
    if not whole:
        raise InputError(
            f"{plan.video}: fewer than the {chunk_frames} frames of one chunk; give a longer clip or more --frames"
        )
    return max(2, whole - whole % 2)


def _model(plan: Plan) -> ModelFacts:
    bundle, digest = Bundle.open(plan.bundle), None
    if plan.checkpoint is not None:
        from edgevae_bench.opening import require_pytorch

        require_pytorch()
        digest = require_source(plan.bundle, plan.checkpoint)
    return ModelFacts(
        name=bundle.manifest.name, bundle_sha256=bundle.digest, checkpoint_sha256=digest
    )


def _ceilings(selection: Selection, ledger: Ledger) -> tuple[Ceiling, ...]:
    """Return what the machine does in every precision that is measured, or note why that is not known."""
    found = []
    if "graph" not in ledger.settings.boundaries:
        return ()
    for precision in dict.fromkeys(subject.precision for subject in selection.subjects):
        settings = ledger.settings
        job = CeilingJob(device=settings.device, precision=precision, threads=settings.threads)
        ceiling = measure_ceiling(job)
        if isinstance(ceiling, str):
            ledger.notes.append(ceiling)
        else:
            found.append(ceiling)
    return tuple(found)


def _gpu(device: str) -> Gpu | None:
    return None if device == "cpu" else gpus()[int(device.partition(":")[2] or 0)]
