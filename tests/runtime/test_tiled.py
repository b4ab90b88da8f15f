"""Tiled is untiled, to the bit, where the halo is finite; blended, and said so, where it is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import edgevae
from edgevae import Tiling
from edgevae.bundle import DIGEST, MANIFEST
from edgevae.errors import InputError
from edgevae.files import sha256
from edgevae.runtime.seams import measure_seam
from edgevae.tiles import blend_weights, grid

# The tiny models see 48 px and 7 cells: 128 px is the smallest multiple of 64 that leaves something of a tile.
TILE = 128


def rewrite_spec(bundle: Path, **changes: object) -> Path:
    """Change the specification of a copied bundle."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["format_version"] = 2
    manifest["spec"].update(changes)
    text = json.dumps(manifest)
    (bundle / MANIFEST).write_text(text)
    (bundle / DIGEST).write_text(sha256(text.encode()) + "\n")
    return bundle


def load(bundle, **tiling):
    return edgevae.load(bundle, device="cpu", precision="fp32", threads=1, tiling=Tiling(**tiling))


@pytest.fixture(params=["video", "image", "nested", "lead"])
def pair(request, tiny_bundle, tiny_image_bundle):
    """The same model with and without tiles."""
    bundle = {
        "video": lambda: tiny_bundle,
        "image": lambda: tiny_image_bundle,
        "nested": lambda: request.getfixturevalue("nested_bundle"),
        "lead": lambda: request.getfixturevalue("lead_bundle"),
    }[request.param]()
    with load(bundle) as whole, load(bundle, tile_px=TILE) as tiled:
        yield whole, tiled


@pytest.mark.parametrize("shape", [(9, 200, 144, 3), (2, 6, 130, 140, 3), (5, 150, 60, 3)])
def test_tiled_equals_untiled_to_the_bit(pair, noise, shape):
    whole, tiled = pair
    frames = noise(*shape)
    latents = whole.encode(frames)
    extent = {"frames": shape[-4], "size": shape[-3:-1]}
    assert np.array_equal(tiled.encode(frames), latents)
    assert np.array_equal(tiled.decode(latents, **extent), whole.decode(latents, **extent))
    for channels in whole.channels[:-1]:
        kept = whole.reconstruct(frames, channels=channels)
        assert np.array_equal(tiled.reconstruct(frames, channels=channels), kept)


def test_a_tiled_stream_carries_the_state_of_every_tile(pair, noise):
    whole, tiled = pair
    frames, out = noise(13, 152, 152, 3), []
    states = [vae.stream(height=152, width=152) for vae in pair]
    groups = edgevae.chunks(
        [frames], chunk_frames=whole.chunk_frames, lead_frames=whole.spec.lead_frames
    )
    for chunk in groups:
        z, states[0] = whole.encode_chunk(chunk, states[0])
        y, states[0] = whole.decode_chunk(z, states[0])
        latents, pictures = np.empty_like(z), np.empty_like(y)
        got, states[1] = tiled.encode_chunk(chunk, states[1], out=latents)
        shown, states[1] = tiled.decode_chunk(z, states[1], out=pictures)
        assert got is latents
        assert shown is pictures
        assert np.array_equal(latents, z)
        assert np.array_equal(pictures, y)
        out.append(y)
    assert np.array_equal(np.concatenate(out)[:13], whole.reconstruct(frames))


def test_a_margin_smaller_than_the_halo_is_not_exact(own_bundle, noise):
    with load(own_bundle) as vae:
        spec, frames = vae.spec, noise(4, 200, 200, 3)
        latents = vae.encode(frames)
        pictures = vae.decode(latents)
    claim = {"encoder_halo_px": spec.encoder_halo_px - 24, "decoder_halo_cells": 2}
    with load(rewrite_spec(own_bundle, **claim), tile_px=TILE) as tiled:
        assert not np.array_equal(tiled.encode(frames), latents), "the test above can fail"
        assert not np.array_equal(tiled.decode(latents), pictures)


def test_a_tiled_state_may_be_used_twice_on_the_cpu_and_belongs_to_its_model(tiny_bundle, noise):
    frames = noise(4, 144, 144, 3)
    with load(tiny_bundle, tile_px=TILE) as vae, load(tiny_bundle, tile_px=TILE) as other:
        state = vae.stream(height=144, width=144)
        one, _ = vae.encode_chunk(frames, state)
        two, _ = vae.encode_chunk(frames, state)
        assert np.array_equal(one, two)
        with pytest.raises(InputError, match="got the state of another model"):
            other.encode_chunk(frames, state)


def test_arrays_and_streams_of_a_gpu_are_refused_where_frames_are_cut(tiny_bundle, noise):
    class OnDevice:
        shape = (4, 144, 144, 3)

        def __dlpack__(self) -> None: ...

    with load(tiny_bundle, tile_px=TILE) as vae:
        state = vae.stream(height=144, width=144)
        for frames, stream in ((OnDevice(), None), (noise(4, 144, 144, 3), 7)):
            with pytest.raises(InputError, match="tiles are cut in host memory"):
                vae.encode_chunk(frames, state, stream=stream)


@pytest.mark.parametrize(
    ("tiling", "message"),
    [
        ({"tile_px": 112}, "tile: got 112 px, expected at least 120"),
        ({"tile_px": 130}, "tile: got 130 px, expected a multiple of the model's 8 px"),
        ({"tile_px": 0}, "tile_px is 0, expected a whole number of at least 1"),
        ({"tile_px": 128.0}, "tile_px is 128.0, expected a whole number"),
        ({"roles": ()}, r"roles is \(\), expected encoder, decoder or both"),
        ({"tile_px": 128, "max_memory_bytes": 10**9}, "expected one of them"),
        ({"held_chunks": -1}, "held_chunks is -1, expected a whole number of at least 0"),
    ],
)
def test_tiles_that_do_not_suit_the_model_are_refused(tiny_bundle, tiling, message):
    with pytest.raises(InputError, match=message) as caught:
        load(tiny_bundle, **tiling)
    assert "\n" not in str(caught.value)


@pytest.fixture
def whole_frame_bundle(own_bundle):
    """A copy of the tiny video model that claims to see the whole frame."""
    return rewrite_spec(own_bundle, encoder_halo_px=None, decoder_halo_cells=None)


def test_a_model_that_sees_the_whole_frame_is_blended_and_the_seam_is_said(
    whole_frame_bundle, noise
):
    said = []
    frames = noise(8, 200, 144, 3)
    with load(whole_frame_bundle) as whole:
        latents = whole.encode(frames)
    with load(whole_frame_bundle, tile_px=64, report=said.append) as tiled:
        coded = tiled.encode(frames)
        shown = tiled.decode(latents)
        tiled.encode(frames)
    assert not np.array_equal(coded, latents)
    assert np.array_equal(coded, blended(whole_frame_bundle, frames))
    assert np.array_equal(shown, blended(whole_frame_bundle, latents))
    assert len(said) == 3, "the choice of tiles, and a seam of each graph; once for a size"
    assert "encoder 3x4 tiles of 64x64 px, blended, decoder 3x4 tiles" in said[0]
    assert all("differ by" in line and "\n" not in line for line in said[1:])


def blended(bundle: Path, data: np.ndarray) -> np.ndarray:
    """Clips of all tiles by themselves, each whole, times their weights: what tiling should come to."""
    is_encoder = data.dtype == np.uint8
    reading, writing, sides = (8, 1, data.shape[1:3]) if is_encoder else (1, 8, data.shape[-2:])
    cut = grid(tuple(side // reading for side in sides), tile=(8, 8), margin=1)
    total = 0.0
    with load(bundle) as vae:
        for row, column in cut.tiles:
            part = [slice(s.first * reading, s.past * reading) for s in (row, column)]
            result = (
                vae.encode(data[(slice(None), *part)])
                if is_encoder
                else vae.decode(data[(..., *part)])
            )
            y, x = (
                blend_weights(s, length=n, margin=1, scale=writing)
                for s, n in zip((row, column), cut.extent, strict=True)
            )
            weights = np.outer(y, x) if is_encoder else np.outer(y, x)[:, :, None]
            before, behind = (
                ((s.first * writing, (n - s.past) * writing))
                for s, n in zip((row, column), cut.extent, strict=True)
            )
            sides = (before, behind) if is_encoder else (before, behind, (0, 0))
            free = [(0, 0)] * (result.ndim - len(sides))
            total = total + np.pad((result * weights).astype(np.float32), [*free, *sides])
    return total if is_encoder else np.rint(total).astype(np.uint8)


@pytest.mark.parametrize("turned", [False, True])
def test_a_seam_is_the_blend_against_a_tile_across_it(whole_frame_bundle, noise, turned):
    frames = noise(4, 64, 112, 3)  # cells 0 to 8 and 7 to 14 around a cut at 7
    frames = frames.swapaxes(1, 2).copy() if turned else frames
    extent = (14, 8) if turned else (8, 14)
    cut = grid(extent, tile=(8, 8), margin=1)
    blend = blended(whole_frame_bundle, frames)
    with load(whole_frame_bundle) as vae:
        across = vae.encode(frames[:, 24:88] if turned else frames[:, :, 24:88])
        seam = measure_seam(vae._encoder, vae.spec, frames, cut=cut, batch=1)
    axis = 2 if turned else 3
    difference = blend.take([6, 7], axis) - across.take([3, 4], axis)
    assert seam.largest == pytest.approx(np.abs(difference).max(), rel=1e-5)
    assert seam.rms == pytest.approx(np.sqrt(np.square(difference).mean()), rel=1e-5)


def test_without_a_cut_nothing_is_said_and_nothing_changes(whole_frame_bundle, noise):
    said, frames = [], noise(4, 64, 64, 3)
    with load(whole_frame_bundle, tile_px=64, report=said.append) as tiled:
        coded = tiled.encode(frames)
    with load(whole_frame_bundle) as whole:
        assert np.array_equal(coded, whole.encode(frames))
    assert not said
