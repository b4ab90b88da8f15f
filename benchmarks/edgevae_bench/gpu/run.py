"""A run: open every subject that is usable, let them take turns, and keep what was measured after every round."""

from __future__ import annotations

import contextlib
import datetime
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from edgevae.bundle import Bundle
from edgevae.cuda.probe import gpus
from edgevae.errors import EdgeVaeError, InputError, UnavailableError
from edgevae.frames import psnr_dB
from edgevae.strict import from_dict
from edgevae_bench import claims, environment
from edgevae_bench.gpu.child import Job
from edgevae_bench.gpu.plan import REFERENCE, GpuPlan
from edgevae_bench.gpu.process import SubjectProcess
from edgevae_bench.gpu.result import BOUNDARIES, Facts, Found, Parity, Row, Setting
from edgevae_bench.subjects import Subject

Say: TypeAlias = Callable[[str], object]
Save: TypeAlias = Callable[[Found], object]


def run(plan: GpuPlan, *, before: Found | None, save: Save, say: Say = lambda text: None) -> Found:
    """Return what was found.

    Args:
        plan: What to measure.
        before: What a run that was broken off had found; it goes on from there where the setting is the same.
        save: Given what was found so far: after every subject that was opened, and after every round.
        say: Told what is done, line by line.

    Raises:
        UnavailableError: no GPU, or nothing of edgevae's can be measured on it; what was found is saved.
        IncompatibleError: the checkpoint is not what the bundle was exported from.
        InputError: the clip is shorter than a turn.
    """
    return _Run(plan, before, save, say).run()


class _Run:
    def __init__(self, plan: GpuPlan, before: Found | None, save: Save, say: Say) -> None:
        self._plan, self._save, self._say = plan, save, say
        self._setting = _setting(plan)
        self._subjects = plan.subjects(chunk_frames=self._setting.chunk_frames)
        same = before is not None and _comparable(before.setting) == _comparable(self._setting)
        if before is not None and not same:
            say("the earlier result is of another setting: measured anew")
        self._found = Found(
            created_utc=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            is_complete=False,
            rounds=plan.rounds,
            setting=self._setting,
            rows=(),
        )
        if before is not None and same:
            say("going on with an earlier run that was broken off")
            self._found = replace(before, is_complete=False, rounds=plan.rounds)
        self._rows = {row.subject.name: row for row in self._found.rows}
        self._reference: tuple[np.ndarray, np.ndarray] | None = None
        self._shuffle = random.Random(plan.seed).shuffle

    def run(self) -> Found:
        everyone = [[s] for s in self._subjects]
        groups = [list(self._subjects)] if self._plan.interleaved else everyone
        with tempfile.TemporaryDirectory() as folder:
            for group in groups:
                with contextlib.ExitStack() as stack:
                    self._measure(dict(self._open(group, stack, Path(folder))))
        self._keep(is_complete=True)
        if not any(
            r.status == "measured" and r.subject.kind == "runtime" for r in self._rows.values()
        ):
            reasons = [f"{r.reason}" for r in self._rows.values() if r.subject.kind == "runtime"]
            raise UnavailableError(
                "no backend of edgevae's can be measured here: " + "; ".join(reasons)
            )
        return self._found

    def _open(
        self, subjects: list[Subject], stack: contextlib.ExitStack, folder: Path
    ) -> Iterator[tuple[str, SubjectProcess]]:
        """Yield the subjects that open and are steady, one after the other, so that each is alone meanwhile."""
        for subject in subjects:
            self._say(f"{subject.name}: opening")
            try:
                process, row = self._open_one(subject, stack, folder)
            except EdgeVaeError as error:
                missing = isinstance(error, UnavailableError)
                self._note(subject, status="missing" if missing else "failed", reason=str(error))
                continue
            self._rows[subject.name] = row
            self._keep()
            yield subject.name, process

    def _open_one(
        self, subject: Subject, stack: contextlib.ExitStack, folder: Path
    ) -> tuple[SubjectProcess, Row]:
        arrays = folder / f"{subject.name}.npz"
        job = Job(
            subject=subject, clip=self._plan.clip, chunks=self._plan.chunks, arrays=str(arrays)
        )
        process = stack.enter_context(SubjectProcess(job))
        warm = process.ask("warm_up", max_turns=self._plan.max_warm_up_turns)
        facts = from_dict(Facts, process.ask("facts"), where=subject.name)
        earlier = self._rows.get(subject.name)
        row = Row(
            subject=subject,
            status="measured",
            facts=facts,
            parity=self._parity(subject, arrays),
            warm_up_turns=warm["turns"],
            is_steady=warm["steady"],
            samples_ms=earlier.samples_ms if earlier else {},
        )
        return process, row

    def _parity(self, subject: Subject, arrays: Path) -> Parity | None:
        with np.load(arrays) as file:
            latents, frames = file["latents"], file["frames"]
        arrays.unlink()
        if subject.name == REFERENCE:
            self._reference = latents, frames
        if subject.name == REFERENCE or self._reference is None:
            return None
        if not np.isfinite(latents).all():
            raise EdgeVaeError(f"{subject.name}: latents are not finite")
        psnr = psnr_dB(frames, self._reference[1])
        apart = np.abs(frames.astype(np.int16) - self._reference[1])
        return Parity(
            psnr_db=psnr if np.isfinite(psnr) else None,
            max_levels=int(apart.max()),
            latents_max_difference=float(np.abs(latents - self._reference[0]).max()),
        )

    def _measure(self, opened: dict[str, SubjectProcess]) -> None:
        """Have every opened subject take the turns that it has not taken yet, in a new order every round."""
        for number in range(self._plan.rounds):
            order = [name for name in opened if self._is_next(name, number)]
            self._shuffle(order)
            for name in order:
                try:
                    self._take_turn(name, opened[name])
                except EdgeVaeError as error:
                    self._note(self._rows[name].subject, status="failed", reason=str(error))
            if order:
                self._say(f"round {number + 1} of {self._plan.rounds}")
                self._keep()

    def _is_next(self, name: str, number: int) -> bool:
        row = self._rows[name]
        return row.status == "measured" and row.turns(self._plan.chunks) <= number

    def _take_turn(self, name: str, process: SubjectProcess) -> None:
        row = self._rows[name]
        assert row.facts is not None, "an opened subject has facts"
        samples = dict(row.samples_ms)
        for boundary in BOUNDARIES:
            if boundary in row.facts.boundaries:
                for operation, values in process.ask("turn", boundary=boundary).items():
                    key = f"{boundary} {operation}"
                    samples[key] = (*samples.get(key, ()), *values)
        self._rows[name] = replace(row, samples_ms=samples)

    def _note(self, subject: Subject, *, status: str, reason: str) -> None:
        self._say(f"{reason}")
        row = self._rows.get(subject.name, Row(subject=subject, status="missing"))
        self._rows[subject.name] = replace(row, status=status, reason=reason)  # type: ignore[arg-type]  # one of both
        self._keep()

    def _keep(self, *, is_complete: bool = False) -> None:
        rows = tuple(self._rows[s.name] for s in self._subjects if s.name in self._rows)
        self._found = replace(self._found, rows=rows, is_complete=is_complete)
        self._save(self._found)


def _setting(plan: GpuPlan) -> Setting:
    bundle = Bundle.open(plan.bundle)
    chunk_frames = bundle.manifest.graphs[0].chunk_frames
    assert plan.clip.size_px is not None, "a plan has a size"
    height, width = plan.clip.size_px
    cell_px = bundle.manifest.spec.spatial_factor
    if height % cell_px or width % cell_px:
        raise InputError(
            f"size: got {width}x{height}, expected multiples of {cell_px}: on the device nothing is padded"
        )
    gpu = None
    if plan.device != "cpu":
        index, found = int(plan.device.partition(":")[2] or 0), gpus()
        if index >= len(found):
            raise UnavailableError(
                f"{plan.device}: there is no such GPU, expected one of {len(found)}"
            )
        gpu = found[index]
    return Setting(
        model=bundle.manifest.name,
        bundle_sha256=bundle.digest,
        checkpoint_sha256=claims.require_source(plan.bundle, plan.checkpoint),
        clip=Path(plan.clip.path).name,
        height_px=height,
        width_px=width,
        chunk_frames=chunk_frames,
        chunks=plan.chunks,
        device=plan.device,
        gpu=gpu,
        subjects=tuple(s.name for s in plan.subjects(chunk_frames=chunk_frames)),
        interleaved=plan.interleaved,
        seed=plan.seed,
        environment=environment.describe(),
    )


def _comparable(setting: Setting) -> Setting:
    """Return a setting without what changes from run to run and makes no figure another."""
    machine = replace(
        setting.environment, load_average_1min=None, git_commit=None, git_modified=None
    )
    return replace(setting, environment=machine)
