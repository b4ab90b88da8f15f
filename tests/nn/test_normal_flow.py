"""The flow of blocks that encoders of frames may be given."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edgevae.errors import ConfigError
from edgevae.nn.normal_flow import MOST_PX, normal_flow
from edgevae.nn.senses import MultimodalVae
from edgevae.nn.senses_config import SensesConfig
from edgevae.senses import Sense, SensesSpec

SPEC = SensesSpec(
    senses=(
        Sense(name="left", kind="frames", shape=(3, 16, 32)),
        Sense(name="tracks", kind="tracks", shape=(3, 2)),
    ),
    frames_per_second=10.0,
    window_frames=3,
)


def waves(x_px: float, y_px: float, *, across: float, down: float) -> torch.Tensor:
    """Return frames `[1, 9, 16, 32]` of a wave that moves by so much a frame, in -1..1."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(32.0), indexing="ij")
    at = [torch.sin(across * (x - x_px * t) + down * (y - y_px * t)) for t in range(3)]
    return 0.5 * torch.stack(at).repeat_interleave(3, 0)[None]


def test_a_wave_flows_along_its_gradient_by_as_much_as_it_moves():
    across = normal_flow(waves(0.5, 0.0, across=0.4, down=0.0), 3, block_px=4)
    assert across.shape == (1, 4, 4, 8)
    # Blocks at the edge of the picture, and those at a crest, have less to hold on to.
    assert torch.allclose(across[:, :2, :, 1:-1], torch.tensor(0.5), atol=0.05)
    assert torch.allclose(across[:, 2:], torch.tensor(0.0), atol=1e-5)
    down = normal_flow(waves(0.0, -0.5, across=0.0, down=0.4), 3, block_px=4)
    assert torch.allclose(down[:, 2:, 1:-1], torch.tensor(-0.5), atol=0.05)
    along = normal_flow(waves(0.0, 0.5, across=0.4, down=0.0), 3, block_px=4)
    assert torch.equal(along.abs().round(decimals=5), torch.zeros_like(along))


def test_noise_at_its_largest_stays_within_bounds_and_a_flat_picture_does_not_flow():
    noise = torch.randint(0, 2, (2, 9, 16, 32)).float() * 2 - 1
    assert normal_flow(noise, 3, block_px=4).abs().max() <= MOST_PX
    assert torch.equal(
        normal_flow(torch.ones(1, 9, 16, 32), 3, block_px=4), torch.zeros(1, 4, 4, 8)
    )


@torch.no_grad()
def test_an_encoder_of_frames_that_sees_motion_is_given_its_flow_and_others_are_as_before():
    config = SensesConfig(spec=SPEC, latent_channels=3, channels=(4, 6), hidden=5)
    plain, moving = MultimodalVae(config), MultimodalVae(replace(config, sees_motion=True))
    shapes = [dict(v.encoders["left"].named_parameters()) for v in (plain, moving)]
    other = {n for n in shapes[0] if shapes[0][n].shape != shapes[1][n].shape}
    assert other == {f"network.{moving.encoders['left'].before_vector}.weight"}
    frames = torch.randint(0, 256, (6, 16, 32, 3), dtype=torch.uint8)
    assert moving.posteriors({"left": frames})["left"].mean.shape == (2, 3, 1, 1)
    assert moving.encoders["tracks"].frames == 0


def test_one_frame_has_no_motion():
    one = SensesSpec(
        senses=(Sense(name="left", kind="frames", shape=(1, 16, 16)),),
        frames_per_second=10.0,
        window_frames=1,
    )
    with pytest.raises(ConfigError, match="sees_motion takes windows of at least 2 frames, got 1"):
        SensesConfig(spec=one, sees_motion=True)
