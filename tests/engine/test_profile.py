"""Sizes and optimization profiles."""

from __future__ import annotations

import pytest

from edgevae.engine.profile import Profile, Size, parse_size, smallest
from edgevae.errors import InputError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("360p", (1, 360, 640)),
        ("480p", (1, 480, 832)),
        ("720p", (1, 720, 1280)),
        ("1080p", (1, 1080, 1920)),
        ("100x200", (1, 100, 200)),
        ("4x100x200", (4, 100, 200)),
    ],
)
def test_a_size_is_a_preset_or_numbers(text, size):
    found = parse_size(text)
    assert (found.batch, found.height, found.width) == size


@pytest.mark.parametrize("text", ["", "4k", "0x8", "8x", "1x2x3x4", "-8x8", "8X8", "08x8", "8x8\n"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match=r"expected HEIGHTxWIDTH, BATCHxHEIGHTxWIDTH or one of"):
        parse_size(text)


def test_a_size_is_rounded_up_to_whole_cells():
    assert parse_size("1x361x640").in_cells(8) == Size(height=368, width=640)


def test_a_profile_whose_sizes_are_out_of_order_is_refused():
    low, high = Size(height=64, width=64), Size(height=32, width=128)
    with pytest.raises(InputError, match="profile: height is min 64, opt 64, max 32"):
        Profile(min=low, opt=low, max=high)


def test_the_smallest_profile_that_covers_a_size_is_taken():
    wide = Profile(
        min=Size(height=64, width=64),
        opt=Size(height=360, width=640),
        max=Size(batch=2, height=1080, width=1920),
    )
    small, large = Profile.static(parse_size("360p")), Profile.static(parse_size("720p"))
    profiles = [wide, small, large]
    assert smallest(profiles, parse_size("360p")) == 1
    assert smallest(profiles, parse_size("720p")) == 2
    assert smallest(profiles, parse_size("480p")) == 0
    assert smallest(profiles, parse_size("4x480x832")) is None
