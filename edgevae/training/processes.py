"""The processes of one run: alone, or as many as torchrun started, on one machine or on several.

What they tell each other about the run (a stop, an error, a figure of the log) goes over a group of its own, on the
CPU, so that no message waits for the device. Gradients are averaged by Lightning over the main group.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from edgevae.errors import EdgeVaeError, InputError, UnavailableError
from edgevae.training.config import TrainConfig

T = TypeVar("T")

VARIABLES = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells each process of its place (https://docs.pytorch.org/docs/stable/elastic/run.html)."""

_PATIENCE = timedelta(hours=6)
"""For one process to wait while another reads the data; torchrun ends all of them as soon as one has died."""

_GRACE_S = 5.0
"""What the others wait, so that the process with the error has said it before torchrun ends them all."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The place of this process among all of a run."""

    rank: int = 0
    """0 for the one that writes the run's folder and speaks."""
    world: int = 1
    """How many there are."""
    local_rank: int = 0
    """Among those of this machine; the number of its GPU."""
    local_world: int = 1
    """How many there are on this machine, and on each of the others."""
    group: Any = None  # Any: PyTorch's type of a group is private
    """For messages between their CPUs."""

    @property
    def first(self) -> bool:
        """Whether this one writes and speaks."""
        return self.rank == 0

    def share(self, config: TrainConfig) -> int:
        """Return the clips of one step that each process takes.

        Raises:
            InputError: the clips of a step cannot be divided equally.
        """
        if config.batch_clips % self.world:
            raise InputError(
                f"batch_clips: got {config.batch_clips} clips a step for {self.world} processes, "
                f"expected a multiple of {self.world}; they are divided equally"
            )
        return config.batch_clips // self.world

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in one of the processes; all must ask."""
        return bool(self.gather(torch.tensor([float(flag)])).any())

    def gather(self, values: Tensor) -> Tensor:
        """Return a tensor of the CPU, of the same shape everywhere, from all processes: `[world, ...]`."""
        if self.world == 1:
            return values[None]
        gathered = [torch.empty_like(values) for _ in range(self.world)]
        dist.all_gather(gathered, values.contiguous(), group=self.group)
        return torch.stack(gathered)

    def average(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return the means over the processes of tensors on their devices, in fp32; all must ask, with equal shapes."""
        if self.world == 1:
            return tensors
        flat = torch.cat([t.float().flatten() for t in tensors])
        dist.all_reduce(flat)  # over the main group, as Lightning's own averages
        parts = torch.split(flat / self.world, [t.numel() for t in tensors])
        return [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]

    def from_first(self, value: T) -> T:
        """Return what the first process has; all must ask."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self.group)
        return box[0]

    @contextlib.contextmanager
    def agreeing(self) -> Iterator[None]:
        """Make an error of one process the end of all, said once; all must come here.

        Raises:
            EdgeVaeError: what was raised inside, in the first process that has an error.
            SystemExit: in the others, with the exit code of that error.
        """
        if self.world == 1:
            yield
            return
        error: EdgeVaeError | OSError | None = None
        try:
            yield
        except (EdgeVaeError, OSError) as raised:
            error = raised
        code = 0 if error is None else getattr(error, "exit_code", 1)
        codes = self.gather(torch.tensor([code])).flatten().tolist()
        if not any(codes):
            return
        speaker = next(rank for rank, code in enumerate(codes) if code)
        if error is not None and speaker == self.rank:
            raise error
        time.sleep(_GRACE_S)
        raise SystemExit(codes[speaker])


def place_in(environment: Mapping[str, str]) -> Processes:
    """Return the place of this process as torchrun's variables tell it; alone where there is no WORLD_SIZE.

    Raises:
        InputError: a variable is missing or no number, or the machines have not equally many processes.
    """
    if "WORLD_SIZE" not in environment:
        return Processes()
    missing = [name for name in VARIABLES if name not in environment]
    if missing and environment["WORLD_SIZE"] != "1":
        raise InputError(
            f"WORLD_SIZE: is set, but {missing[0]} is not; start the processes with torchrun, or unset WORLD_SIZE"
        )
    numbers = []
    for name, alone in (("WORLD_SIZE", 1), ("RANK", 0), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1)):
        text = environment.get(name, str(alone))
        if not text.isdecimal():
            raise InputError(
                f"{name}: got {text!r}, expected a number; start the processes with torchrun"
            )
        numbers.append(int(text))
    world, rank, local_rank, local_world = numbers
    if not (rank < world and local_rank < local_world and world % local_world == 0):
        raise InputError(
            f"torchrun: got process {rank} of {world}, {local_rank} of {local_world} on its machine, "
            "expected equally many on each machine; give each the same --nproc-per-node"
        )
    return Processes(rank=rank, world=world, local_rank=local_rank, local_world=local_world)


@contextlib.contextmanager
def joined(place: Processes) -> Iterator[Processes]:
    """Connect the processes for as long as the context lasts: NCCL on GPUs, gloo on CPUs; all but the first are silent.

    Raises:
        UnavailableError: this machine has fewer GPUs than processes.
    """
    if place.world == 1:
        yield place
        return
    gpus = torch.cuda.device_count()
    if 0 < gpus < place.local_world:
        raise UnavailableError(
            f"torchrun: got {place.local_world} processes on a machine with {gpus} GPUs, expected one GPU for each; "
            "give --nproc-per-node fewer, or hide the GPUs with CUDA_VISIBLE_DEVICES="
        )
    if gpus:
        torch.cuda.set_device(place.local_rank)
    dist.init_process_group("nccl" if gpus else "gloo", rank=place.rank, world_size=place.world)
    group = dist.new_group(backend="gloo", timeout=_PATIENCE)
    try:
        with contextlib.redirect_stderr(sys.stderr if place.first else io.StringIO()):
            yield Processes(**{**vars(place), "group": group})
            dist.barrier(group=group)  # nobody leaves while another still works
    except BaseException:
        # Gloo aborts a process that ends with its threads alive; NCCL would wait for those that are gone.
        with contextlib.suppress(RuntimeError):  # the first error is the one to tell
            dist.destroy_process_group(group if gpus else None)
        raise
    dist.destroy_process_group()
