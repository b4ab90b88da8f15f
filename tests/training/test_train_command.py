"""`edgevae train` as a user types it."""

from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edgevae.cli.train import command
from edgevae.errors import EdgeVaeError
from edgevae.training.config import TrainConfig, config_json
from edgevae.training.generation.config import GanConfig
from edgevae.training.recipe import read_recipe

DIGITS = Path(__file__).parents[2] / "recipes" / "edgevae-generate-digits.json"


def run(*arguments):
    """Run the command; our errors come out as the command line's group sees them."""
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)


def test_options_win_over_the_recipe_and_stdout_is_the_checkpoint(tiny_run, tmp_path):
    recipe, folder = tmp_path / "recipe.json", tmp_path / "run"
    recipe.write_bytes(config_json(tiny_run))
    result = run(
        "procedural", "-o", folder, "--config", recipe, "--steps", 3, "--seed", 5, "--crop-px", 24
    )
    assert result.exit_code == 0
    assert result.stdout == f"{folder / 'checkpoint'}\n"
    config = read_recipe(folder / "train.json", TrainConfig)
    assert (config.steps, config.seed, config.crop_px, config.batch_clips) == (
        3,
        5,
        24,
        tiny_run.batch_clips,
    )
    assert (folder / "checkpoint" / "model.safetensors").is_file()


def test_a_run_stopped_by_time_is_continued(tiny_run, tmp_path):
    recipe, folder = tmp_path / "recipe.json", tmp_path / "run"
    recipe.write_bytes(config_json(tiny_run))
    stopped = run("moving-digits", "-o", folder, "--config", recipe, "--max-minutes", 1e-6)
    assert "time is up, stop" in stopped.stderr
    resumed = run("--resume", folder)
    assert resumed.stdout == f"{folder / 'checkpoint'}\n"
    assert "step 12: val PSNR" in resumed.stderr


def test_an_adversary_is_one_option(tiny_run, tmp_path):
    recipe, folder = tmp_path / "recipe.json", tmp_path / "run"
    short = replace(tiny_run, steps=2, adversarial_start=1, discriminator_channels=4)
    recipe.write_bytes(config_json(short))
    run("moving-digits", "-o", folder, "--config", recipe, "--adversarial")
    assert read_recipe(folder / "train.json", TrainConfig) == replace(short, adversarial=True)


def test_a_recipe_of_what_learns_on_digits_alone_and_options_win_over_it(tmp_path):
    recipe, folder = tmp_path / "recipe.json", tmp_path / "run"
    recipe.write_text('{"model": "gan", "steps": 9, "batch_clips": 4, "precision": "fp32"}')
    stop = ("--max-minutes", 1e-6, "--steps", 5)
    run("moving-digits", "-o", folder, "--model", "gan", "--config", recipe, *stop)
    config = read_recipe(folder / "train.json", GanConfig)
    assert config == GanConfig(steps=5, batch_clips=4, precision="fp32")


def test_help_has_an_example_and_every_option_a_line():
    text = run("--help").output
    assert "Example:" in text
    assert all(o.help for o in command.params if isinstance(o, click.Option))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["moving-digits"], "expected DATA and -o RUN, or --resume RUN"),
        (["--resume", "runs/a", "--steps", "5"], "leave out --steps"),
        (["--resume", "runs/a", "--adversarial"], "leave out --adversarial"),
        (["--resume", "runs/a", "--model", "gan"], "leave out --model"),
        (["--resume", "runs/a", "--digits", "mnist"], "leave out --digits"),
        (["--resume", "runs/a", "--model", "gan", "--digits", "mnist"], "leave out --"),
        (
            ["moving-digits", "-o", "run", "--adversarial", "--steps", "500"],
            "adversarial_start is 2000, expected a step of the run, which has 500",
        ),
        (["moving-digits", "--resume", "runs/a"], "leave out DATA"),
        (["--resume", "runs/a", "--from", "edgevae-video-xs"], "leave out --from"),
        (
            ["moving-digits", "-o", "run", "--from", "edgevae-video-s", "--preset", "xs"],
            "leave out --preset",
        ),
        (
            ["moving-digits", "-o", "run", "--from", "none"],
            "none: no such path and no shipped model",
        ),
        (["nowhere", "-o", "run"], "nowhere: no such folder"),
        (
            ["moving-digits", "-o", "run", "--preset", "huge"],
            "got 'huge', expected one of xs, s, m",
        ),
        (
            ["moving-digits", "-o", "run", "--clip-frames", "7"],
            "clip_frames is 7, expected a multiple of 4",
        ),
        (["moving-digits", "-o", "run", "--config", "none.json"], r"none\.json: no such file"),
        (["--resume", "nowhere"], "expected the folder of a training run"),
        (
            ["clips", "-o", "run", "--model", "predictor"],
            "expected moving-digits as DATA, and -o RUN",
        ),
        (
            ["moving-digits", "-o", "run", "--model", "predictor", "--crop-px", "64"],
            "--model predictor has no --crop-px; leave it out",
        ),
        (
            ["moving-digits", "-o", "run", "--digits", "none", "--crop-px", "96"],
            "crop_px is 96, expected 64 for clips of MNIST's digits",
        ),
        (
            ["clips", "-o", "run", "--digits", "mnist", "--config", DIGITS],
            "digits: the files of MNIST go with moving-digits as DATA",
        ),
        (
            ["moving-digits", "-o", "run", "--digits", "none", "--config", DIGITS],
            "none: no train-images-idx3-ubyte.gz in it",
        ),
        (
            ["moving-digits", "-o", "run", "--model", "gan", "--preset", "s"],
            "--model gan has no --preset; leave it out",
        ),
        (
            ["moving-digits", "-o", "run", "--model", "gan", "--config", DIGITS],
            "unknown key",
        ),
        (
            ["moving-digits", "-o", "run", "--model", "prior"],
            "--model prior needs --from, the checkpoint of its VAE; add it",
        ),
        (
            ["moving-digits", "-o", "run", "--model", "predictor", "--from", "edgevae-image-s"],
            "--model predictor has no --from; leave it out",
        ),
        (
            ["moving-digits", "-o", "run", "--model", "predictor", "--digits", "none"],
            "none: no train-images-idx3-ubyte.gz in it",
        ),
        (
            ["moving-digits", "-o", "run", "--model", "predictor", "--steps", "0"],
            "steps: got 0, expected at least 1",
        ),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EdgeVaeError, match=message) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "weights"), [("predictor", "predictor.safetensors"), ("gan", "model.safetensors")]
)
def test_a_model_of_digits_is_trained_stopped_and_continued_by_the_same_command(
    tmp_path, model, weights
):
    words = ["moving-digits", "--model", model, "-o", str(tmp_path / "run"), "--steps", "2"]
    found = run(*words, "--batch-clips", "1", "--precision", "fp32", "--max-minutes", "1e-9")
    assert "--resume" in found.stderr, "stopped before its first step"
    with pytest.raises(EdgeVaeError, match=r"logs to errors.csv alone; leave out --tensorboard"):
        run("--resume", tmp_path / "run", "--tensorboard")
    found = run("--resume", str(tmp_path / "run"))
    assert found.stdout.strip() == str(tmp_path / "run" / "checkpoint")
    assert (tmp_path / "run" / "checkpoint" / weights).is_file()
