"""Recipes of runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgevae.errors import ConfigError, InputError
from edgevae.training.config import TrainConfig
from edgevae.training.flow.config import FlowConfig
from edgevae.training.generation.config import GanConfig
from edgevae.training.plain_loop import read_run
from edgevae.training.prediction.config import PredictionConfig
from edgevae.training.recipe import read_recipe
from edgevae.training.senses.config import SensesTraining

KINDS = {
    "gan": GanConfig,
    "multimodal": SensesTraining,
    "predictor": PredictionConfig,
    "prior": FlowConfig,
}
RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.json"))


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_every_recipe_is_one_of_its_model(file):
    model = json.loads(file.read_text()).get("model")
    kind = KINDS.get(model, TrainConfig) if isinstance(model, str) else TrainConfig
    assert isinstance(read_recipe(file, kind), kind)
    with pytest.raises(ConfigError, match=f"{file.name}: "):  # and of no other
        read_recipe(file, GanConfig if kind is TrainConfig else TrainConfig)


def test_a_recipe_of_another_model_is_told_by_its_name(tmp_path):
    (tmp_path / "a.json").write_text('{"model": "prior", "past_noise": 0.1}')
    for kind, wanted in ((GanConfig, "gan"), (TrainConfig, "vae"), (SensesTraining, "multimodal")):
        said = rf"a\.json: is a recipe of a prior, expected one of a {wanted}; give --model prior"
        with pytest.raises(ConfigError, match=said):
            read_recipe(tmp_path / "a.json", kind)


def test_a_run_s_own_recipe_has_a_precision_that_was_decided(tmp_path):
    (tmp_path / "train.json").write_text('{"model": "gan", "precision": "auto"}')
    with pytest.raises(ConfigError, match="precision: got 'auto', expected fp32 or bf16"):
        read_run(tmp_path, GanConfig, model="gan")


def test_a_recipe_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(
        InputError, match=r"none\.json: no such file; expected a train.json or a re"
    ):
        read_recipe(tmp_path / "none.json", GanConfig)
    (tmp_path / "text.json").write_text("{steps: 3}")
    with pytest.raises(ConfigError, match="not JSON"):
        read_recipe(tmp_path / "text.json", GanConfig)
