"""The survey of diffusers' families has a row of every one, and notices a stream that is not the whole clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="diffusers is in the diffusers extra")

from edgevae.errors import ParityError
from edgevae_export.diffusers import full_models, survey
from edgevae_export.diffusers.families import FAMILIES  # after the check that diffusers is here

ROOT = Path(__file__).parents[2]


def test_the_committed_survey_has_every_family_and_the_reasons_that_the_command_gives():
    rows = survey.read(ROOT / "docs" / "families.json").families
    exported = [row for row in rows if row.exported is not None]
    assert [row.name for row in exported] == survey.listed()
    not_measured = {"AutoencoderKLHunyuanImage"}  # docs/foreign.md says so
    assert {row.class_name for row in exported} == set(FAMILIES) - not_measured
    assert tuple(row for row in rows if row.refused is not None) == survey.refused_rows()
    assert all(row.exported.tensorrt.startswith("tensorrt_rtx ") for row in exported)


def test_a_stream_that_gives_other_frames_than_the_whole_clip_is_noticed(
    tiny_image_bundle, monkeypatch
):
    frames = survey.clip()
    assert frames.shape == (*survey.CLIP, 3)
    survey.require_round_trip(tiny_image_bundle, frames)
    monkeypatch.setattr(survey.edgevae, "chunks", lambda groups, **_: np.split(groups[0][::-1], 13))
    with pytest.raises(ParityError, match="a stream's frames differ from those of the whole clip"):
        survey.require_round_trip(tiny_image_bundle, frames)


def test_models_of_full_size_have_latents_and_frames_of_a_useful_range():
    import torch

    vae = full_models.make_full("taesd-random")
    with torch.no_grad():
        latents = vae.encode(torch.rand(1, 3, 64, 64) * 2 - 1).latents
        frames = vae.decode(latents).sample
    assert 0.5 < float(latents.std()) < 2
    assert 0.1 < float(frames.std()) < 1
