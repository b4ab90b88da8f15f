"""VMAF by a real ffmpeg; LPIPS is compared with torchmetrics in tests/nn."""

from __future__ import annotations

import numpy as np
import pytest

from edgevae.errors import UnavailableError
from edgevae_bench import perceptual
from edgevae_bench.clip import Clip, parts


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
