"""What the discriminator sees, and what its losses reward."""

import pytest
import torch

from edgevae.nn.discriminator import (
    Discriminator,
    PatchDiscriminator,
    accuracy,
    as_changes,
    discriminator_loss,
    generator_loss,
    with_details,
)

CHOSEN = torch.tensor([[0, 3], [1, 2]])


@pytest.fixture
def clips():
    return torch.rand((2, 4, 3, 64, 64), generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture
def discriminator():
    torch.manual_seed(0)
    return Discriminator(width=4, clip_frames=4).eval()


def test_there_is_a_logit_for_each_latent_cell_of_judged_frames_and_of_clips(discriminator, clips):
    frames, whole = discriminator(clips, CHOSEN)
    assert (frames.shape, whole.shape) == ((4, 1, 8, 8), (2, 1, 8, 8))


def test_a_reconstruction_in_bf16_is_judged_in_fp32(discriminator, clips):
    rounded = clips.bfloat16()
    for half, whole in zip(
        discriminator(rounded, CHOSEN), discriminator(rounded.float(), CHOSEN), strict=True
    ):
        assert torch.equal(half, whole)


def test_a_model_of_images_has_no_judge_of_clips(clips):
    assert len(Discriminator(width=4, clip_frames=1)(clips, CHOSEN)) == 1


def test_a_logit_sees_56_pixels_and_no_more():
    torch.manual_seed(0)
    picture = torch.randn(1, 3, 96, 96, requires_grad=True)
    PatchDiscriminator(3, 4).eval()(picture)[0, 0, 6, 6].backward()
    seen = picture.grad[0].abs().sum(0) > 0
    rows, columns = (seen.any(axis).nonzero().flatten() for axis in (1, 0))
    for span in (rows, columns):
        assert int(span.max() - span.min()) + 1 == 56
    assert abs(int(rows.min() + rows.max()) - 2 * 52) <= 1  # around its cell, whose middle is 52


def test_a_judgement_does_not_depend_on_what_else_is_judged(discriminator, clips):
    together = discriminator(clips, CHOSEN)
    alone = [discriminator(clips[i : i + 1], CHOSEN[i : i + 1]) for i in range(2)]
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.allclose(whole, torch.cat(parts), atol=1e-6)


def test_only_judged_frames_are_judged_one_by_one(discriminator, clips):
    other = clips.clone()
    other[0, 1:3] = 0.0  # of the first clip, 0 and 3 are judged
    before, after = (discriminator(c, CHOSEN) for c in (clips, other))
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_what_cannot_be_shown_tells_nothing(discriminator, clips):
    louder = torch.where(clips > 0.9, clips + 5.0, clips)
    shown = clips.where(clips <= 0.9, torch.ones_like(clips))
    for one, two in zip(discriminator(louder, CHOSEN), discriminator(shown, CHOSEN), strict=True):
        assert torch.equal(one, two)


def test_clips_as_changes_keep_everything_and_a_still_clip_has_none(clips):
    changes = as_changes(clips).unflatten(1, (4, 3))
    steps = torch.cat([changes[:, :1], changes[:, 1:] / 4.0], 1)
    assert torch.allclose(steps.cumsum(1), clips, atol=1e-5)
    assert as_changes(clips[:, :1].expand_as(clips))[:, 3:].abs().max() == 0


def test_no_convolution_makes_anything_larger_than_its_spectral_norm_allows():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(3, 8)
    for layer in (*discriminator.layers, discriminator.head):
        with torch.no_grad():
            layer.parametrizations.weight.original.mul_(50.0)
        for _ in range(30):
            discriminator(torch.zeros(1, 3, 16, 16))
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(
            1.0, abs=0.03
        )


def test_the_hinge_loss_asks_for_a_margin_of_one_and_no_more():
    real, made = [torch.full((2, 1, 2, 2), 1.5)], [torch.full((2, 1, 2, 2), -1.0)]
    assert discriminator_loss(real, made).item() == 0.0
    assert discriminator_loss(made, real).item() == pytest.approx((2.0 + 2.5) / 2)
    assert discriminator_loss([torch.zeros(1)], [torch.zeros(1)]).item() == 1.0


def test_the_reconstruction_is_to_raise_its_logits_and_frames_count_like_clips():
    assert generator_loss([torch.full((8,), 3.0), torch.full((2,), 1.0)]).item() == -2.0


def test_accuracy_is_the_share_of_right_signs():
    real, made = [torch.tensor([1.0, 2.0, -1.0, 3.0])], [torch.tensor([-1.0, -2.0, 1.0, 1.0])]
    assert accuracy(real, made).item() == pytest.approx(5 / 8)
    assert accuracy(made, real).item() == pytest.approx(3 / 8)


def test_the_details_keep_everything_and_a_flat_picture_has_none(clips):
    pictures = clips.flatten(0, 1)
    mean, *details = with_details(pictures).chunk(4, 1)
    across, down, diagonal = (d / 8.0 for d in details)
    assert torch.allclose(mean + across + down + diagonal, pictures[..., ::2, ::2], atol=1e-6)
    assert torch.allclose(mean - across - down + diagonal, pictures[..., 1::2, 1::2], atol=1e-6)
    flat = pictures[..., :1, :1].expand_as(pictures)
    assert with_details(flat)[:, 3:].abs().max() == 0
