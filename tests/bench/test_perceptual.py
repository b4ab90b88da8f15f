"""VMAF by a real ffmpeg; LPIPS is compared with torchmetrics in tests/nn."""

from __future__ import annotations

import numpy as np
import pytest

from edgevae.bundle import Bundle
from edgevae.errors import EdgeVaeError, UnavailableError
from edgevae_bench import perceptual
from edgevae_bench.clip import Clip, parts
from edgevae_bench.scoring import Reconstruction, score
from edgevae_bench.work import Case


@pytest.fixture
def clip(video):
    return Clip(path=str(video), max_frames=8, size_px=(120, 160))


def test_vmaf_falls_with_the_noise_and_does_not_ask_in_which_parts_a_clip_comes(clip, tmp_path):
    if (why := perceptual.ffmpeg_with_vmaf()[1]) is not None:
        pytest.skip(why)
    whole = np.concatenate(list(parts(clip, chunk_frames=4)))
    noise = np.random.default_rng(0).normal(size=whole.shape)
    found = []
    for strength in (0, 20, 60):
        noisy = (whole + strength * noise).clip(0, 255).astype(np.uint8)
        made = (noisy[:3], noisy[3:])
        found.append(perceptual.vmaf(parts(clip, chunk_frames=4), made, folder=tmp_path))
    assert found[0] > 90
    assert found[0] > found[1] + 2 > found[2] + 12
    assert not list(tmp_path.glob("*.rgb")), "raw video is left behind"


def test_without_an_ffmpeg_that_has_it_vmaf_says_what_to_install(clip, tmp_path, monkeypatch):
    perceptual.ffmpeg_with_vmaf.cache_clear()
    monkeypatch.setattr(perceptual.shutil, "which", lambda _name: None)
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda _name: None)
    try:
        with pytest.raises(UnavailableError, match="the package imageio-ffmpeg has one"):
            perceptual.vmaf(parts(clip, chunk_frames=4), [], folder=tmp_path)
    finally:
        perceptual.ffmpeg_with_vmaf.cache_clear()


def test_frames_that_are_too_small_for_a_metric_cost_that_figure_and_no_other(
    video, tiny_bundle, tmp_path
):
    """libvmaf 3 crashes where a side is 16 pixels; a run at that size went with it."""
    small = Clip(path=str(video), max_frames=4, size_px=(16, 16))
    (source,) = parts(small, chunk_frames=4)
    np.save(tmp_path / "frames-1.npy", source)
    scored = score(
        "one",
        Reconstruction(folder=tmp_path, chunks=1, nonfinite_latents=0),
        clip=small,
        case=Case(height_px=16, width_px=16, batch_clips=1),
        spec=Bundle.open(tiny_bundle).manifest.spec,
        chunk_frames=4,
        reference=None,
        workers=1,
    )
    (row,) = scored.rows
    assert (row.quality.identical_frames, row.vmaf, row.lpips) == (4, None, None)
    assert row.unavailable["lpips"] == "frames of 16x16 are too small, expected sides of 32"
    assert "vmaf" in row.unavailable


def test_an_ffmpeg_that_fails_is_an_error_that_says_so(clip, tmp_path):
    if (why := perceptual.ffmpeg_with_vmaf()[1]) is not None:
        pytest.skip(why)
    whole = list(parts(clip, chunk_frames=4))
    shorter = [part[:, :10] for part in whole]
    with pytest.raises(
        EdgeVaeError, match=r"ffmpeg failed at 160x120 with exit code \d+: .*Invalid argument"
    ):
        perceptual.vmaf(whole, shorter, folder=tmp_path)
