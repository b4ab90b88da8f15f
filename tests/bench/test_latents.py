"""Looking into latents: the way between two clips, one channel moved, and the page of both."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import edgevae
from edgevae.errors import InputError
from edgevae_bench.latents.__main__ import command
from edgevae_bench.latents.page import Looked, to_html
from edgevae_bench.latents.walks import slerp, traversals, way


@pytest.fixture
def vae(tiny_bundle):
    with edgevae.load(tiny_bundle) as opened:
        yield opened


def test_on_the_sphere_the_way_stays_on_it_and_turns_evenly(random):
    a, b = (random.standard_normal((2, 4, 3, 5)).astype(np.float32) for _ in range(2))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    points = [slerp(a, b, share) for share in np.linspace(0.0, 1.0, 5)]
    assert np.allclose(points[0], a, atol=1e-5)
    assert np.allclose(points[-1], b, atol=1e-5)
    lengths = [np.linalg.norm(p) for p in points]
    assert np.allclose(lengths, lengths[0], rtol=1e-5)
    turns = [np.vdot(p, q) for p, q in itertools.pairwise(points)]
    assert np.allclose(turns, turns[0], rtol=1e-4)
    straight = 0.5 * (a + b)
    assert np.linalg.norm(straight) < 0.95 * lengths[0], "which the straight line does not"


def test_latents_of_no_or_one_direction_are_joined_by_the_line(random):
    a = random.standard_normal((1, 2, 3, 3)).astype(np.float32)
    assert np.allclose(slerp(a, 3 * a, 0.5), 2 * a, atol=1e-4)
    assert np.allclose(slerp(np.zeros_like(a), a, 0.25), 0.25 * a)


def test_the_way_begins_and_ends_with_the_reconstructions(vae, noise):
    a, b = noise(4, 16, 24, 3), noise(4, 16, 24, 3)
    found = way(vae, a, b, steps=3)
    assert found.shares == (0.0, 0.5, 1.0)
    for clip, made in ((a, found.spherical[0]), (b, found.spherical[2])):
        assert np.abs(vae.reconstruct(clip).astype(int) - made).max() <= 1
    assert np.array_equal(found.faded[0], a)
    assert np.array_equal(found.faded[2], b)
    with pytest.raises(InputError, match="expected the same"):
        way(vae, a, b[:2], steps=3)


def test_a_channel_not_moved_is_the_reconstruction_and_one_that_says_more_moves_more(vae, noise):
    clip = noise(4, 16, 24, 3)
    found = traversals(vae, clip, channels=range(4), offsets=(-2.0, 0.0, 2.0))
    middle = vae.reconstruct(clip)[2]
    for one in found:
        assert np.abs(one.frames[1].astype(int) - middle).max() <= 1
    by_figure = sorted(found, key=lambda one: one.levels_per_unit)
    moved = [np.abs(one.frames[2].astype(int) - one.frames[0]).mean() for one in by_figure]
    assert moved[-1] > moved[0]
    with pytest.raises(InputError, match="channel: got 4, expected 0 to 3 of this model"):
        traversals(vae, clip, channels=[4], offsets=(0.0,))


def test_the_page_is_one_file_and_escapes_what_it_is_given(vae, noise):
    clip = noise(4, 16, 24, 3)
    looked = Looked(
        model="a<b>",
        names=("<script>x</script>.mp4", "b.mp4"),
        way=way(vae, clip, clip, steps=2),
        offsets=(-1.0, 1.0),
        traversals=traversals(vae, clip, channels=[0, 1], offsets=(-1.0, 1.0)),
        kl_nats=(0.5, 2.0),
        kl_missing="",
    )
    page = to_html(looked)
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.index("width: 100.0%") < page.index("width: 25.0%"), "the largest KL first"
    assert page.count("<img") == 4


def test_the_kl_divergence_is_that_of_the_posterior(tiny_checkpoint, noise):
    torch = pytest.importorskip("torch")
    from edgevae.nn import load_checkpoint
    from edgevae_bench.baseline_posterior import kl_by_channel

    clip = noise(4, 16, 24, 3)
    posterior, _ = load_checkpoint(tiny_checkpoint).encode(
        torch.from_numpy(clip).permute(0, 3, 1, 2).float()[None] / 127.5 - 1.0
    )
    wanted = posterior.kl().mean((0, 1, 3, 4)).tolist()
    assert np.allclose(kl_by_channel(tiny_checkpoint, [clip]), wanted, rtol=1e-4)
    assert np.allclose(kl_by_channel(tiny_checkpoint, [clip, clip[:3]])[0], wanted[0], rtol=0.5)


def test_the_command_writes_page_and_picture_and_says_where_figures_are_missing(
    tiny_bundle, tiny_checkpoint, noise, tmp_path
):
    pytest.importorskip("PIL")
    from click.testing import CliRunner
    from PIL import Image

    for name, size in (("a.png", (40, 33)), ("b.png", (32, 48))):
        Image.fromarray(noise(*size, 3)).save(tmp_path / name)
    words = [tiny_bundle, tmp_path / "a.png", tmp_path / "b.png", "--frames", "4"]

    def run(*more):
        found = CliRunner().invoke(command, [str(w) for w in (*words, *more)])
        assert found.exit_code == 0, found.output
        return (tmp_path / "page.html").read_text()

    page = run("-o", tmp_path / "page.html", "--picture", tmp_path / "page.png", "--steps", 2)
    assert "it needs the checkpoint, which --checkpoint names" in page
    with Image.open(tmp_path / "page.png") as picture:
        assert picture.width > 100
    assert "nats a cell" in run("-o", tmp_path / "page.html", "--checkpoint", tiny_checkpoint)
