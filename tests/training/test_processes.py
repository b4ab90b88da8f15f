"""The place of a process among others, and how they divide clips; without starting any."""

from dataclasses import replace

import pytest
import torch

from edgevae.errors import InputError
from edgevae.training.data import batches, validation_batches
from edgevae.training.processes import Processes, place_in
from edgevae.training.sources import sample_rng

ENVIRONMENT = {
    "WORLD_SIZE": "4",
    "RANK": "3",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


class Numbered:
    """Clips of one pixel whose value is their index."""

    def clip(self, index):
        return torch.full((1, 1, 1, 3), index, dtype=torch.uint8).numpy()


def indices(config, processes, *, step=0):
    """The clips of each batch of one process."""
    loader = batches(Numbered(), config, processes, step=lambda: step)
    return [batch[:, 0, 0, 0, 0].tolist() for batch in loader]


def test_without_torchrun_a_process_is_alone():
    assert place_in({}) == Processes()
    assert place_in({"WORLD_SIZE": "1"}) == Processes()


def test_the_place_is_what_torchrun_says():
    assert place_in(ENVIRONMENT) == Processes(rank=3, world=4, local_rank=1, local_world=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RANK": None}, "WORLD_SIZE: is set, but RANK is not; start the processes with torchrun"),
        ({"RANK": "two"}, "RANK: got 'two', expected a number"),
        ({"RANK": "4"}, "got process 4 of 4"),
        ({"LOCAL_WORLD_SIZE": "3"}, "expected equally many on each machine"),
    ],
)
def test_a_place_that_cannot_be_is_refused_in_one_line(change, message):
    environment = {k: v for k, v in (ENVIRONMENT | change).items() if v is not None}
    with pytest.raises(InputError, match=message) as caught:
        place_in(environment)
    assert "\n" not in str(caught.value)


def test_clips_that_do_not_divide_are_refused(tiny_run):
    with pytest.raises(InputError, match="got 2 clips a step for 3 processes, expected a multiple"):
        Processes(rank=0, world=3).share(tiny_run)


@pytest.mark.parametrize("step", [0, 3])
def test_processes_together_take_the_clips_that_one_takes(tiny_run, step):
    config = replace(tiny_run, batch_clips=6)
    alone = indices(config, Processes(), step=step)
    assert alone == [list(range(6 * s, 6 * s + 6)) for s in range(step, 5)]
    together = [indices(config, Processes(rank=r, world=3), step=step) for r in range(3)]
    assert [[i for part in parts for i in part] for parts in zip(*together, strict=True)] == alone


@pytest.mark.parametrize(("clips", "world"), [(22, 4), (3, 2), (2, 5), (7, 1)])
def test_every_validation_clip_counts_once(clips, world):
    validation = torch.arange(clips)
    parts = [
        torch.cat(
            list(validation_batches(validation, Processes(rank=r, world=world), batch_clips=4))
        )
        for r in range(world)
    ]
    assert len({len(part) for part in parts}) == 1
    # What `VaeTraining.validation_figures` does with the parts.
    assert torch.stack(parts).T.flatten()[:clips].tolist() == validation.tolist()


def test_a_sample_depends_on_the_seed_and_its_index_only():
    first, again = sample_rng(3, 1000).random(4), sample_rng(3, 1000).random(4)
    assert first.tolist() == again.tolist()
    assert first.tolist() != sample_rng(3, 1001).random(4).tolist()
