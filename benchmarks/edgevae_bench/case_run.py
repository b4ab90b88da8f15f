"""One case: its subjects opened and compared one after the other, then timed in turns, then weighed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgevae.bundle import Bundle
from edgevae.errors import EdgeVaeError, UnavailableError
from edgevae.strict import from_dict
from edgevae_bench import clock
from edgevae_bench.artefact import Artefact
from edgevae_bench.artefacts import describe_artefact
from edgevae_bench.case_quality import CaseQuality
from edgevae_bench.conditions import Watch
from edgevae_bench.energy import Meter
from edgevae_bench.engines import EngineFacts
from edgevae_bench.job import Job, Opened
from edgevae_bench.ledger import Key, Ledger
from edgevae_bench.nvml import Nvml
from edgevae_bench.plan import Plan, Progress
from edgevae_bench.process import SubjectProcess
from edgevae_bench.samples import Sample
from edgevae_bench.scoring import Shown
from edgevae_bench.selection import Selection
from edgevae_bench.subject_row import Status, SubjectRow
from edgevae_bench.subjects import REFERENCE, Subject
from edgevae_bench.weighing import weigh
from edgevae_bench.work import Case


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
        self._quality = CaseQuality(shared.plan, shared.ledger, case)
        self._watches: dict[str, Watch] = {}
        self._gone = set[str]()

    def run(self) -> tuple[str, tuple[Shown, ...]]:
        """Measure what is not measured yet; return the first runtime subject that was compared, and its frames.

        Every start opens the processes anew: where their memory comes to lie is drawn again.
        """
        settings = self._ledger.settings
        with contextlib.closing(self._quality):
            for start in range(settings.starts):
                rounds = settings.rounds_of(start)
                subjects = self._still_to_run(rounds)
                everyone = [[subject] for subject in subjects]
                for group in [subjects] if settings.is_interleaved else everyone:
                    self._run_group(group, rounds)
        return self._quality.shown_subject, self._quality.shown

    def _still_to_run(self, rounds: range) -> list[Subject]:
        """Return who has work left after some rounds; and the reference, if others are to be compared with it."""
        here = [s for s in self._shared.selection.subjects if s.name not in self._gone]
        waiting = [s for s in here if self._ledger.turns((s.name, self._case)) < rounds.stop]
        if rounds.stop == self._ledger.settings.rounds:
            waiting += [s for s in here if s not in waiting and self._is_to_weigh(s)]
        compares = any(self._quality.is_missing(subject) for subject in waiting)
        return [
            s
            for s in here
            if s in waiting or (s.name == REFERENCE and compares and self._quality.is_missing(s))
        ]

    def _run_group(self, group: list[Subject], rounds: range) -> None:
        with contextlib.ExitStack() as stack:
            opened = {}
            for subject in group:
                process = self._open(subject, stack)
                if process is not None:
                    opened[subject.name] = process
            self._time(opened, rounds)
            if rounds.stop == self._ledger.settings.rounds:
                self._weigh(opened)

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
            if self._quality.is_missing(subject):
                self._say(f"comparing {subject.name}")
                self._quality.compare(subject, process, folder)
            self._say(f"warming up {subject.name}")
            warm = process.ask("warm_up", max_turns=self._plan.max_warm_up_turns)
        except EdgeVaeError as error:
            self._fail(subject, error)
            return None
        self._note(subject, opened, engines, warm)
        return process

    def _note(
        self,
        subject: Subject,
        opened: Opened,
        engines: list[EngineFacts],
        warm: dict[str, Any],  # Any: the answer of `warm_up`
    ) -> None:
        """Note the row of a subject that was opened; what it costs to have is that of its first process."""
        key = subject.name, self._case
        earlier = self._ledger.rows.get(key)
        build_ms = sum(e.build_ms for e in engines) if engines else None
        cost, steady, turns = opened.cost(build_ms=build_ms), warm["is_steady"], warm["turns"]
        if earlier is not None and earlier.cost is not None:
            cost, steady = earlier.cost, steady and earlier.is_steady
            turns += earlier.warm_up_turns
        self._ledger.rows[key] = SubjectRow(
            subject=subject,
            case=self._case,
            status="measured",
            library_version=opened.library_version,
            artefact=self._artefact(subject, engines),
            cost=cost,
            conditions=None if earlier is None else earlier.conditions,
            warm_up_turns=turns,
            is_steady=steady,
            unmeasured=opened.unmeasured | self._no_energy(),
        )
        self._ledger.save()

    def _job(self, subject: Subject, folder: Path) -> Job:
        settings = self._ledger.settings
        return Job(
            subject=subject,
            case=self._case,
            clip=self._quality.clip(None),
            frames_per_s=self._ledger.clip.frames_per_s,
            chunks=settings.chunks,
            boundaries=settings.boundaries,
            folder=str(folder),
            pause_ratio=dict(self._plan.pauses).get(subject.name, 0.0),
        )

    def _artefact(self, subject: Subject, engines: list[EngineFacts]) -> Artefact:
        bundle, weights = Bundle.open(self._plan.bundle), self._ledger.model.checkpoint_sha256
        sizes = self._case.sizes(cell_px=bundle.manifest.spec.spatial_factor)
        return describe_artefact(
            subject, bundle, sizes=sizes, engines=engines, weights_sha256=weights
        )

    def _time(self, opened: dict[str, SubjectProcess], rounds: range) -> None:
        """Have every subject take the turns that it has not taken yet, in a new order every round."""
        settings = self._ledger.settings
        starts = {name: self._ledger.starts((name, self._case)) for name in opened}
        for number in rounds:
            names = [n for n in opened if self._ledger.turns((n, self._case)) <= number]
            for name in clock.order(names, number=number, seed=settings.seed):
                if self._ledger.rows[name, self._case].status == "measured":
                    self._say(f"{self._case} {name}")
                    place = {"subject": name, "start": starts[name], "round": number}
                    self._take_turn(opened[name], place)
            if names:
                self._ledger.save()

    def _take_turn(self, process: SubjectProcess, place: dict[str, Any]) -> None:
        name, settings = place["subject"], self._ledger.settings
        key = name, self._case
        watch = self._watches.setdefault(name, Watch(self._shared.nvml))
        taken = []
        try:
            for boundary in settings.boundaries:
                if boundary == "file" and not settings.has_file_turn(place["round"]):
                    continue
                watch.begin()
                answers = process.ask("turn", boundary=boundary)
                watch.end()
                data = {"case": str(self._case), "boundary": boundary} | place
                taken += [from_dict(Sample, data | answer, where=name) for answer in answers]
        except EdgeVaeError as error:
            self._fail(self._ledger.rows[key].subject, error)
            return
        self._ledger.take(taken)
        self._ledger.rows[key] = replace(self._ledger.rows[key], conditions=watch.conditions())

    def _weigh(self, opened: dict[str, SubjectProcess]) -> None:
        """Measure the energy of every subject, one after the other, where there is a meter."""
        meter = self._shared.meter
        if isinstance(meter, str):
            return
        for name, process in opened.items():
            row = self._ledger.rows[name, self._case]
            if row.status == "measured" and self._is_to_weigh(row.subject):
                self._say(f"energy of {name}")
                try:
                    self._ledger.energy[name, self._case] = weigh(
                        row, process, meter, work_of=self._ledger.work
                    )
                except EdgeVaeError as error:
                    self._fail(row.subject, error)
                self._ledger.save()

    def _is_to_weigh(self, subject: Subject) -> bool:
        """Return whether a subject's energy is missing though there is a meter: a run may have ended just there."""
        has_meter = not isinstance(self._shared.meter, str)
        return has_meter and (subject.name, self._case) not in self._ledger.energy

    def _no_energy(self) -> dict[str, str]:
        meter = self._shared.meter
        return {"energy": meter} if isinstance(meter, str) else {}

    def _fail(self, subject: Subject, error: EdgeVaeError) -> None:
        """Note why a subject is not measured any further; raise where it was asked for by name."""
        self._gone.add(subject.name)
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
