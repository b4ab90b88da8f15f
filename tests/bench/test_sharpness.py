"""Spectral sharpness on pictures whose spectrum is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from edgevae.errors import InputError
from edgevae_bench.sharpness import (
    BANDS,
    MIN_SIDE_PX,
    band_powers,
    sharpness_db,
    spectral_sharpness_db,
)


def waves(length_px, *, angle=0.0, height=96, width=128, amplitude=60.0):
    """Four grey frames of a wave."""
    y, x = np.mgrid[0:height, 0:width]
    phase = 2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / length_px
    frame = 128 + amplitude * np.sin(phase)
    return np.broadcast_to(frame[None, :, :, None], (4, height, width, 3)).astype(np.uint8)


def noise(*, sigma=20.0, size=(96, 129), seed=0):
    values = 128 + np.random.default_rng(seed).normal(0, sigma, (3, *size, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("angle", [0.0, np.pi / 2, 0.6])
@pytest.mark.parametrize(("length_px", "band"), [(2.8, 0), (5.6, 1), (11.0, 2), (22.0, 3)])
def test_a_wave_is_in_the_band_of_its_length_whatever_its_direction(length_px, band, angle):
    powers = band_powers(waves(length_px, angle=angle))
    assert powers[band] / powers.sum() > 0.9
    assert len(powers) == len(BANDS)


def test_equal_frames_are_at_0_db_and_half_the_contrast_at_minus_6():
    source = waves(6.0)
    assert spectral_sharpness_db(source, source) == (0.0,) * len(BANDS)
    assert spectral_sharpness_db(source, waves(6.0, amplitude=30.0))[1] == pytest.approx(
        -6.02, abs=0.1
    )


def test_blur_takes_from_the_finest_band_most_and_noise_adds_to_it():
    source = noise()
    blurred = np.stack([gaussian_filter(f, (0.8, 0.8, 0)) for f in source])
    lost = spectral_sharpness_db(source, blurred)
    assert lost[0] < lost[1] < lost[2] < lost[3] < 0.2
    assert lost[0] < -5
    added = spectral_sharpness_db(waves(22.0), waves(22.0) // 2 + noise(size=(96, 128))[:1] // 2)
    assert added[0] > 3


def test_the_power_of_white_noise_goes_with_the_area_of_each_band():
    for size in ((128, 128), (129, 161), (97, 128)):
        powers = band_powers(noise(size=size))
        assert powers[0] / powers[1] == pytest.approx(
            4.0, rel=0.12
        )  # a band has 4 times the next one's


def test_parts_of_a_clip_add_up():
    source, other = noise(), noise(seed=1)
    parts = [band_powers(source[:1]) + band_powers(source[1:]), band_powers(other)]
    assert sharpness_db(*parts) == pytest.approx(spectral_sharpness_db(source, other))


def test_what_is_flat_has_no_figure_to_compare_with():
    flat = np.full((1, 64, 64, 3), 77, np.uint8)
    assert sharpness_db(np.zeros(4), band_powers(noise())) == (None,) * 4
    assert sharpness_db(band_powers(noise()), band_powers(flat))[0] < -100


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((1, 64, 64, 3), np.float32), r"got float32 \[1, 64, 64, 3\], expected uint8"),
        (np.zeros((64, 64, 3), np.uint8), r"got uint8 \[64, 64, 3\]"),
        (np.zeros((1, 40, MIN_SIDE_PX, 3), np.uint8), "got frames of 64x40, expected at least 64"),
    ],
)
def test_what_is_no_clip_is_refused(frames, message):
    with pytest.raises(InputError, match=message):
        band_powers(frames)


def test_clips_of_two_sizes_are_refused():
    with pytest.raises(InputError, match="expected the same shape"):
        spectral_sharpness_db(noise(), noise()[:2])
