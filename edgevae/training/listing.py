"""Which files a run is trained and validated on: their sizes and digests, and whether they are still the same."""

from __future__ import annotations

import sys
from pathlib import Path

from tqdm import tqdm

from edgevae.errors import InputError
from edgevae.files import sha256_of_file
from edgevae.training.data import TrainData
from edgevae.training.media import MediaFile
from edgevae.training.processes import Processes
from edgevae.training.run import RunData


def media_digests(files: tuple[MediaFile, ...]) -> dict[str, str]:
    """Return the SHA-256 of every file by its name; reads all of them once."""
    shown = tqdm(
        files, disable=not files, desc="digest the data", unit="file", leave=False, file=sys.stderr
    )
    return {file.name: sha256_of_file(file.path) for file in shown}


def check_unchanged(run: Path, known: RunData, opened: TrainData, processes: Processes) -> None:
    """Compare names and sizes in every process, and the bytes in the first one of each machine.

    Raises:
        InputError: the data is not what the run began with.
    """
    same = opened.files == known.files
    validated_same = True
    if same and known.sha256 and processes.local_rank == 0:
        same = media_digests(opened.media) == known.sha256
    if known.val_sha256 and processes.local_rank == 0:
        validated_same = media_digests(opened.val_media) == known.val_sha256
    if not same or not validated_same:
        data, done = (known.val, "validated") if same else (known.data, "trained")
        raise InputError(
            f"{data}: not the files that {run} was {done} on; restore them or start a new run"
        )
