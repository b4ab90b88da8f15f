"""One case: its subjects opened and compared one after the other, then timed in turns, then weighed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from edgevae.bundle import Bundle
from edgevae.errors import EdgeVaeError, UnavailableError
from edgevae.strict import from_dict
from edgevae_bench import clock
from edgevae_bench.artefact import Artefact
from edgevae_bench.artefacts import describe_artefact
from edgevae_bench.clip import Clip
from edgevae_bench.conditions import Watch
from edgevae_bench.energy import Meter
from edgevae_bench.engines import EngineFacts
from edgevae_bench.job import Job, Opened
from edgevae_bench.ledger import Key, Ledger
from edgevae_bench.nvml import Nvml
from edgevae_bench.plan import Plan, Progress
from edgevae_bench.process import SubjectProcess
from edgevae_bench.samples import Sample
from edgevae_bench.scoring import Reconstruction, Shown, score
from edgevae_bench.selection import Selection
from edgevae_bench.subject_row import Status, SubjectRow
from edgevae_bench.subjects import REFERENCE, Subject
from edgevae_bench.weighing import weigh
from edgevae_bench.work import Boundary, Case


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What the cases of a run have in common."""

    plan: Plan
    selection: Selection
    ledger: Ledger
    nvml: Nvml | None
    meter: Meter | str
    folder: Path
    progress: Progress


class CaseRun:
    """The subjects of one case.

    Args:
        shared: With all other cases.
        case: Size and batch.
    """

    def __init__(self, shared: Shared, case: Case) -> None:
        self._shared, self._case = shared, case
        self._ledger, self._plan = shared.ledger, shared.plan
        self._reference: tuple[str, Reconstruction] | None = None
        self._watches: dict[str, Watch] = {}
        self._shown: tuple[Shown, ...] = ()

    def run(self) -> tuple[Shown, ...]:
        """Measure what is not measured yet, and return frames of the first runtime subject for the picture."""
        subjects = [s for s in self._shared.selection.subjects if not self._is_done(s)]
        everyone = [[subject] for subject in subjects]
        for group in [subjects] if self._ledger.settings.is_interleaved else everyone:
            with contextlib.ExitStack() as stack:
                opened = {}
                for subject in group:
                    process = self._open(subject, stack)
                    if process is not None:
                        opened[subject.name] = process
                self._time(opened)
                self._weigh(opened)
        if self._reference is not None:
            self._reference[1].remove()
        return self._shown

    def _is_done(self, subject: Subject) -> bool:
        """Return whether an earlier run has all turns of a subject; the reference is opened all the same for others."""
        key = subject.name, self._case
        over = self._ledger.turns(key) >= self._ledger.settings.rounds
        others = any(
            self._ledger.turns((s.name, self._case)) < self._ledger.settings.rounds
            for s in self._shared.selection.subjects
        )
        return over and not (subject.name == REFERENCE and others)

    def _open(self, subject: Subject, stack: contextlib.ExitStack) -> SubjectProcess | None:
        """Return the subject's process, warm, its row and quality noted; None where it cannot be had."""
        self._say(f"opening {subject.name}")
        folder = self._shared.folder / f"{self._case}-{subject.name}"
        folder.mkdir(exist_ok=True)
        try:
            process = stack.enter_context(SubjectProcess(self._job(subject, folder)))
            opened = from_dict(Opened, process.ask("opened"), where=subject.name)
            engines = [
                from_dict(EngineFacts, e, where=subject.name) for e in process.ask("engines")
            ]
            self._compare(subject, process, folder)
            self._say(f"warming up {subject.name}")
            warm = process.ask("warm_up", max_turns=self._plan.max_warm_up_turns)
        except EdgeVaeError as error:
            self._fail(subject, error)
            return None
        earlier = self._ledger.rows.get((subject.name, self._case))
        self._ledger.rows[subject.name, self._case] = SubjectRow(
            subject=subject,
            case=self._case,
            status="measured",
            library_version=opened.library_version,
            artefact=self._artefact(subject, engines),
            cost=opened.cost(build_ms=sum(e.build_ms for e in engines) if engines else None),
            conditions=None if earlier is None else earlier.conditions,
            warm_up_turns=warm["turns"],
            is_steady=warm["is_steady"],
            unmeasured=opened.unmeasured | self._no_energy(),
        )
        self._ledger.save()
        return process

    def _job(self, subject: Subject, folder: Path) -> Job:
        settings = self._ledger.settings
        return Job(
            subject=subject,
            case=self._case,
            clip=self._clip(None),
            frames_per_s=self._ledger.clip.frames_per_s,
            chunks=settings.chunks,
            boundaries=settings.boundaries,
            folder=str(folder),
            pause_ratio=dict(self._plan.pauses).get(subject.name, 0.0),
        )

    def _clip(self, max_frames: int | None) -> Clip:
        size = self._case.height_px, self._case.width_px
        return Clip(path=str(self._plan.video), max_frames=max_frames, size_px=size)

    def _compare(self, subject: Subject, process: SubjectProcess, folder: Path) -> None:
        self._say(f"comparing {subject.name}")
        frames = self._plan.max_frames
        answer = process.ask("reconstruct", max_frames=frames)
        made = Reconstruction(folder=folder, **answer)
        scored = score(
            subject.name,
            made,
            clip=self._clip(frames),
            case=self._case,
            spec=Bundle.open(self._plan.bundle).manifest.spec,
            chunk_frames=subject.chunk_frames,
            reference=self._reference,
            workers=self._plan.threads,
        )
        self._ledger.quality[subject.name, self._case] = scored.rows
        known = self._ledger.notes
        known += [note for note in scored.notes if note not in known]
        count = scored.rows[0].quality.frames
        if frames is not None and count < frames:
            note = f"the clip has only {count} of the {frames} frames asked for"
            known += [note] if note not in known else []
        if subject.kind == "runtime" and not self._shown:
            self._shown = scored.shown
        if subject.name == REFERENCE:
            self._reference = subject.name, made
        else:
            made.remove()

    def _artefact(self, subject: Subject, engines: list[EngineFacts]) -> Artefact:
        bundle = Bundle.open(self._plan.bundle)
        cell_px = bundle.manifest.spec.spatial_factor
        sizes = self._case.sizes(cell_px=cell_px)
        weights = self._ledger.model.checkpoint_sha256
        return describe_artefact(
            subject, bundle, sizes=sizes, engines=engines, weights_sha256=weights
        )

    def _time(self, opened: dict[str, SubjectProcess]) -> None:
        """Have every subject take the turns that it has not taken yet, in a new order every round."""
        settings = self._ledger.settings
        for number in range(settings.rounds):
            names = [n for n in opened if self._ledger.turns((n, self._case)) <= number]
            for name in clock.order(names, number=number, seed=settings.seed):
                if self._ledger.rows[name, self._case].status == "measured":
                    self._say(f"{self._case} {name}")
                    self._take_turn(name, opened[name], number)
            if names:
                self._ledger.save()

    def _take_turn(self, name: str, process: SubjectProcess, number: int) -> None:
        key = name, self._case
        watch = self._watches.setdefault(name, Watch(self._shared.nvml))
        taken = []
        try:
            for boundary in self._ledger.settings.boundaries:
                if boundary == "file" and number >= self._ledger.settings.file_rounds:
                    continue
                watch.begin()
                answers = process.ask("turn", boundary=boundary)
                watch.end()
                taken += [self._sample(name, boundary, number, answer) for answer in answers]
        except EdgeVaeError as error:
            self._fail(self._ledger.rows[key].subject, error)
            return
        self._ledger.take(taken)
        self._ledger.rows[key] = replace(self._ledger.rows[key], conditions=watch.conditions())

    def _sample(
        self, name: str, boundary: Boundary, number: int, answer: dict[str, object]
    ) -> Sample:
        data = {"case": str(self._case), "subject": name, "boundary": boundary, "round": number}
        return from_dict(Sample, data | answer, where=name)

    def _weigh(self, opened: dict[str, SubjectProcess]) -> None:
        """Measure the energy of every subject, one after the other, where there is a meter."""
        meter = self._shared.meter
        if isinstance(meter, str):
            return
        for name, process in opened.items():
            row = self._ledger.rows[name, self._case]
            if row.status == "measured":
                self._say(f"energy of {name}")
                try:
                    self._ledger.energy[name, self._case] = weigh(
                        row, process, meter, work_of=self._ledger.work
                    )
                except EdgeVaeError as error:
                    self._fail(row.subject, error)
        self._ledger.save()

    def _no_energy(self) -> dict[str, str]:
        meter = self._shared.meter
        return {"energy": meter} if isinstance(meter, str) else {}

    def _fail(self, subject: Subject, error: EdgeVaeError) -> None:
        """Note why a subject is not measured any further; raise where it was asked for by name."""
        if subject.name in self._shared.selection.named:
            raise error
        status: Status = "missing" if isinstance(error, UnavailableError) else "failed"
        key: Key = subject.name, self._case
        row = self._ledger.rows.get(
            key, SubjectRow(subject=subject, case=self._case, status=status)
        )
        self._ledger.rows[key] = replace(row, status=status, reason=str(error))
        self._ledger.save()

    def _say(self, what: str) -> None:
        ledger, settings = self._ledger, self._ledger.settings
        keys = [(name, case) for case in settings.cases for name in settings.subjects]
        gone = [k for k in keys if k in ledger.rows and ledger.rows[k].status != "measured"]
        done = sum(min(ledger.turns(key), settings.rounds) for key in keys if key not in gone)
        self._shared.progress(what, done, settings.rounds * (len(keys) - len(gone)))
