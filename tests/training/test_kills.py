"""A run killed again and again at random moments has the loss curve of one that was not.

`EDGEVAE_TEST_KILLS=10 pytest -s tests/training/test_kills.py` kills ten times; `EDGEVAE_TEST_KILL_SEED` chooses the
moments.
"""

import csv
import os
import random
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from edgevae.training import fit
from edgevae.training.config import config_json
from edgevae.training.state import load_state

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*GPU available but not used.*"),
]

KILLS = int(os.environ.get("EDGEVAE_TEST_KILLS", "3"))
SEED = int(os.environ.get("EDGEVAE_TEST_KILL_SEED", "0"))
STEPS_PER_KILL = 60
SPEED = {"frames_per_s", "data_wait_share", "gpu_busy_share"}


def begin(*arguments):
    """Start `edgevae train` as a user does."""
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        [sys.executable, "-m", "edgevae", "train", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | threads,
    )


def saved(run):
    """The time when the state was last written; 0 before that."""
    state = run / "state.ckpt"
    return state.stat().st_mtime_ns if state.exists() else 0


def kill_at_random(process, run, chance):
    """Kill with SIGKILL: mostly some time after the first save of this process, else while it is still starting."""
    before = saved(run)
    starting = chance.random() < 0.15
    while not starting and saved(run) == before and process.poll() is None:
        time.sleep(0.005)
    time.sleep(chance.uniform(0.0, 1.5))
    assert process.poll() is None, f"ended by itself: {process.communicate()[1]}"
    process.kill()
    process.communicate()


def curve(run):
    """The log without what depends on how fast this machine is."""
    with (run / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in SPEED} for row in csv.DictReader(file)]


def test_a_run_killed_at_random_moments_has_the_curve_of_one_without_a_stop(tiny_run, tmp_path):
    steps = STEPS_PER_KILL * (KILLS + 1)
    # The discriminator comes in the middle: kills before and after.
    config = replace(
        tiny_run,
        steps=steps,
        save_every_steps=7,
        val_every_steps=40,
        adversarial=True,
        adversarial_start=steps // 3,
        adversarial_warmup_steps=20,
        discriminator_channels=4,
        judged_frames=2,
    )
    fit.start(config, "moving-digits", run=tmp_path / "straight")

    recipe, run = tmp_path / "recipe.json", tmp_path / "killed"
    recipe.write_bytes(config_json(config))
    chance, reached = random.Random(SEED), []
    process = begin("moving-digits", "-o", run, "--config", recipe)
    while not (run / "launches.jsonl").exists():
        time.sleep(0.01)  # before this there is nothing to resume
    for _ in range(KILLS):
        kill_at_random(process, run, chance)
        reached.append(load_state(run).step if saved(run) else 0)
        process = begin("--resume", run)
    _, said = process.communicate()
    assert process.returncode == 0, said
    sys.stdout.write(f"killed {KILLS} times; saved steps then: {reached} of {steps}\n")  # with -s

    assert reached[-1] > 0, "no kill came late enough to test anything"
    assert curve(run) == curve(tmp_path / "straight")
    ended, straight = (load_state(path) for path in (run, tmp_path / "straight"))
    assert any(name.startswith("judges.") for name in straight.module)
    assert [
        name
        for name in straight.module
        if not torch.equal(ended.module[name], straight.module[name])
    ] == []
