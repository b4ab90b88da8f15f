"""Training a generator against critics, on clips made from scikit-learn's digits."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch

from edgevae.errors import ConfigError, IncompatibleError, InputError
from edgevae.nn.generator import Generator
from edgevae.nn.generator_config import GeneratorConfig
from edgevae.training.digits import training_and_held_out
from edgevae.training.generation import fit
from edgevae.training.generation.config import GanConfig
from edgevae.training.generation.likeness import Likeness
from edgevae.training.plain_loop import model_of_run
from edgevae.training.state import load_state

TINY = GanConfig(
    network=GeneratorConfig(look_channels=4, channels=2),
    clip_frames=3,
    critic_channels=2,
    batch_clips=2,
    steps=4,
    warmup_steps=1,
    val_clips=4,
    save_every_steps=2,
    slope_every_steps=3,
    precision="fp32",
)


def test_a_broken_off_run_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit.start(TINY, run=whole)
    step = fit._Training.take_step

    def stops(self, number):
        if number == 3:
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(fit._Training, "take_step", stops)
    with pytest.raises(KeyboardInterrupt):
        fit.start(TINY, run=broken)
    monkeypatch.setattr(fit._Training, "take_step", step)
    assert model_of_run(broken) == "gan"
    fit.resume(broken)
    weights = "checkpoint/model.safetensors"
    assert (whole / weights).read_bytes() == (broken / weights).read_bytes()
    assert set(os.listdir(whole / "checkpoint")) == {"config.json", "model.safetensors"}
    lines = (whole / "errors.csv").read_text().split()
    assert [int(line.split(",")[0]) for line in lines] == [2, 4], "the last step is validated once"
    assert all(float(line.split(",")[1]) > 0.0 for line in lines), "losses, of all steps between"
    with pytest.raises(InputError, match="exists; give another folder"):
        fit.start(TINY, run=whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_behind_its_step_and_resume_goes_on_to_the_same_weights(
    tmp_path, monkeypatch, capsys, number
):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    fit.start(TINY, run=whole)
    step, before = fit._Training.take_step, signal.getsignal(number)

    def interrupted(self, index):
        if index == 2:
            signal.raise_signal(number)
        return step(self, index)

    monkeypatch.setattr(fit._Training, "take_step", interrupted)
    assert fit.start(TINY, run=stopped) == stopped / "checkpoint"
    assert f"{number.name} received, stopped at step 3 of 4; --resume" in capsys.readouterr().err
    assert signal.getsignal(number) == before, "and is nobody's afterwards"
    assert load_state(stopped).step == 3
    monkeypatch.setattr(fit._Training, "take_step", step)
    fit.resume(stopped)
    weights = "checkpoint/model.safetensors"
    assert (whole / weights).read_bytes() == (stopped / weights).read_bytes()


def test_a_second_signal_is_not_waited_for(tmp_path, monkeypatch):
    def impatient(self, index):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(fit._Training, "take_step", impatient)
    with pytest.raises(KeyboardInterrupt):
        fit.start(TINY, run=tmp_path / "run")


def test_a_state_of_other_networks_than_the_configuration_is_refused(tmp_path):
    run = tmp_path / "run"
    fit.start(TINY, run=run, max_minutes=1e-9)
    config = json.loads((run / "train.json").read_text())
    (run / "train.json").write_text(json.dumps(config | {"critic_channels": 3}))
    with pytest.raises(IncompatibleError, match=r"is not of the networks in its train.json; undo"):
        fit.resume(run)


def test_a_step_teaches_all_that_has_weights_and_moves_the_average(tmp_path):
    training = fit._Training(TINY)
    before = {
        f"{name}.{key}": value.clone()
        for name, network in training.networks.items()
        for key, value in network.named_parameters()
    }
    for step in range(2):
        training.take_step(step)
    for name, network in training.networks.items():
        for key, value in network.named_parameters():
            assert not torch.equal(value, before[f"{name}.{key}"]), f"{name}.{key}"


def test_the_distance_is_0_to_itself_and_grows_with_what_is_not_like_a_digit():
    digits = training_and_held_out(None)[1]
    likeness = Likeness(digits, clips=24, frames=3)
    torch.manual_seed(0)
    made = Generator(GeneratorConfig(look_channels=4, channels=2)).eval()

    class White(Generator):
        def forward(self, noise, frames, *, size_px=(64, 64)):
            return torch.ones(len(noise), frames, *size_px)

    white = White(made.config).eval()
    assert likeness.distance(made) == likeness.distance(made)
    assert likeness.distance(white) > 10.0 * likeness.distance(made)


def test_gamma_falls_from_its_first_value_to_its_last_by_equal_factors():
    config = GanConfig(steps=100, slope_weight=4.0, final_slope_weight=1.0)
    at = [config.slope_weight_at(step) for step in (0, 50, 100, 200)]
    assert at == pytest.approx([4.0, 2.0, 1.0, 1.0])


def test_settings_that_no_run_can_have_are_refused():
    for wrong in ({"clip_frames": 1}, {"steps": 0}, {"critic_rate": 0.0}, {"slope_weight": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            GanConfig(**wrong)
    with pytest.raises(
        ConfigError, match=r"picture_px: got \(128, 64\), expected \(64, 64\) of mov"
    ):
        GanConfig(network=GeneratorConfig(picture_px=(128, 64)))
