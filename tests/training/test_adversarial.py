"""Runs against a discriminator: what it changes, and that it costs none of what runs promise without one."""

import csv
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from edgevae.nn.config import preset
from edgevae.training import fit
from edgevae.training.adversarial import Adversary, gradient_ratio, last_layer
from edgevae.training.config import TrainConfig
from edgevae.training.judges import Judges, judged_frames
from edgevae.training.module import VaeTraining
from edgevae.training.processes import Processes
from edgevae.training.state import load_state

pytestmark = pytest.mark.filterwarnings("ignore:.*GPU available but not used.*")

ONE_STEP = fit.Session(max_minutes=1e-6)
NAMES = ("adversarial_loss", "adversarial_weight", "discriminator_loss", "discriminator_accuracy")


@pytest.fixture
def config(tiny_run):
    """A tiny run whose discriminator comes at step 2 of 5."""
    return replace(
        tiny_run,
        steps=5,
        val_every_steps=2,
        principal_patches=0,
        adversarial=True,
        adversarial_start=2,
        adversarial_warmup_steps=2,
        discriminator_channels=4,
        judged_frames=2,
    )


@pytest.fixture
def clips():
    return torch.rand((2, 8, 3, 32, 32), generator=torch.Generator().manual_seed(2)) * 1.8 - 0.9


def tensors(run):
    """Everything in a run's state: weights, averages and what both optimisers keep."""
    state = load_state(run)
    found = dict(state.module)
    for name, optimizer in (
        ("vae", state.optimizer),
        ("discriminator", state.discriminator_optimizer),
    ):
        for i, entry in optimizer["state"].items():
            found |= {f"{name}.{i}.{key}": value for key, value in entry.items()}
    return found


def different(one, two):
    assert one.keys() == two.keys()
    return [name for name in one if not torch.equal(one[name], two[name])]


def test_a_run_stopped_at_every_step_ends_with_the_bits_of_one_without_a_stop(config, tmp_path):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    fit.start(config, "moving-digits", run=straight)
    fit.start(config, "moving-digits", run=stopped, session=ONE_STEP)
    while load_state(stopped).step < config.steps:
        fit.resume(stopped, session=ONE_STEP)
    expected = tensors(straight)
    assert any(name.startswith("discriminator.") for name in expected)
    assert any(name.startswith("judges.") for name in expected)
    assert different(expected, tensors(stopped)) == []
    since_start, since_stop = (load_state(run).since_line for run in (straight, stopped))
    assert str(since_start) == str(since_stop)  # NaN is not equal to itself
    with pytest.raises(
        AssertionError
    ):  # the comparison would notice a discriminator that begins anew
        fit.start(replace(config, adversarial_start=3), "moving-digits", run=tmp_path / "later")
        assert different(expected, tensors(tmp_path / "later")) == []


def test_the_log_has_the_adversary_from_its_start_and_the_run_is_the_same_before(config, tmp_path):
    config = replace(config, steps=50, val_every_steps=50, adversarial_start=30)
    fit.start(config, "moving-digits", run=tmp_path / "run")
    fit.start(replace(config, adversarial=False), "moving-digits", run=tmp_path / "without")
    lines = []
    for name in ("run", "without"):
        with (tmp_path / name / "metrics.csv").open() as file:
            lines.append([row for row in csv.DictReader(file) if row["loss"]])
    with_one, without = lines
    assert with_one[0]["loss"] == without[0]["loss"]
    assert [bool(row[name]) for row in with_one for name in NAMES] == [False] * 4 + [True] * 4
    assert not any(row[name] for row in without for name in NAMES)
    assert 0.0 <= float(with_one[-1]["discriminator_accuracy"]) <= 1.0
    assert float(with_one[-1]["adversarial_weight"]) > 0
    assert load_state(tmp_path / "without").discriminator_optimizer is None


def test_from_its_start_the_last_weights_are_kept_because_the_loss_does_not_tell(config, tmp_path):
    worse = replace(config, learning_rate=0.3, principal_patches=900)
    for adversarial in (True, False):
        run = tmp_path / str(adversarial)
        fit.start(replace(worse, adversarial=adversarial), "moving-digits", run=run)
        kept = load_file(run / "checkpoint" / "model.safetensors")
        state = load_state(run)
        assert state.best_val_loss < float(last_validation(run)), "it did not get worse"
        last = [torch.equal(state.module[f"average.{name}"], t) for name, t in kept.items()]
        assert all(last) is adversarial
        assert state.stale_validations == (0 if adversarial else 3)


def last_validation(run):
    with (run / "metrics.csv").open() as file:
        return [row["val_loss"] for row in csv.DictReader(file) if row["val_loss"]][-1]


def adversary_for(config):
    adversary = Adversary(config, Processes())
    adversary.begin()
    return adversary


def test_learning_moves_the_discriminator_only_and_the_term_the_vae_only(config, clips):
    training, adversary = VaeTraining(config), adversary_for(config)
    chosen = judged_frames(config, range(2))
    made, _ = training.vae(clips, torch.zeros(training.vae.latent_shape(clips)))
    before = [p.clone() for p in adversary.discriminator.parameters()]
    adversary.learn(made, clips, chosen=chosen, step=5)
    after = list(adversary.discriminator.parameters())
    assert not any(torch.equal(b, a) for b, a in zip(before, after, strict=True))
    assert all(p.grad is None for p in training.vae.parameters())

    term, _ = adversary.term(
        made, chosen=chosen, loss=made.square().mean(), last_layer=last_layer(training.vae), step=5
    )
    term.backward()
    assert last_layer(training.vae).grad.any()
    assert all(p.grad is None and not p.requires_grad for p in after)


def test_a_discriminator_learns_to_tell_blur_from_what_is_sharp(config, clips):
    adversary = adversary_for(replace(config, learning_rate=5e-3))
    blurred = clips.mean((3, 4), keepdim=True).expand_as(clips)
    figures = [
        adversary.learn(blurred, clips, chosen=judged_frames(config, range(2)), step=2)
        for _ in range(40)
    ]
    assert figures[0]["discriminator_loss"].item() == pytest.approx(1.0, abs=0.2)
    assert figures[-1]["discriminator_loss"] < 0.5
    assert figures[-1]["discriminator_accuracy"] > 0.9


def test_the_weight_makes_both_gradients_as_long_whatever_the_scale_of_the_losses():
    layer = torch.linspace(-1, 1, 12, requires_grad=True)
    loss, other = (layer * 3).sum(), (layer**2).sum()
    for scale in (1e-3, 1.0, 50.0):
        ratio = gradient_ratio(loss, scale * other, layer, Processes())
        weighted = torch.autograd.grad(ratio * scale * other, layer, retain_graph=True)[0]
        assert weighted.norm().item() == pytest.approx(3 * math.sqrt(12), rel=1e-3)
        assert not ratio.requires_grad
    nothing = gradient_ratio(loss, 0.0 * other, layer, Processes())
    assert nothing.item() == 1e4, "a discriminator without an opinion is not given all weight"


def test_the_last_layer_is_one_that_every_pixel_comes_through():
    for size in ("xs", "s"):
        training = VaeTraining(TrainConfig(model=preset(size, kind="image")))
        clips = torch.rand(1, 1, 3, 16, 16) * 2 - 1
        for parameter in training.vae.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
        made, _ = training.vae(clips, torch.zeros(training.vae.latent_shape(clips)))
        for pixel in ((0, 0), (7, 8), (15, 15)):
            slope = torch.autograd.grad(
                made[0, 0, 1, pixel[0], pixel[1]], last_layer(training.vae), retain_graph=True
            )[0]
            assert slope.any()


def test_the_adversary_comes_gradually(config):
    weights = [config.adversarial_weight_at(step) for step in (2, 3, 4, 5)]
    assert weights == [0.25, 0.5, 0.5, 0.5]
    assert [config.is_judged_by_loss_at(step) for step in (0, 2, 3)] == [True, True, False]
    assert replace(config, adversarial=False).is_judged_by_loss_at(99)


def test_judged_frames_depend_on_the_seed_and_the_clip_only(config):
    together = judged_frames(config, range(10, 16))
    parts = [judged_frames(config, range(first, first + 2)) for first in (10, 12, 14)]
    assert torch.equal(together, torch.cat(parts))
    assert together.shape == (6, 2)
    assert (together[:, 0] < together[:, 1]).all()
    assert not torch.equal(together, judged_frames(replace(config, seed=1), range(10, 16)))
    all_of_them = judged_frames(replace(config, judged_frames=99), range(2))
    assert all_of_them.tolist() == [list(range(8))] * 2


def test_every_frame_is_judged_about_as_often(config):
    counts = torch.bincount(judged_frames(config, range(400)).flatten(), minlength=8)
    assert counts.min() > 60
    assert counts.max() < 140


def test_a_run_without_judges_keeps_nothing_of_them(tiny_run):
    assert dict(Judges(tiny_run, Processes(), None).state_dict()) == {}
