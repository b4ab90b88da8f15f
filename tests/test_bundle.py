from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from edgevae.bundle import DIGEST, MANIFEST, Bundle, write_bundle
from edgevae.errors import IncompatibleError, InputError, IntegrityError
from edgevae.files import sha256
from edgevae.runtime.vae import load
from edgevae.spec import VaeSpec
from edgevae.strict import from_dict


def rewrite(bundle, change):
    """Change the manifest of a bundle and give it a valid digest again."""
    data = json.loads((bundle / MANIFEST).read_text())
    change(data)
    text = json.dumps(data)
    (bundle / MANIFEST).write_text(text)
    (bundle / DIGEST).write_text(sha256(text.encode()) + "\n")


def test_a_bundle_opens_and_every_file_matches_its_digest(tiny_bundle):
    bundle = Bundle.open(tiny_bundle)
    assert bundle.manifest.name == "tiny-video"
    assert bundle.precisions == ("fp32", "fp16")
    assert set(bundle.manifest.files) | {MANIFEST, DIGEST} == {
        p.name for p in tiny_bundle.iterdir()
    }
    for name in bundle.manifest.files:
        assert bundle.read(name)


def test_a_flipped_byte_anywhere_is_noticed(own_bundle, random):
    for path in sorted(own_bundle.iterdir()):
        original = path.read_bytes()
        for position in {0, len(original) - 1, *random.integers(0, len(original), 20).tolist()}:
            data = bytearray(original)
            data[position] ^= 1 << int(random.integers(0, 8))
            path.write_bytes(data)
            with pytest.raises(IntegrityError):
                bundle = Bundle.open(own_bundle)
                bundle.read(path.name)
        path.write_bytes(original)
    assert Bundle.open(own_bundle)


def test_a_flipped_byte_in_a_graph_is_refused_before_loading(own_bundle):
    graph = own_bundle / "encoder.fp32.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    with pytest.raises(
        IntegrityError, match=r"encoder.fp32.onnx: sha256 is .*, expected .*; copy or export"
    ):
        load(own_bundle)


def test_a_missing_or_shorter_file_is_named(own_bundle):
    graph = own_bundle / "decoder.fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"decoder.fp32.onnx: \d+ bytes, expected \d+"):
        load(own_bundle)
    graph.unlink()
    with pytest.raises(IntegrityError, match=r"decoder.fp32.onnx: missing"):
        load(own_bundle)


def test_what_is_no_bundle_is_said_to_be_none(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        Bundle.open(tmp_path / "none")
    with pytest.raises(InputError, match="so it is no bundle"):
        Bundle.open(tmp_path)
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match="is a file, expected the folder of a bundle"):
        Bundle.open(picture)


def test_another_format_version_is_incompatible(own_bundle):
    for version in (5, "1", True):
        rewrite(own_bundle, lambda m, version=version: m.update(format_version=version))
        with pytest.raises(
            IncompatibleError,
            match=f"format version {version!r}, this edgevae reads 1, 2, 3 or 4; use",
        ):
            Bundle.open(own_bundle)


def test_graphs_beside_a_vae_are_version_3_and_nothing_less_says_them(
    tiny_predictor_bundle, tmp_path
):
    bundle = Bundle.open(tiny_predictor_bundle)
    assert bundle.manifest.format_version == 3
    assert bundle.roles == ("encoder", "decoder", "predictor")
    older = tmp_path / "older"
    shutil.copytree(tiny_predictor_bundle, older)
    rewrite(older, lambda m: m.update(format_version=2))
    with pytest.raises(IncompatibleError, match="format version 2 has no predictor; export the"):
        Bundle.open(older)


def test_a_generator_has_no_encoder_and_a_vae_asks_for_one(tiny_bundle, tmp_path):
    whole = Bundle.open(tiny_bundle)
    graphs = tuple(g for g in whole.manifest.graphs if g.role == "decoder")
    files = {g.file: whole.read(g.file) for g in graphs}
    bundle = write_bundle(
        tmp_path / "generator",
        files,
        name="generator",
        checkpoint_sha256=whole.manifest.checkpoint_sha256,
        spec=whole.manifest.spec,
        graphs=graphs,
        edgevae_version="0",
    )
    assert bundle.manifest.format_version == 1
    assert bundle.precisions == ("fp32", "fp16")
    with pytest.raises(InputError, match="has no encoder, which a VAE needs; it has decoder"):
        load(bundle.path)


def test_latents_belong_to_the_vae_whatever_is_built_on_it(
    tiny_predictor_bundle, tiny_image_bundle
):
    predictor, image = Bundle.open(tiny_predictor_bundle), Bundle.open(tiny_image_bundle)
    assert predictor.manifest.model_digest == image.manifest.model_digest
    assert predictor.digest != image.digest


def test_an_unknown_key_of_the_manifest_is_incompatible(own_bundle):
    rewrite(own_bundle, lambda m: m["spec"].update(colour=1))
    with pytest.raises(IncompatibleError, match="unknown key 'colour'"):
        Bundle.open(own_bundle)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "unlisted.onnx"])
def test_a_graph_outside_the_folder_or_the_list_is_refused(own_bundle, name):
    rewrite(own_bundle, lambda m: m["graphs"][0].update(file=name))
    with pytest.raises(IncompatibleError, match="is not a listed file of the bundle's own folder"):
        Bundle.open(own_bundle)


def test_writing_over_anything_unasked_is_refused(own_bundle, tmp_path):
    bundle = Bundle.open(own_bundle)
    m = bundle.manifest
    rest = {"checkpoint_sha256": "0", "spec": m.spec, "graphs": (), "edgevae_version": "0"}
    with pytest.raises(InputError, match="replace it with --overwrite"):
        write_bundle(own_bundle, {}, name="x", **rest)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="not a bundle"):
        write_bundle(tmp_path / "folder", {}, name="x", replace=True, **rest)
    assert write_bundle(own_bundle, {}, name="x", replace=True, **rest).manifest.name == "x"


def test_what_contradicts_itself_takes_nobodys_place(own_bundle, tmp_path):
    m = Bundle.open(own_bundle).manifest
    rest = {"checkpoint_sha256": "0", "spec": m.spec, "graphs": (), "edgevae_version": "0"}
    for path in (own_bundle, tmp_path / "new"):
        with pytest.raises(IncompatibleError, match="no multiple of the 8 pixels of a cell"):
            write_bundle(path, {}, name="x", picture_px=(60, 64), replace=True, **rest)
    assert Bundle.open(own_bundle).manifest == m
    assert not (tmp_path / "new").exists()


def test_a_precision_that_is_not_there_says_how_to_get_it(tiny_bundle):
    bundle = Bundle.open(tiny_bundle)
    graphs = tuple(g for g in bundle.manifest.graphs if g.precision == "fp32")
    half = replace(bundle, manifest=replace(bundle.manifest, graphs=graphs))
    assert half.precisions == ("fp32",)
    with pytest.raises(
        InputError, match="no encoder in fp16, it has fp32; export with --precision fp16"
    ):
        half.graph("encoder", "fp16")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chunk_frames": 0}, "no multiple of the temporal factor"),
        ({"chunk_frames": 8}, "chunks of another length"),
        ({"inputs": []}, "no input or no output"),
        ({"role": "encoder"}, "the state of"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_incompatible(own_bundle, change, message):
    rewrite(own_bundle, lambda m: m["graphs"][1].update(change))
    with pytest.raises(IncompatibleError, match=message):
        Bundle.open(own_bundle)


def test_the_same_model_has_the_same_digest_in_another_bundle(
    own_bundle, tiny_bundle, tiny_image_bundle
):
    rewrite(own_bundle, lambda m: m.update(name="other", edgevae_version="9"))
    mine, other = Bundle.open(own_bundle), Bundle.open(tiny_bundle)
    assert mine.digest != other.digest
    assert mine.manifest.model_digest == other.manifest.model_digest
    assert mine.manifest.model_digest != Bundle.open(tiny_image_bundle).manifest.model_digest


def test_a_bundle_without_nested_channels_is_as_it_was_before_there_were_any(own_bundle):
    raw = json.loads((own_bundle / MANIFEST).read_text())
    spec = json.dumps(raw["spec"], sort_keys=True)
    bundle = Bundle.open(own_bundle)
    assert raw["format_version"] == 1
    assert "nested_channels" not in raw["spec"]
    assert bundle.manifest.spec.nested_channels == ()
    m = bundle.manifest
    # Latents files hold this digest: one that changed would refuse all that were written.
    assert m.model_digest == sha256(f"{m.checkpoint_sha256} {spec}".encode())
    rest = {"checkpoint_sha256": m.checkpoint_sha256, "graphs": (), "edgevae_version": "0"}
    again = write_bundle(own_bundle, {}, name="x", spec=m.spec, replace=True, **rest)
    assert json.loads((own_bundle / MANIFEST).read_text())["spec"] == raw["spec"]
    assert again.manifest.format_version == 1
    assert again.manifest.model_digest == m.model_digest


def test_nested_channels_are_format_version_2_which_others_refuse(nested_bundle, own_bundle):
    m = Bundle.open(nested_bundle).manifest
    assert (m.format_version, m.spec.channels) == (2, (1, 2, 4))
    assert m.model_digest != Bundle.open(own_bundle).manifest.model_digest
    rest = {"checkpoint_sha256": "0", "graphs": (), "edgevae_version": "0"}
    again = write_bundle(nested_bundle, {}, name="x", spec=m.spec, replace=True, **rest)
    assert again.manifest.format_version == 2
    assert again.manifest.spec == m.spec == from_dict(VaeSpec, m.spec.stored(), where="spec")
    rewrite(nested_bundle, lambda data: data.update(format_version=1))
    with pytest.raises(IncompatibleError, match="format version 1 has no nested channels"):
        Bundle.open(nested_bundle)


def test_a_key_that_says_nothing_new_changes_no_digest(own_bundle):
    written = Bundle.open(own_bundle).manifest.model_digest
    assert "lead_frames" not in json.loads((own_bundle / MANIFEST).read_text())["spec"]
    rewrite(own_bundle, lambda m: m["spec"].update(lead_frames=0, nested_channels=[]))
    assert Bundle.open(own_bundle).manifest.model_digest == written


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"lead_frames": 3}, "no lead frames"),
        ({"encoder_halo_px": None}, "no halo of the whole frame"),
        ({"decoder_halo_cells": None}, "no halo of the whole frame"),
        (
            {"nested_channels": (1,), "lead_frames": 1, "encoder_halo_px": None},
            "no nested channels and no lead frames and no halo of the whole frame",
        ),
    ],
)
def test_what_version_1_has_no_words_for_is_format_version_2(own_bundle, change, what):
    before = Bundle.open(own_bundle).manifest
    spec = replace(before.spec, **change)
    rest = {"checkpoint_sha256": before.checkpoint_sha256, "graphs": (), "edgevae_version": "0"}
    written = write_bundle(own_bundle, {}, name="x", spec=spec, replace=True, **rest)
    assert written.manifest.format_version == 2
    assert written.manifest.spec == spec
    assert written.manifest.model_digest != before.model_digest
    rewrite(own_bundle, lambda m: m.update(format_version=1))
    with pytest.raises(IncompatibleError, match=f"format version 1 has {what}; export"):
        Bundle.open(own_bundle)
