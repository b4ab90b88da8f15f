"""The penalty on large activations."""

import pytest
import torch
from torch import nn

from edgevae.nn.blocks import MemBlock, ResBlock
from edgevae.training.headroom import Headroom


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


def test_nothing_is_watched_outside_of_it(network):
    with Headroom(network, limit=10.0) as headroom:
        network[0](torch.zeros(1, 2, 4, 4))
    network[0](torch.full((1, 2, 4, 4), 1e4))
    assert headroom.penalty().item() == 0.0
