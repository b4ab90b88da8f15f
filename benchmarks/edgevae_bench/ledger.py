"""What a run has found so far, kept on the disk after every round, and the result that it makes."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgevae_bench import claims, document, samples
from edgevae_bench.clip import ClipFacts
from edgevae_bench.environment import Environment
from edgevae_bench.latency import summarise
from edgevae_bench.result import (
    SCHEMA,
    SCHEMA_VERSION,
    Ceiling,
    EnergyRow,
    LatencyRow,
    ModelFacts,
    QualityRow,
    Result,
    Settings,
)
from edgevae_bench.roofline import roofline_ratio
from edgevae_bench.samples import RowKey, Sample
from edgevae_bench.subject_row import SubjectRow
from edgevae_bench.verdicts import judge
from edgevae_bench.work import Case, Operation, Work

Key = tuple[str, Case]
"""Name of a subject, and a case."""


@dataclass(kw_only=True)
class Ledger:
    """Everything that was found; grows while a run goes on."""

    environment: Environment
    """The machine."""
    model: ModelFacts
    """The model."""
    clip: ClipFacts
    """The frames."""
    settings: Settings
    """How it is measured."""
    output: Path | None = None
    """Where the document goes; None for nowhere."""
    created_utc: str = field(
        default_factory=lambda: datetime.datetime.now(datetime.timezone.utc).isoformat(
            timespec="seconds"
        )
    )
    ceilings: tuple[Ceiling, ...] = ()
    rows: dict[Key, SubjectRow] = field(default_factory=dict)
    quality: dict[Key, tuple[QualityRow, ...]] = field(default_factory=dict)
    energy: dict[Key, tuple[EnergyRow, ...]] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_on_disk: bool = False
    """Whether the document in `output` is this run's; until then an older one keeps its samples."""

    def take(self, taken: list[Sample]) -> None:
        """Add the samples of a turn, on the disk first."""
        if self.output is not None:
            self._take_place(self.output)
            samples.append(document.samples_path(self.output), taken)
        self.samples += taken

    def turns(self, key: Key) -> int:
        """Return how many whole rounds of a subject there are."""
        name, case = key
        return 1 + max(
            (s.round for s in self.samples if (s.subject, s.case) == (name, str(case))), default=-1
        )

    def starts(self, key: Key) -> int:
        """Return how many processes of a subject have taken turns."""
        name, case = key
        return 1 + max(
            (s.start for s in self.samples if (s.subject, s.case) == (name, str(case))), default=-1
        )

    def save(self, *, is_complete: bool = False) -> Result:
        """Write the document, where it has a place, and return the result."""
        result = self.result(is_complete=is_complete)
        if self.output is not None:
            self._take_place(self.output)
            document.write_json(result, self.output)
        return result

    def _take_place(self, output: Path) -> None:
        """Remove another run's samples before the first file of this one is written."""
        if not self.is_on_disk:
            document.samples_path(output).unlink(missing_ok=True)
            self.is_on_disk = True

    def result(self, *, is_complete: bool) -> Result:
        """Return what was found."""
        rows = tuple(replace(row, turns=self.turns(key)) for key, row in self._ordered())
        quality = tuple(row for key, _ in self._ordered() for row in self.quality.get(key, ()))
        latency = claims.with_speedups(self._latency(), quality)
        settings = self.settings
        doubts = claims.warnings(
            self.environment, rows, latency, clip=self.clip, percentile=settings.percentile
        )
        return Result(
            schema=SCHEMA,
            schema_version=SCHEMA_VERSION,
            created_utc=self.created_utc,
            command=_command(sys.argv),
            is_complete=is_complete,
            samples_file=None if self.output is None else document.samples_path(self.output).name,
            environment=self.environment,
            model=self.model,
            clip=self.clip,
            settings=settings,
            ceilings=self.ceilings,
            subjects=rows,
            latency=latency,
            quality=quality,
            energy=tuple(row for key, _ in self._ordered() for row in self.energy.get(key, ())),
            verdicts=judge(settings.gates, rows, latency, quality),
            warnings=(*self.notes, *doubts),
        )

    def work(self, key: RowKey) -> Work:
        """Return what was done in the samples of a row."""
        row = next(
            r
            for (name, case), r in self.rows.items()
            if (name, str(case)) == (key.subject, key.case)
        )
        file = key.boundary == "file"
        chunk = row.subject.chunk_frames
        return Work(
            boundary=key.boundary,
            operation=key.operation,
            arrays=key.arrays,
            device=row.subject.device,
            precision=row.subject.precision,
            threads=row.subject.threads,
            batch_clips=row.case.batch_clips,
            sample_frames=chunk * self.settings.chunks if file else chunk,
            height_px=row.case.height_px,
            width_px=row.case.width_px,
            frames_dtype="uint8",
            latents_dtype="float16" if file else "float32",
        )

    def _ordered(self) -> list[tuple[Key, SubjectRow]]:
        wanted = [(name, case) for case in self.settings.cases for name in self.settings.subjects]
        return [(key, self.rows[key]) for key in wanted if key in self.rows]

    def _latency(self) -> list[LatencyRow]:
        times = samples.by_row(self.samples)
        order = {key: index for index, (key, _) in enumerate(self._ordered())}
        found = [self._latency_row(key, ms, times) for key, ms in times.items()]
        boundaries: Mapping[str, int] = {b: i for i, b in enumerate(self.settings.boundaries)}
        operations: Mapping[Operation, int] = {"encode": 0, "decode": 1, "round_trip": 2}

        def place(row: LatencyRow) -> tuple[int, ...]:
            work = row.work
            where = self.settings.cases.index(work.case), boundaries[work.boundary]
            return (
                *where,
                work.arrays != "device",
                operations[work.operation],
                order[row.subject, work.case],
            )

        return sorted(found, key=place)

    def _latency_row(
        self, key: RowKey, ms: list[float], times: Mapping[RowKey, list[float]]
    ) -> LatencyRow:
        work, latency = self.work(key), summarise(ms)
        rate = work.sample_frames * work.batch_clips * len(ms) / sum(ms) * 1e3
        real = self.clip.frames_per_s
        ceiling = next((c for c in self.ceilings if c.precision == work.precision), None)
        return LatencyRow(
            subject=key.subject,
            work=work,
            latency=latency,
            frames_per_s=rate,
            megapixels_per_s=rate * work.height_px * work.width_px / 1e6,
            realtime_ratio=None if real is None else rate / real / work.batch_clips,
            speedup_ratios={},
            no_speedup_reason=None,
            roofline_ratio=roofline_ratio(
                self.rows[key.subject, work.case], work, latency, ceiling
            ),
        )


def _command(words: Sequence[str]) -> tuple[str, ...]:
    """Return a command line without folders of this machine, by the command's own name however it was started."""
    program = Path(words[0]).name
    return ("edgevae" if program in ("-c", "__main__.py") else program, *map(_short, words[1:]))


def _short(word: str) -> str:
    """Return a word of a command line; an absolute path in it, alone or behind `--option=`, by its last part."""
    option, sign, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
    return option + sign + (Path(value).name if Path(value).is_absolute() else value)
