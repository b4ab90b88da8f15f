"""Training a VAE of several senses, on the made world and on clips."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from edgevae.cli.train import command
from edgevae.errors import ConfigError, InputError
from edgevae.nn.senses_checkpoint import load_senses
from edgevae.runtime.shipped import locate
from edgevae.strict import from_dict, to_dict
from edgevae.training.senses import fit
from edgevae.training.senses.config import SensesTraining, is_senses_run, read_config
from edgevae.training.senses.data import made_spec, sources
from edgevae.training.senses.objective import loss_of, random_subset

TINY = SensesTraining(
    window_frames=2,
    latent_channels=4,
    channels=(4, 4, 4),
    hidden=8,
    batch_windows=4,
    made_windows=12,
    val_windows=6,
    steps=6,
    save_every_steps=2,
    warmup_steps=1,
    precision="fp32",
)


def test_a_broken_off_run_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit.start(TINY, run=whole)
    step, taken = fit.Training.take_step, iter(range(3))

    def stops(self, number):
        if next(taken, None) is None:
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(fit.Training, "take_step", stops)
    with pytest.raises(KeyboardInterrupt):
        fit.start(TINY, run=broken)
    monkeypatch.setattr(fit.Training, "take_step", step)
    assert is_senses_run(broken)
    fit.resume(broken)
    for name in ("state.ckpt", "errors.csv"):
        assert (whole / name).exists()
    one, other = load_senses(whole / "checkpoint"), load_senses(broken / "checkpoint")
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    last = [(run / "errors.csv").read_text().split()[-1] for run in (whole, broken)]
    assert last[0].split(",")[2] == last[1].split(",")[2]
    assert set(os.listdir(whole / "checkpoint")) == {"config.json", "model.safetensors"}
    with pytest.raises(InputError, match="exists; give another folder"):
        fit.start(TINY, run=whole)
    assert read_config(whole) == TINY


def test_a_run_learns_what_is_to_be_said():
    windows, _ = sources(TINY)
    training = fit.Training(replace(TINY, steps=80), (windows, windows))
    before = training.shares()
    for step in range(40):
        training.take_step(step)
    after = training.shares()
    assert set(after) == {
        *(
            f"{a}>{b}"
            for a in ("all", *training.network.spec.names)
            for b in training.network.spec.names
        ),
        *(f"all but {n}>{n}" for n in training.network.spec.names),
    }
    assert after["all>tracks"] < before["all>tracks"]


def test_the_mean_of_the_training_data_leaves_a_share_of_one():
    training = fit.Training(TINY, sources(TINY))
    mean = {
        s.name: fit.target(training.network, s, training.windows.take(np.arange(12))[s.name])
        for s in training.network.spec.senses
    }
    for sense in training.network.spec.senses:
        shape = (-1, *sense.tensor.resolve({"batch": 1}))
        window = mean[sense.name].reshape(shape).mean(0)

        def says_the_mean(latents, *, window=window):
            return window.repeat(len(latents), *[1] * (window.ndim - 1))

        training.average.decoders[sense.name].forward = says_the_mean
    assert all(share == pytest.approx(1.0, abs=1e-4) for share in training.shares().values())


def test_subsets_are_never_empty_and_never_all():
    rng = np.random.default_rng(0)
    found = {random_subset(("a", "b", "c"), rng) for _ in range(200)}
    assert found == {("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c")}


def test_a_sense_that_is_not_in_the_subset_is_decoded_from_the_mean_and_one_in_it_from_a_sample():
    training = fit.Training(TINY, sources(TINY))
    vae, data = training.vae, training.windows.draw(4, seed=0, step=0)

    def taught(noise_of_the_subset):
        """What the decoders of a sense in the subset and of one that is not learn."""
        vae.zero_grad()
        noise = torch.stack([torch.zeros(4, 4, 1, 1), noise_of_the_subset])
        loss_of(vae, data, ("sound",), noise, sense_weight=10.0, divergence_weight=1.0).backward()
        return [vae.decoders[n].head.weight.grad.clone() for n in ("sound", "tracks")]

    with torch.no_grad():
        for decoder in vae.decoders.values():
            torch.nn.init.normal_(decoder.head.weight)
    quiet, loud = taught(torch.zeros(4, 4, 1, 1)), taught(torch.ones(4, 4, 1, 1))
    assert not torch.allclose(quiet[0], loud[0])
    assert torch.equal(quiet[1], loud[1])
    assert loud[1].abs().sum() > 0


def test_the_divergence_counts_for_nothing_at_first_and_for_all_of_its_weight_after_the_warmup():
    config = replace(TINY, divergence_weight=2.0, divergence_warmup_steps=4)
    assert [config.divergence_weight_at(s) for s in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert replace(config, divergence_warmup_steps=0).divergence_weight_at(0) == 2.0


def test_a_run_that_sees_motion_trains_such_a_network():
    training = fit.Training(replace(TINY, sees_motion=True), sources(TINY))
    assert training.network.sees_motion
    training.take_step(0)
    assert training.vae.encoders["video"].network[-4].weight.grad is not None


def test_windows_of_a_step_are_a_function_of_seed_and_step_and_all_come_once_a_lap():
    windows, _ = sources(TINY)
    assert len(windows) == 12
    drawn = [windows.draw(4, seed=3, step=s)["tracks"] for s in range(3)]
    again = windows.draw(4, seed=3, step=1)["tracks"]
    assert torch.equal(drawn[1], again)
    rows = torch.cat(drawn).flatten(1)
    every = windows.take(np.arange(12))["tracks"].flatten(1)
    assert {tuple(r.tolist()) for r in rows} == {tuple(r.tolist()) for r in every}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps: got 0, expected at least 1"),
        ({"held_out": 1.0}, "held_out: got 1.0, expected a share"),
        ({"learning_rate": 0.0}, "learning_rate: got 0.0"),
        ({"side_px": 0}, "side_px: got 0, expected at least 1"),
        ({"seed": -1}, "seed: got -1, expected a number from 0 on"),
        ({"piece_s": -1.0}, "piece_s: got -1.0, expected a number from 0 on"),
    ],
)
def test_a_run_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        SensesTraining(**wrong)


def test_data_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder; expected made-world, clips with sound"):
        sources(SensesTraining(data=str(tmp_path / "none")))
    with pytest.raises(InputError, match=r"made-world: got 64 px and 25 frames a second"):
        sources(SensesTraining(frames_per_second=25.0))


def test_windows_of_real_clips_never_reach_over_the_cut(tmp_path):
    av = pytest.importorskip("av")
    assert av
    from edgevae.made_world import MadeWorld
    from edgevae.video import write_made_clip

    for index in range(2):
        write_made_clip(MadeWorld(1, frames=24), index, tmp_path / f"{index}.mkv")
    config = replace(TINY, data=str(tmp_path), side_px=16, window_frames=4, held_out=0.25)
    training, validation = sources(config)
    assert training.spec.names == ("video", "sound", "motion")
    # 24 frames, cut at 18: windows of 4 begin at 0 to 13, since a spectrum reaches 20 ms beyond its window, and at 19
    # and 20, since motion is that from the frame before.
    assert (len(training), len(validation)) == (2 * 14, 2 * 2)
    assert training.arrays["sound"].shape == (28, 1, 16, 32)
    assert np.array_equal(training.arrays["video"][0, 1], training.arrays["video"][1, 0])
    assert np.allclose(training.arrays["motion"][0, 2], training.arrays["motion"][1, 1])
    assert np.allclose(training.arrays["sound"][0, :, 4:], training.arrays["sound"][1, :, :-4])
    fit.Training(config, (training, validation)).take_step(0)


def test_the_middle_of_every_piece_of_a_clip_can_be_held_out(tmp_path):
    pytest.importorskip("av")
    from edgevae.made_world import MadeWorld
    from edgevae.video import write_made_clip

    write_made_clip(MadeWorld(1, frames=40), 0, tmp_path / "clip.mkv")
    config = replace(TINY, data=str(tmp_path), side_px=16, held_out=0.5, piece_s=1.6)
    training, validation = sources(replace(config, val_windows=100))
    # Two pieces of 20 frames, whose frames 5 to 15 are held out: windows of 2 begin at 6 (for 5 is what the motion of 6
    # is from) to 12 (for a spectrum reaches beyond 15) of each. To train on, at 0 to 2, at 16 to 22, and at 36 to 38.
    assert (len(training), len(validation)) == (3 + 7 + 3, 2 * 7)
    seen = {frame.tobytes() for frame in validation.arrays["video"].reshape(-1, 16 * 16 * 3)}
    assert not seen & {f.tobytes() for f in training.arrays["video"].reshape(-1, 16 * 16 * 3)}
    with pytest.raises(
        InputError, match=r"sides of a cut that holds out 50% in the middle of 0\.4 s"
    ):
        sources(replace(config, piece_s=0.4))


def test_a_folder_of_scenes_has_a_sense_a_camera_and_all_scenes_the_same(tmp_path):
    pytest.importorskip("av")
    from edgevae.made_world import MadeWorld
    from edgevae.video import write_made_clip

    for scene, camera in ((a, b) for a in "ab" for b in ("left", "right")):
        (tmp_path / scene).mkdir(exist_ok=True)
        write_made_clip(MadeWorld(ord(scene), frames=16), 0, tmp_path / scene / f"{camera}.mkv")
    config = replace(TINY, data=str(tmp_path), side_px=16, window_frames=2)
    training, _ = sources(config)
    assert training.spec.names == ("left", "right")
    assert training.spec.sound is None
    assert np.array_equal(training.arrays["left"], training.arrays["right"])
    (tmp_path / "b" / "left.mkv").unlink()
    with pytest.raises(InputError, match=r"b: has right, expected the cameras of .*a: left, right"):
        sources(config)
    (tmp_path / "a" / "left.mkv").unlink()
    with pytest.raises(InputError, match=r"a: has the one camera right, expected two or more"):
        sources(config)
    with pytest.raises(InputError, match=r"too short for windows of 60 frames at 12\.5"):
        sources(replace(config, data=str(tmp_path / "b"), window_frames=60))


def test_a_run_does_not_go_on_with_other_senses(tmp_path):
    pytest.importorskip("av")
    from edgevae.made_world import MadeWorld
    from edgevae.video import write_made_clip

    scene, run = tmp_path / "scenes" / "a", tmp_path / "run"
    scene.mkdir(parents=True)
    for camera in ("left", "right"):
        write_made_clip(MadeWorld(3, frames=16), 0, scene / f"{camera}.mkv")
    data = {"data": str(scene.parent), "side_px": 16, "steps": 1}
    fit.start(replace(TINY, **data), run=run)
    fit.resume(run)
    (scene / "left.mkv").rename(scene / "centre.mkv")
    with pytest.raises(InputError, match=r"scenes: is not the data that .*run began with"):
        fit.resume(run)


def test_the_command_trains_and_continues_such_a_run_and_refuses_what_it_has_not(tmp_path):
    recipe, folder = tmp_path / "recipe.json", tmp_path / "run"
    recipe.write_text(json.dumps(to_dict(TINY)))

    def train(*arguments):
        return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)

    begun = ("made-world", "--model", "multimodal", "-o", folder, "--config", recipe)
    done = train(*begun, "--steps", 3, "--batch-clips", 2)
    assert (done.exit_code, done.stdout) == (0, f"{folder / 'checkpoint'}\n")
    assert read_config(folder) == replace(TINY, steps=3, batch_windows=2)
    assert train("--resume", folder).stdout == done.stdout
    other = (*begun[:3], "-o", tmp_path / "other")
    for arguments, message in (
        ((*other, "--preset", "s"), "multimodal has no --preset"),
        ((*other, "--digits", "y"), "multimodal has no --digits"),
        (begun[:3], r"expected DATA \(made-world, or a folder\) and -o RUN"),
        ((*other, "--config", tmp_path / "none.json"), r"none\.json: no such file"),
    ):
        with pytest.raises(InputError, match=message):
            train(*arguments)


@pytest.mark.parametrize("name", ["made", "clips", "views"])
def test_recipes_are_read_and_that_of_the_shipped_model_is_of_its_network(name):
    file = Path(__file__).parents[2] / "recipes" / f"edgevae-senses-{name}.json"
    recipe = from_dict(SensesTraining, json.loads(file.read_text()), where=str(file))
    if name == "made":
        shipped = load_senses(locate("edgevae-senses-made", part="checkpoint")).config
        assert shipped.spec == made_spec(recipe.window_frames)
        for part in ("latent_channels", "channels", "hidden"):
            assert getattr(shipped, part) == getattr(recipe, part)
