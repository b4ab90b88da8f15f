"""Runs of several processes, started by torchrun as a user does; over gloo, on the CPU."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from edgevae.errors import InputError
from edgevae.nn.checkpoint import load_checkpoint
from edgevae.training import fit
from edgevae.training.config import config_json
from edgevae.training.state import load_state

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*GPU available but not used.*"),
]

TOLERANCE = 1e-5
"""Largest difference of losses and of weights: the order of additions."""


def torchrun(processes, *arguments):
    """Start `edgevae train` in several processes; GPUs are hidden, so that gloo is what is tested."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "edgevae", "train", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )


def finished(process, *, code=0):
    """Wait for torchrun and return stdout and stderr."""
    out, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    return out, said


def column(run, name):
    """Values of the log by step."""
    with (run / "metrics.csv").open() as file:
        return {int(row["step"]): float(row[name]) for row in csv.DictReader(file) if row[name]}


def largest_difference(first, second):
    """Over weights and averages of two runs."""
    a, b = (load_state(run).module for run in (first, second))
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder for the runs of this file."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def config(tiny_run):
    """Six clips a step, which two and three processes can divide."""
    return replace(tiny_run, batch_clips=6, steps=25, val_every_steps=10)


@pytest.fixture
def recipe(config, tmp_path):
    """The same as a file."""
    file = tmp_path / "recipe.json"
    file.write_bytes(config_json(config))
    return file


@pytest.fixture
def straight(runs, recipe):
    """A function that returns the run of some processes without a stop."""

    def train(processes):
        run = runs / f"straight_{processes}"
        if not run.exists():
            begun = torchrun(processes, "moving-digits", "-o", run, "--config", recipe)
            out, said = finished(begun)
            assert out == f"{run / 'checkpoint'}\n", "only the first process prints the result"
            assert said.count("step 10: val PSNR") == 1, "and only it speaks"
            assert f"{processes} processes" in said
            assert "Warning" not in said
        return run

    return train


def test_two_processes_take_the_steps_of_one_with_twice_the_clips(straight, config, runs):
    alone = runs / "alone"
    fit.start(config, "moving-digits", run=alone)
    two = straight(2)
    assert load_state(two).processes == 2
    for name in ("loss", "psnr_db", "val_psnr_db", "val_worst_psnr_db", "val_loss"):
        ours, theirs = column(alone, name), column(two, name)
        assert ours.keys() == theirs.keys()
        # The log has six digits.
        assert all(theirs[s] == pytest.approx(ours[s], abs=TOLERANCE, rel=2e-6) for s in ours)
    assert largest_difference(alone, two) < TOLERANCE
    means = [load_checkpoint(run / "checkpoint").config.latent_mean for run in (alone, two)]
    assert means[0] == pytest.approx(means[1], abs=TOLERANCE)
    with pytest.raises(AssertionError):  # the bound would notice a step with other clips
        fit.start(replace(config, seed=1), "moving-digits", run=runs / "other")
        assert largest_difference(runs / "other", two) < TOLERANCE


def test_two_processes_have_the_adversary_of_one(config, runs, tmp_path):
    config = replace(
        config,
        steps=9,
        val_every_steps=9,
        adversarial=True,
        adversarial_start=2,
        adversarial_warmup_steps=2,
        discriminator_channels=4,
        judged_frames=2,
    )
    recipe, two = tmp_path / "recipe.json", runs / "adversarial_2"
    recipe.write_bytes(config_json(config))
    fit.start(config, "moving-digits", run=runs / "adversarial_1")
    finished(torchrun(2, "moving-digits", "-o", two, "--config", recipe))
    # Weights, averages and the discriminator's own.
    assert any(name.startswith("judges.") for name in load_state(two).module)
    assert largest_difference(runs / "adversarial_1", two) < TOLERANCE
    figures = [
        torch.tensor(load_state(run).since_line)[-1] for run in (runs / "adversarial_1", two)
    ]
    assert torch.allclose(*figures, atol=TOLERANCE, rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_stopped_and_resumed_end_with_the_same_bits(straight, recipe, runs, processes):
    run = runs / f"stopped_{processes}"
    arguments = ("moving-digits", "-o", run, "--config", recipe)
    _, said = finished(torchrun(processes, *arguments, "--max-minutes", 1e-6))
    assert "step 1: time is up, stop" in said
    finished(torchrun(processes, "--resume", run))
    assert largest_difference(run, straight(processes)) == 0
    assert column(run, "loss") == column(straight(processes), "loss")
    launches = [json.loads(line) for line in (run / "launches.jsonl").read_text().splitlines()]
    assert [(launch["step"], launch["processes"]) for launch in launches] == [
        (0, processes),
        (1, processes),
    ]


def test_another_number_of_processes_continues_to_rounding_and_says_so(
    straight, recipe, runs, capsys
):
    run = runs / "changed"
    arguments = ("moving-digits", "-o", run, "--config", recipe)
    finished(torchrun(2, *arguments, "--max-minutes", 1e-6))
    fit.resume(run)
    assert "2 processes until step 1, 1 from here on: the same run to rounding" in (
        capsys.readouterr().err
    )
    assert largest_difference(run, straight(2)) < TOLERANCE


def test_a_batch_that_does_not_divide_is_one_line_and_exit_code_2(recipe, tmp_path):
    run = tmp_path / "run"
    begun = torchrun(2, "moving-digits", "-o", run, "--config", recipe, "--batch-clips", 3)
    _, said = finished(begun, code=1)  # torchrun's own; ours is in its report
    assert said.count("edgevae: batch_clips: got 3 clips a step for 2 processes, expected") == 1
    assert "exitcode  : 2" in said
    assert 'File "/' not in said.split("edgevae: batch_clips")[0]
    assert not run.exists()


def test_a_signal_to_torchrun_stops_all_at_one_step_with_the_state_saved(recipe, tmp_path):
    run = tmp_path / "run"
    arguments = ("moving-digits", "-o", run, "--config", recipe, "--steps", 100_000)
    process = torchrun(2, *arguments)
    while process.poll() is None and not (run / "state.ckpt").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert "SIGTERM received, stop" in said
    assert load_state(run).step >= 2
    assert load_checkpoint(run / "checkpoint").config.latent_mean is not None


def test_half_an_environment_is_refused_without_torchrun(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="WORLD_SIZE: is set, but RANK is not"):
        fit.start(tiny_run, "moving-digits", run=tmp_path / "run")
    assert not torch.distributed.is_initialized()
