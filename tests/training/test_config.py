"""The configuration of a run: strict, complete, and the source of every schedule."""

import json
from dataclasses import replace

import pytest

from edgevae.errors import ConfigError, InputError
from edgevae.nn.config import preset
from edgevae.strict import to_dict
from edgevae.training.config import TrainConfig, config_json
from edgevae.training.recipe import read_recipe


def test_a_configuration_survives_its_file(tmp_path):
    config = TrainConfig(
        steps=7, time_strides=(1, 3), model=preset("s", kind="image"), clip_frames=3, val_frames=1
    )
    (tmp_path / "train.json").write_bytes(config_json(config))
    assert read_recipe(tmp_path / "train.json", TrainConfig) == config


def test_a_recipe_may_leave_out_what_has_a_default(tmp_path):
    (tmp_path / "recipe.json").write_text('{"steps": 9}')
    assert read_recipe(tmp_path / "recipe.json", TrainConfig) == TrainConfig(steps=9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 5}, "unknown key 'step'"),
        ({"steps": 2.5}, "steps: got 2.5, expected int"),
        ({"steps": 0}, "steps is 0, expected at least 1"),
        ({"crop_px": 100}, "crop_px is 100, expected a multiple of 8"),
        ({"clip_frames": 6}, "clip_frames is 6, expected a multiple of 4"),
        ({"time_strides": []}, r"time_strides is \(\), expected numbers of at least 1"),
        ({"min_scale": 1.5}, "min_scale is 1.5, expected a number from 0.1 to 1"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0, expected a number from 0 to below 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, expected a number above 0"),
        ({"kl_weight": -1.0}, "kl_weight is -1.0, expected a finite number of at least 0"),
        ({"judged_frames": 0}, "judged_frames is 0, expected at least 1"),
        (
            {"adversarial": True, "adversarial_start": 4000},
            "adversarial_start is 4000, expected a step of the run, which has 4000",
        ),
        (
            {"perceptual_weight": 0.1},
            "perceptual_network is None, expected for a perceptual_weight a safetensors file",
        ),
        (
            {"perceptual_weight": 0.1, "perceptual_network": "lpips.safetensors", "crop_px": 24},
            "crop_px is 24, expected at least 32 for LPIPS",
        ),
        (
            {"adversarial": True, "patience": 3},
            "patience is 3, expected 0 for a run with an adversary or LPIPS",
        ),
        (
            {"crop_px": 8, "ms_ssim_weight": 0.5},
            "ms_ssim_weight is 0.5, expected 0 for crops below",
        ),
        ({"precision": "fp16"}, "precision: got 'fp16', expected one of 'fp32', 'bf16'"),
        ({"preset": "huge"}, "preset: got 'huge', expected one of xs, s, m"),
        (
            {"charbonnier_weight": 0.0, "difference_weight": 0.0},
            "at least one reconstruction weight above 0",
        ),
    ],
)
def test_a_wrong_value_is_refused_by_name(tmp_path, change, message):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(to_dict(TrainConfig()) | change))
    with pytest.raises(ConfigError, match=message):
        read_recipe(path, TrainConfig)


def test_nan_is_no_learning_rate(tmp_path):
    (tmp_path / "train.json").write_text('{"learning_rate": NaN}')
    with pytest.raises(ConfigError, match="learning_rate is nan"):
        read_recipe(tmp_path / "train.json", TrainConfig)


def test_a_missing_or_broken_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none\.json: no such file"):
        read_recipe(tmp_path / "none.json", TrainConfig)
    (tmp_path / "text.json").write_text("not json")
    with pytest.raises(ConfigError, match=r"text\.json: not JSON"):
        read_recipe(tmp_path / "text.json", TrainConfig)


def test_an_image_network_takes_single_frames():
    assert TrainConfig(kind="image", clip_frames=1, val_frames=1).vae_config.temporal_factor == 1


def test_the_learning_rate_rises_then_falls_along_a_cosine():
    config = TrainConfig(steps=110, warmup_steps=10, learning_rate=1.0, final_rate=0.1)
    assert config.learning_rate_at(0) == pytest.approx(0.1)
    assert config.learning_rate_at(9) == config.learning_rate_at(10) == 1.0
    assert config.learning_rate_at(60) == pytest.approx(0.55)
    assert config.learning_rate_at(110) == pytest.approx(0.1)
    assert replace(config, warmup_steps=0).learning_rate_at(0) == 1.0


def test_the_kl_weight_rises_and_stays():
    config = TrainConfig(kl_weight=1.0, kl_warmup_steps=4)
    assert [config.kl_weight_at(step) for step in (0, 1, 3, 99)] == [0.25, 0.5, 1.0, 1.0]
    assert TrainConfig(kl_weight=1.0, kl_warmup_steps=0).kl_weight_at(0) == 1.0
