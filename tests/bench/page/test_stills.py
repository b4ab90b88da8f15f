"""Pictures in the page: the frames as they were, or how far from it."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from edgevae_bench.page import stills
from edgevae_bench.page.view import Pictures
from edgevae_bench.picture import amplified_difference


def pixels(uri: str) -> np.ndarray:
    kind, _, data = uri.partition(",")
    assert kind == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def frame(still, random):
    frame = still("worst", 3, source=0, made=0)
    frame.source = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    frame.reconstruction = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return frame


def test_small_pictures_are_the_frames_bit_by_bit(frame):
    found = stills.embed(Pictures(subject="a", shown=[frame]))
    (one,) = found.stills
    assert (found.width_px, found.height_px) == (30, 20)
    assert np.array_equal(pixels(one.source), frame.source)
    assert np.array_equal(pixels(one.made), frame.reconstruction)
    difference = amplified_difference(frame.source, frame.reconstruction)
    assert np.array_equal(pixels(one.difference), difference)
    assert "without loss" in found.remark


def test_large_pictures_are_stored_with_loss_and_the_page_says_how_much(frame, monkeypatch):
    monkeypatch.setattr(stills, "LOSSLESS_BYTES", 100)
    found = stills.embed(Pictures(subject="a", shown=[frame]))
    error = np.square(pixels(found.stills[0].source) - frame.source.astype(np.float32)).mean()
    worst = float(found.remark.split(", ")[1].split(" dB")[0])
    assert worst <= 10 * np.log10(255**2 / error) + 0.05
    assert f"quality {stills.QUALITY}" in found.remark


def test_of_frames_too_large_for_a_page_the_middle_is_shown_pixel_for_pixel(frame, monkeypatch):
    monkeypatch.setattr(stills, "MAX_SIDE_PX", 10)
    found = stills.embed(Pictures(subject="a", shown=[frame]))
    assert np.array_equal(pixels(found.stills[0].source), frame.source[5:15, 10:20])
    assert "The middle 10x10 of 30x20 pixels." in found.remark


def test_a_frame_that_comes_twice_is_there_once_with_both_titles(still):
    twice = [still(title, index, source=9, made=8) for title, index in (("last", 7), ("first", 0))]
    found = stills.embed(Pictures(subject="a", shown=[*twice, still("worst", 7, source=9, made=8)]))
    assert [one.title for one in found.stills] == [
        "0 (first), 31.20 dB",
        "7 (last, worst), 31.20 dB",
    ]


def test_no_frames_make_no_pictures():
    assert stills.embed(Pictures(subject="a", shown=())).stills == ()
