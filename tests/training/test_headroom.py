"""The penalty on large activations."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from edgevae.nn.blocks import MemBlock, ResBlock
from edgevae.training.headroom import Headroom
from edgevae.training.module import VaeTraining


@pytest.fixture
def network():
    blocks = nn.ModuleList([ResBlock(2), MemBlock(2)])
    for block in blocks:
        nn.init.zeros_(block.conv2.bias)
    return blocks


def test_it_counts_what_is_above_the_limit_in_every_block(network):
    residual, memory = network  # with their last kernels at zero both give relu(x)
    x = torch.full((1, 2, 4, 4), 30.0)
    with Headroom(network, limit=10.0) as headroom:
        residual(x)
        memory(x / 3.0, torch.zeros_like(x), 1)
    assert headroom.penalty().item() == pytest.approx((2.0**2 + 0.0) / 2)


def test_it_draws_activations_down(network):
    x = torch.full((1, 2, 4, 4), 30.0, requires_grad=True)
    with Headroom(network, limit=10.0) as headroom:
        network[0](x)
    headroom.penalty().backward()
    assert (x.grad > 0).all()


def test_a_run_without_its_weight_watches_nothing_and_one_with_it_does(tiny_run, monkeypatch):
    made = []
    original = Headroom.__enter__
    monkeypatch.setattr(Headroom, "__enter__", lambda self: made.append(self) or original(self))
    for weight in (0.0, 0.1):
        training = VaeTraining(replace(tiny_run, activation_weight=weight))
        monkeypatch.setattr(VaeTraining, "step", 0)
        monkeypatch.setattr(training, "_set_learning_rate", lambda step: None)
        loss = training.training_step(torch.zeros(2, 8, 3, 32, 32, dtype=torch.uint8), 0)["loss"]
        assert torch.isfinite(loss)
        assert bool(made) is (weight > 0)


def test_nothing_is_watched_outside_of_it(network):
    with Headroom(network, limit=10.0) as headroom:
        network[0](torch.zeros(1, 2, 4, 4))
    network[0](torch.full((1, 2, 4, 4), 1e4))
    assert headroom.penalty().item() == 0.0
