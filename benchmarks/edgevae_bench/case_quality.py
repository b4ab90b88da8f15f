"""What the subjects of one case make of the clip: each compared once, with the source and with the reference."""

from __future__ import annotations

from pathlib import Path

from edgevae.bundle import Bundle
from edgevae_bench.clip import Clip
from edgevae_bench.ledger import Ledger
from edgevae_bench.plan import Plan
from edgevae_bench.process import SubjectProcess
from edgevae_bench.scoring import Reconstruction, Shown, score
from edgevae_bench.subjects import REFERENCE, Subject
from edgevae_bench.work import Case


class CaseQuality:
    """Keeps the reference's reconstruction, and frames of the first runtime subject for the picture.

    Args:
        plan: What is measured.
        ledger: Takes the figures.
        case: Size and batch.
    """

    def __init__(self, plan: Plan, ledger: Ledger, case: Case) -> None:
        self._plan, self._ledger, self._case = plan, ledger, case
        self._reference: tuple[str, Reconstruction] | None = None
        self._compared = set[str]()
        self.shown: tuple[Shown, ...] = ()
        self.shown_subject = ""

    def is_missing(self, subject: Subject) -> bool:
        """Return whether a subject is still to be compared; what an earlier run compared it does not keep."""
        return subject.name not in self._compared

    def clip(self, max_frames: int | None) -> Clip:
        """Return the clip at the size of the case."""
        size = self._case.height_px, self._case.width_px
        return Clip(path=str(self._plan.video), max_frames=max_frames, size_px=size)

    def compare(self, subject: Subject, process: SubjectProcess, folder: Path) -> None:
        """Have a subject reconstruct the clip and note how good that is.

        Raises:
            EdgeVaeError: it failed.
        """
        frames = self._plan.max_frames
        made = Reconstruction(folder=folder, **process.ask("reconstruct", max_frames=frames))
        scored = score(
            subject.name,
            made,
            clip=self.clip(frames),
            case=self._case,
            spec=Bundle.open(self._plan.bundle).manifest.spec,
            chunk_frames=subject.chunk_frames,
            reference=self._reference,
            workers=self._plan.threads,
        )
        self._ledger.quality[subject.name, self._case] = scored.rows
        self._note(scored.notes)
        count = scored.rows[0].quality.frames
        if frames is not None and count < frames:
            self._note((f"the clip has only {count} of the {frames} frames asked for",))
        if subject.kind == "runtime" and not self.shown:
            self.shown, self.shown_subject = scored.shown, subject.name
        if subject.name == REFERENCE:
            self._reference = subject.name, made
        else:
            made.remove()
        self._compared.add(subject.name)

    def _note(self, notes: tuple[str, ...]) -> None:
        known = self._ledger.notes
        known += [note for note in notes if note not in known]

    def close(self) -> None:
        """Remove the reference's reconstruction from the disk."""
        if self._reference is not None:
            self._reference[1].remove()
