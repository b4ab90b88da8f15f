"""Whole runs: what they leave behind, and that a kill costs nothing but time."""

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
from PIL import Image
from safetensors.torch import load_file

from edgevae.errors import EdgeVaeError, IncompatibleError, InputError, IntegrityError
from edgevae.nn.checkpoint import load_checkpoint
from edgevae.nn.config import VaeConfig
from edgevae.training import fit
from edgevae.training.config import TrainConfig, config_json
from edgevae.training.recipe import read_recipe
from edgevae.training.run import RunFolder
from edgevae.training.state import load_state

pytestmark = pytest.mark.filterwarnings("ignore:.*GPU available but not used.*")


def rows(run):
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def validated_steps(run):
    return [int(row["step"]) for row in rows(run) if row["val_psnr_db"]]


def all_tensors(run):
    """Weights, averages and optimiser state of a run, by name."""
    state = load_state(run)
    moments = {
        f"optimizer.{i}.{name}": value
        for i, entry in state.optimizer["state"].items()
        for name, value in entry.items()
    }
    return {**state.module, **moments, **load_file(run / "checkpoint" / "model.safetensors")}


def assert_same(first, second):
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_a_run_leaves_a_checkpoint_with_measured_latents_and_all_its_records(straight, tiny_run):
    run = straight(tiny_run)
    vae = load_checkpoint(run / "checkpoint")
    assert vae.config.latent_std is not None
    assert min(vae.config.latent_std) > 0
    assert read_recipe(run / "train.json", TrainConfig) == tiny_run
    assert json.loads((run / "data.json").read_text()) == {
        "data": "moving-digits",
        "val": None,
        "files": {},
        "sha256": {},
        "val_sha256": {},
        "perceptual_sha256": None,
    }
    assert validated_steps(run) == [0, 5, 10, 12]
    assert sorted(p.name for p in (run / "samples").iterdir()) == [
        f"step_{s:07d}.png" for s in (0, 5, 10, 12)
    ]
    with Image.open(run / "samples" / "step_0000012.png") as picture:
        assert picture.size == (3 * 32 + 2 * 4, 3 * 32 + 2 * 4)
    assert not list(run.glob(".*"))


def test_a_run_learns(tiny_run, tmp_path):
    config = replace(
        tiny_run, principal_patches=0, steps=40, val_every_steps=40, learning_rate=5e-3
    )
    fit.start(config, "moving-digits", run=tmp_path / "run")
    before, after = (
        float(row["val_psnr_db"]) for row in rows(tmp_path / "run") if row["val_psnr_db"]
    )
    assert after > before + 3


def test_the_principal_components_are_a_better_start_than_chance(straight, tiny_run):
    with_components = rows(straight(tiny_run))[0]
    without = rows(straight(replace(tiny_run, principal_patches=0)))[0]
    assert float(with_components["val_psnr_db"]) > float(without["val_psnr_db"]) + 3


def test_a_network_on_patches_starts_better_than_one_on_pixels(tiny_run, tmp_path):
    patches = VaeConfig(
        kind="video",
        components=24,
        encoder_channels=(0, 0, 8),
        encoder_blocks=(0, 0, 1),
        decoder_channels=(8, 0, 0),
        decoder_blocks=(1, 0, 0),
        latent_channels=4,
    )
    config = replace(tiny_run, model=patches, log_error_weight=1.0, flicker_weight=0.1)
    runs = {"pixels": tiny_run, "patches": config}
    for name, recipe in runs.items():
        fit.start(recipe, "moving-digits", run=tmp_path / name)
    pixels, overlapped = (float(rows(tmp_path / name)[0]["val_psnr_db"]) for name in runs)
    assert overlapped > pixels + 0.5
    assert load_checkpoint(tmp_path / "patches" / "checkpoint").config.components == 24


def test_a_run_begins_with_the_checkpoint_that_it_is_given(straight, tiny_run, tmp_path):
    given, short = straight(tiny_run) / "checkpoint", replace(tiny_run, steps=2, model=None)
    again = fit.start(short, "moving-digits", run=tmp_path / "tuned", weights=given)
    first = rows(tmp_path / "tuned")[0]
    best = max(float(row["val_psnr_db"]) for row in rows(given.parent) if row["val_psnr_db"])
    assert float(first["val_psnr_db"]) == pytest.approx(best, abs=1e-3)
    assert load_checkpoint(again).config.decoder_channels == tiny_run.model.decoder_channels
    kept = load_checkpoint(tmp_path / "tuned" / "start")
    assert_same(kept.state_dict(), load_checkpoint(given).state_dict())


def test_a_run_killed_before_its_start_is_kept_is_none_and_begins_with_nothing_else(
    straight, tiny_run, tmp_path, monkeypatch
):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgevae.training.run.save_checkpoint", killed)
    given, run = straight(tiny_run) / "checkpoint", tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit.start(tiny_run, "moving-digits", run=run, weights=given)
    with pytest.raises(InputError, match=r"no data\.json in it"):
        fit.resume(run)


def test_a_run_without_a_good_checkpoint_to_begin_with_is_not_made(tiny_run, tmp_path):
    with pytest.raises(InputError, match=r"no config\.json in it"):
        fit.start(tiny_run, "moving-digits", run=tmp_path / "run", weights=tmp_path)
    assert not (tmp_path / "run").exists()


def test_the_same_run_twice_gives_the_same_weights(straight, tiny_run, tmp_path):
    fit.start(tiny_run, "moving-digits", run=tmp_path / "again")
    assert_same(all_tensors(tmp_path / "again"), all_tensors(straight(tiny_run)))


def test_another_seed_gives_other_weights(straight, tiny_run, tmp_path):
    fit.start(replace(tiny_run, seed=1), "moving-digits", run=tmp_path / "other")
    with pytest.raises(AssertionError):
        assert_same(all_tensors(tmp_path / "other"), all_tensors(straight(tiny_run)))


def start_process(config, run, recipe):
    """Start a run as a user does, in a process of its own."""
    recipe.write_bytes(config_json(config))
    code = "from edgevae.cli.train import command; command()"
    arguments = ["moving-digits", "-o", str(run), "--config", str(recipe)]
    # As many threads as in this process: their number decides the order of additions.
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True, env=environment
    )


def wait_for_step(process, run, step):
    """Wait until a run has saved a step or a later one."""
    while process.poll() is None:
        if (run / "state.ckpt").exists() and load_state(run).step >= step:
            return
        time.sleep(0.01)
    raise AssertionError(f"the process ended before step {step}: {process.stderr.read()}")


@pytest.mark.parametrize("step", [3, 10])
def test_a_run_killed_and_resumed_equals_a_run_without_a_stop(straight, tiny_run, tmp_path, step):
    config = replace(tiny_run, steps=40, save_every_steps=1)
    run = tmp_path / "killed"
    process = start_process(config, run, tmp_path / "recipe.json")
    wait_for_step(process, run, step)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert step <= load_state(run).step < 40

    fit.resume(run)
    assert_same(all_tensors(run), all_tensors(straight(config)))
    assert validated_steps(run) == validated_steps(straight(config))


def test_a_run_killed_before_its_first_save_starts_again(straight, tiny_run, tmp_path):
    run = tmp_path / "killed"
    fit.start(tiny_run, "moving-digits", run=run)
    (run / "state.ckpt").unlink()
    (run / "checkpoint" / "model.safetensors").unlink()
    fit.resume(run)
    assert_same(all_tensors(run), all_tensors(straight(tiny_run)))


def test_a_run_on_files_in_parts_resumes_to_the_same_weights(tiny_run, video_folder, tmp_path):
    config = replace(tiny_run, cache_mib=1, refresh_clips=5)
    fit.start(config, str(video_folder), run=tmp_path / "straight")
    limit = fit.Session(max_minutes=1e-6)
    fit.start(config, str(video_folder), run=tmp_path / "stopped", session=limit)
    assert load_state(tmp_path / "stopped").step == 1
    fit.resume(tmp_path / "stopped", session=limit)
    fit.resume(tmp_path / "stopped")
    straight, stopped = (load_state(tmp_path / name) for name in ("straight", "stopped"))
    assert_same(straight.module, stopped.module)


def test_a_termination_signal_stops_cleanly_with_the_state_saved(tiny_run, tmp_path):
    run = tmp_path / "run"
    process = start_process(
        replace(tiny_run, steps=100_000, val_every_steps=100_000), run, tmp_path / "recipe.json"
    )
    wait_for_step(process, run, 2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "SIGTERM received, stop" in said
    step = load_state(run).step
    assert f"stopped at step {step} of 100000; --resume {run} continues" in said
    assert load_checkpoint(run / "checkpoint").config.latent_mean is not None


def test_patience_ends_a_run(tiny_run, tmp_path, capsys):
    config = replace(tiny_run, learning_rate=1e-12, steps=400, val_every_steps=2, patience=3)
    fit.start(config, "moving-digits", run=tmp_path / "run")
    assert load_state(tmp_path / "run").step < 400
    assert "no better PSNR in 3 validations, stop" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_ends_the_run_and_is_never_saved(tiny_run, tmp_path):
    config = replace(tiny_run, learning_rate=1e30, save_every_steps=1)
    with pytest.raises(
        EdgeVaeError, match=r"the loss is .*, expected a finite number; lower the learning rate"
    ):
        fit.start(config, "moving-digits", run=tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "checkpoint")


def test_a_finished_run_resumes_to_itself(straight, tiny_run):
    run = straight(tiny_run)
    before = all_tensors(run)
    fit.resume(run)
    assert_same(all_tensors(run), before)


def test_an_existing_folder_is_no_new_run(tiny_run, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match="run: exists; give another folder, or --resume"):
        fit.start(tiny_run, "moving-digits", run=tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def test_two_processes_do_not_train_in_one_folder(straight, tiny_run):
    run = straight(tiny_run)
    with (
        RunFolder(run).locked(),
        pytest.raises(InputError, match="another process is training in it"),
    ):
        fit.resume(run)


def test_a_run_does_not_continue_on_other_files(tiny_run, video_folder, tmp_path):
    fit.start(
        tiny_run, str(video_folder), run=tmp_path / "run", session=fit.Session(max_minutes=1e-6)
    )
    (video_folder / "b.mkv").unlink()
    with pytest.raises(InputError, match=r"not the files that .*run was trained on"):
        fit.resume(tmp_path / "run")


def test_a_folder_that_is_no_run_and_a_damaged_state_are_refused(straight, tiny_run, tmp_path):
    with pytest.raises(
        InputError, match=r"no data\.json in it; expected the folder of a training run"
    ):
        fit.resume(tmp_path)
    (tmp_path / "state.ckpt").write_bytes((straight(tiny_run) / "state.ckpt").read_bytes()[:5000])
    with pytest.raises(IntegrityError, match=r"state\.ckpt: damaged"):
        load_state(tmp_path)
    torch.save({"version": 99}, tmp_path / "state.ckpt")
    with pytest.raises(IncompatibleError, match="state version 99, expected 4"):
        load_state(tmp_path)


def test_a_state_that_would_run_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "trapped"),))

    torch.save({"version": 1, "step": Trap()}, tmp_path / "state.ckpt")
    with pytest.raises(IntegrityError, match=r"state\.ckpt: damaged"):
        load_state(tmp_path)
    assert not (tmp_path / "trapped").exists()


def test_tensorboard_has_the_validations(tiny_run, tmp_path):
    pytest.importorskip("tensorboard")
    fit.start(
        tiny_run, "moving-digits", run=tmp_path / "run", session=fit.Session(tensorboard=True)
    )
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_a_time_limit_that_is_no_time_is_refused(minutes):
    with pytest.raises(InputError, match="expected a number above 0"):
        fit.Session(max_minutes=minutes)
