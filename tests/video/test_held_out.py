"""What of a clip is held out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgevae.errors import InputError
from edgevae.video.held_out import HoldOut, Side

WINDOW_S, LEAD_S, TAIL_S = 0.64, 0.08, 0.02


def windows(held_out: HoldOut, clip_s: float) -> dict[Side, list[tuple[float, float]]]:
    """Return the windows of a clip at 25 frames a second, by what they are for."""
    found: dict[Side, list[tuple[float, float]]] = {side: [] for side in Side}
    for begin in np.arange(0.0, clip_s, 0.04):
        end = float(begin) + WINDOW_S
        side = held_out.side(float(begin), end, lead_s=LEAD_S, tail_s=TAIL_S, clip_s=clip_s)
        found[side].append((begin, end))
    return found


@pytest.mark.parametrize("piece_s", [0.0, 3.0, 4.0])
@pytest.mark.parametrize("share", [0.3, 0.4])
def test_no_window_to_train_on_shares_a_moment_with_a_held_out_one_and_all_lie_in_the_clip(
    share, piece_s
):
    for clip_s in (2.74, 3.0, 8.03, 40.0):
        found = windows(HoldOut(share=share, piece_s=piece_s), clip_s)
        training, held = found[Side.TRAINING], found[Side.HELD_OUT]
        assert training
        assert held
        for (begin, end), (first, last) in itertools.product(training, held):
            # What either is made of begins before it, and ends behind it.
            assert end + TAIL_S <= first + 1e-6 or begin - LEAD_S >= last - 1e-6
            assert end <= first - LEAD_S + 1e-6 or begin >= last + TAIL_S - 1e-6
        assert max(end for _, end in (*training, *held)) <= clip_s + 1e-5


def test_without_pieces_the_end_of_a_clip_is_held_out():
    held_out = HoldOut(share=0.25)
    assert held_out.stretches(8.0) == [(6.0, 8.0)]
    found = windows(held_out, 8.0)
    assert 6.0 - TAIL_S - 0.04 < max(end for _, end in found[Side.TRAINING]) <= 6.0 - TAIL_S
    assert 6.0 + LEAD_S <= min(begin for begin, _ in found[Side.HELD_OUT]) < 6.0 + LEAD_S + 0.04


def test_pieces_are_whole_ones_about_as_long_as_asked_for_and_a_short_clip_is_one():
    held_out = HoldOut(share=0.5, piece_s=3.0)
    assert np.allclose(held_out.stretches(8.0), [(2 / 3, 2.0), (10 / 3, 14 / 3), (6.0, 22 / 3)])
    assert held_out.stretches(1.0) == [(0.25, 0.75)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"share": 1.0}, "got a share of 1.0, expected one between 0 and 1"),
        ({"share": 0.3, "piece_s": float("nan")}, "got pieces of nan s, expected a number from 0"),
        ({"share": 0.3, "piece_s": float("inf")}, "got pieces of inf s, expected a number from 0"),
    ],
)
def test_what_holds_out_nothing_that_there_is_is_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        HoldOut(**wrong)


def test_it_is_said_in_words():
    assert str(HoldOut(share=0.25)) == "25% at its end"
    assert str(HoldOut(share=0.35, piece_s=3.0)) == "35% in the middle of 3 s"
