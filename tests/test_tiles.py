"""Tiles cover a frame, keep every cell once, and their weights sum to one."""

from __future__ import annotations

import numpy as np
import pytest

from edgevae.errors import InputError
from edgevae.tiles import (
    blend_margin,
    blend_weights,
    grid,
    in_cells,
    shortest_tile,
    spans,
)


@pytest.mark.parametrize("margin", [0, 1, 2])
@pytest.mark.parametrize("tile", [5, 8, 13, 30])
def test_every_cell_is_kept_once_a_margin_away_from_every_cut(tile, margin):
    for length in range(1, 60):
        found = spans(length, tile=tile, margin=margin)
        kept = [cell for s in found for cell in range(s.keep_first, s.keep_past)]
        assert kept == list(range(length))
        for s in found:
            assert 0 <= s.first <= s.keep_first < s.keep_past <= s.past <= length
            assert s.past - s.first == min(tile, length), "one shape for all"
            assert s.first == 0 or s.keep_first - s.first >= margin
            assert s.past == length or s.past - s.keep_past >= margin


def test_a_frame_smaller_than_a_tile_is_one_tile():
    alone = grid((3, 9), tile=(8, 12), margin=4)
    assert (alone.count, alone.tile, alone.extent) == (1, (3, 9), (3, 9))
    assert grid((3, 30), tile=(8, 12), margin=4).tile == (3, 12)


@pytest.mark.parametrize(("tile", "margin"), [(4, 1), (8, 2), (16, 2), (17, 4)])
@pytest.mark.parametrize("scale", [1, 8])
def test_weights_sum_to_one_everywhere(tile, margin, scale):
    for length in range(tile + 1, 5 * tile):
        total = np.zeros(length * scale)
        for s in spans(length, tile=tile, margin=margin):
            weights = blend_weights(s, length=length, margin=margin, scale=scale)
            assert weights.min() >= 0
            total[s.first * scale : s.past * scale] += weights
        np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_hole_in_the_weights_would_be_noticed():
    one, two, *_ = spans(20, tile=8, margin=2)
    weights = blend_weights(one, length=20, margin=2, scale=1)
    assert weights[: one.keep_past - 2].min() == 1
    assert weights[-1] < 0.2
    assert blend_weights(two, length=20, margin=2, scale=1)[0] < 0.2


@pytest.mark.parametrize("margin", [0, 1, 4])
def test_the_shortest_tile_covers_a_side_with_as_many(margin):
    for length in range(2 * margin + 2, 80):
        for count in range(1, 6):
            tile = shortest_tile(length, count=count, margin=margin)
            assert len(spans(length, tile=tile, margin=margin)) <= count
            if count > 1 and 2 * margin + 1 < tile < length:
                assert len(spans(length, tile=tile - 1, margin=margin)) > count


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spans(9, tile=8, margin=4), "tile: got 8 latent cells, expected more than 8"),
        (lambda: blend_margin((3, 90)), "tile: got 3 latent cells, expected at least 4"),
        (
            lambda: in_cells(100, cell_px=8),
            "tile: got 100 px, expected a multiple of the model's 8 px .* such as 104",
        ),
        (lambda: in_cells(0, cell_px=8), "tile: got 0 px, .* such as 8"),
    ],
)
def test_tiles_that_cannot_be_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
