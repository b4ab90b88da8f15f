from __future__ import annotations

import re
from dataclasses import replace

import pytest

from edgevae.errors import ConfigError, InputError
from edgevae.spec import TensorSpec, VaeSpec
from edgevae.strict import from_dict, to_dict

SPEC = VaeSpec(
    temporal_factor=4,
    spatial_factor=8,
    latent_channels=2,
    encoder_halo_px=16,
    decoder_halo_cells=3,
    encoder_state=(
        TensorSpec(name="past", dtype="float32", shape=("batch", 6, "height/4", "width/4")),
    ),
    decoder_state=(),
    latent_mean=(0.0, 0.5),
    latent_std=(1.0, 2.0),
)


def test_a_shape_resolves_to_numbers():
    spec = TensorSpec(name="x", dtype="uint8", shape=("4*batch", "height", "width/8", 3))
    assert spec.resolve({"batch": 2, "height": 5, "width": 64}) == (8, 5, 8, 3)


def test_a_shape_that_does_not_divide_is_refused():
    with pytest.raises(ConfigError, match="height=30 is no multiple of 4; pad it"):
        SPEC.encoder_state[0].resolve({"batch": 1, "height": 30, "width": 32})


@pytest.mark.parametrize("dim", ["height//2", "2 * height", "-1", "height-1", ""])
def test_a_dimension_outside_the_grammar_is_refused(dim):
    with pytest.raises(ConfigError, match="is not 'name'"):
        TensorSpec(name="x", dtype="uint8", shape=(dim,))


def test_a_spec_survives_its_dictionary():
    assert from_dict(VaeSpec, to_dict(SPEC), where="spec") == SPEC


def test_compression_counts_values():
    assert (
        replace(
            SPEC, latent_channels=16, latent_mean=(0.0,) * 16, latent_std=(1.0,) * 16
        ).compression
        == 48
    )


NESTED = replace(
    SPEC,
    latent_channels=16,
    nested_channels=(4, 8),
    latent_mean=(0.0,) * 16,
    latent_std=(1.0,) * 16,
)


def test_a_nested_model_works_with_the_channels_that_it_names_and_with_all():
    assert NESTED.channels == (4, 8, 16)
    assert SPEC.channels == (2,)
    assert [NESTED.compression_of(n) for n in NESTED.channels] == [192, 96, 48]
    assert [NESTED.require_channels(n) for n in (4, 8, 16, None)] == [4, 8, 16, 16]
    assert SPEC.require_channels(None) == SPEC.require_channels(2) == 2


@pytest.mark.parametrize("wrong", [0, 5, 12, 17, -4, "8", (8,)])
def test_another_number_of_channels_is_refused_with_the_choice(wrong):
    message = f"channels: got {re.escape(repr(wrong))}, expected 4, 8 or 16, .*for all 16$"
    with pytest.raises(InputError, match=message):
        NESTED.require_channels(wrong)
    with pytest.raises(InputError, match="expected 2, "):
        SPEC.require_channels(wrong)


def test_what_was_stored_before_there_were_nested_channels_or_a_lead_has_none():
    assert not {"nested_channels", "lead_frames"} & set(SPEC.stored())
    assert from_dict(VaeSpec, SPEC.stored(), where="spec") == SPEC
    assert from_dict(VaeSpec, NESTED.stored(), where="spec") == NESTED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "unknown key 'colour'; expected one of temporal_factor"),
        ({"temporal_factor": "4"}, "temporal_factor: got '4', expected int"),
        ({"temporal_factor": True}, "temporal_factor: got True, expected int"),
        ({"temporal_factor": 0}, "temporal_factor is 0, expected at least 1"),
        ({"lead_frames": 4}, "lead_frames is 4, expected 0 to 3, less than the temporal factor"),
        ({"lead_frames": -1}, "lead_frames is -1, expected 0 to 3"),
        ({"encoder_halo_px": "all"}, "encoder_halo_px: got 'all', expected int"),
        ({"latent_mean": [0.0]}, "latent_mean must be 2 finite numbers"),
        ({"latent_std": [0.0, 1.0]}, "latent_std has 0.0, expected numbers above 0"),
        ({"latent_std": [1e-50, 1.0]}, "latent_std has 1e-50, expected numbers above 0"),
        ({"latent_mean": [1e39, 1.0]}, "latent_mean must be 2 finite numbers"),
        ({"encoder_halo_px": -8}, "encoder_halo_px is -8, expected 0 or more"),
        ({"decoder_halo_cells": -1}, "decoder_halo_cells is -1, expected 0 or more"),
        (
            {"encoder_state": [{"name": "x", "dtype": "float64", "shape": []}]},
            r"encoder_state\[0\]: dtype: got 'float64'",
        ),
        ({"decoder_state": {}}, "decoder_state: got {}, expected a list"),
        (
            {"nested_channels": [2]},
            r"nested_channels is \[2\], expected ascending numbers from 1 to 1",
        ),
        ({"nested_channels": [0, 1]}, r"nested_channels is \[0, 1\]"),
        ({"nested_channels": [1, 1]}, r"nested_channels is \[1, 1\]"),
        ({"nested_channels": ["1"]}, r"nested_channels\[0\]: got '1', expected int"),
    ],
)
def test_a_wrong_key_or_value_is_named(change, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(VaeSpec, {**to_dict(SPEC), **change}, where="spec")


def test_the_first_step_of_a_clip_stands_for_fewer_frames_where_there_is_a_lead():
    assert [SPEC.frames_of(n) for n in (1, 3)] == [4, 12]
    assert [replace(SPEC, lead_frames=3).frames_of(n) for n in (1, 3)] == [1, 9]


def test_a_halo_may_be_the_whole_frame():
    whole = replace(SPEC, encoder_halo_px=None, decoder_halo_cells=None)
    assert from_dict(VaeSpec, whole.stored(), where="spec") == whole


def test_a_missing_key_is_named():
    data = to_dict(SPEC)
    del data["latent_std"]
    with pytest.raises(ConfigError, match="spec: key 'latent_std' is missing"):
        from_dict(VaeSpec, data, where="spec")
