"""A generator at run time, without PyTorch: on the bundle of a tiny prior, and on decoders alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import edgevae
from edgevae.bundle import Bundle, write_bundle
from edgevae.errors import IncompatibleError, InputError, ParityError
from edgevae.runtime import golden


@pytest.fixture
def generator(tiny_prior_bundle):
    with edgevae.load_generator(tiny_prior_bundle) as opened:
        yield opened


@pytest.fixture
def decoder_bundle(tiny_bundle, tmp_path):
    """The tiny video model's decoder alone, as a generator that takes noise itself."""
    bundle = Bundle.open(tiny_bundle)
    manifest = bundle.manifest
    graphs = tuple(g for g in manifest.graphs if g.role == "decoder")
    kept = {g.file for g in graphs} | {golden.GOLDEN}
    write_bundle(
        tmp_path / "decoder.bundle",
        {name: bundle.read(name) for name in kept},
        name="alone",
        checkpoint_sha256=manifest.checkpoint_sha256,
        spec=manifest.spec,
        graphs=graphs,
        edgevae_version="0",
        picture_px=(16, 24),
    )
    return tmp_path / "decoder.bundle"


def test_clips_have_the_size_that_was_learnt_unless_another_is_asked_for(generator):
    assert generator.picture_px == (16, 24)
    assert generator.generate(frames=3, count=2).shape == (2, 3, 16, 24, 3)
    assert generator.generate(frames=1, size=(8, 40)).shape == (1, 1, 8, 40, 3)


def test_a_seed_repeats_and_another_one_is_something_else(generator):
    first = generator.generate(frames=4, seed=5)
    assert np.array_equal(first, generator.generate(frames=4, seed=5))
    assert not np.array_equal(first, generator.generate(frames=4, seed=6))


def test_a_clip_is_the_same_however_many_there_are_and_a_long_one_begins_with_the_short(generator):
    clips = generator.generate(frames=7, count=3, seed=1)
    assert np.array_equal(generator.generate(frames=3, count=3, seed=1), clips[:, :3])
    # Sums in another order may round to the neighbouring level.
    few = generator.generate(frames=7, count=2, seed=1)
    assert np.abs(few.astype(int) - clips[:2]).max() <= 1
    assert not np.array_equal(clips[0], clips[1])


def test_a_stream_gives_what_the_whole_clip_gives_and_a_state_on_the_cpu_can_be_forked(generator):
    whole, chunk = generator.generate(frames=8, seed=2), generator.chunk_frames
    state, parts = generator.stream(seed=2), []
    for _ in range(8 // chunk):
        again, _ = generator.step(state)
        part, state = generator.step(state)
        assert np.array_equal(part, again)
        parts.append(part)
    assert np.array_equal(np.concatenate(parts, 1), whole)


def test_without_temperature_all_clips_are_one(generator):
    clips = generator.generate(frames=4, count=2, seed=1, temperature=0.0)
    assert np.array_equal(clips[0], clips[1])
    assert np.array_equal(clips, generator.generate(frames=4, count=2, seed=9, temperature=0.0))


def test_the_prior_matters_and_remembers(generator, tiny_prior_bundle):
    clips = generator.generate(frames=4, seed=3)
    with edgevae.load_generator(tiny_prior_bundle, plain_normal=True) as plain:
        assert not plain.has_prior
        assert not np.array_equal(plain.generate(frames=4, seed=3), clips)
    state = generator.stream(seed=3)
    _, later = generator.latents(state)
    following, _ = generator.latents(later)
    forgotten, _ = generator.latents(replace(later, prior=generator.stream(seed=3).prior))
    assert np.abs(following - forgotten).max() > 1e-3


def test_a_decoder_alone_gets_the_noise_itself(decoder_bundle):
    with edgevae.load_generator(decoder_bundle) as generator:
        assert generator.picture_px == (16, 24)
        clips = generator.generate(frames=6, count=2, seed=4)
        assert clips.shape == (2, 6, 16, 24, 3)
        state = generator.stream(seed=4, count=2)
        assert np.array_equal(generator.step(state)[0], clips[:, :4])
        assert np.array_equal(generator.latents(state)[0], generator.latents(state)[0])
    with pytest.raises(InputError, match="has no encoder, which a VAE needs; it has decoder"):
        edgevae.load(decoder_bundle)


def test_a_vae_without_a_prior_says_so_and_is_only_sampled_where_that_is_asked_for(lead_bundle):
    with pytest.raises(InputError, match="has no prior, which a VAE needs to generate; train one"):
        edgevae.load_generator(lead_bundle)
    with edgevae.load_generator(lead_bundle, plain_normal=True) as generator:
        with pytest.raises(InputError, match="lead: the bundle does not say how large its pictur"):
            generator.generate(frames=4)
        # The first chunk of this model stands for one frame.
        first, state = generator.step(generator.stream(size=(16, 16)))
        assert [first.shape[1], generator.step(state)[0].shape[1]] == [1, 4]
        assert generator.generate(frames=6, size=(16, 16)).shape == (1, 6, 16, 16, 3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 0}, "frames: got 0, expected at least 1"),
        ({"count": 0}, "count: got 0, expected at least 1"),
        ({"seed": -1}, "seed: got -1, expected at least 0"),
        ({"temperature": -0.5}, "temperature: got -0.5, expected a finite number from 0"),
        ({"temperature": float("nan")}, "temperature: got nan"),
        ({"size": (16, 20)}, "size: got 20x16, expected width and height in multiples of 8"),
        ({"size": (8, 4104)}, "size: got 4104x8, expected at most 4096 a side"),
    ],
)
def test_what_cannot_be_generated_is_refused(generator, wrong, message):
    with pytest.raises(InputError, match=message):
        generator.generate(**({"frames": 2} | wrong))


def test_a_prior_that_does_not_reproduce_its_golden_vectors_is_refused(
    tiny_prior_bundle, monkeypatch
):
    read = golden.read
    monkeypatch.setattr(golden, "read", lambda b: (v := read(b)) | {"prior": v["prior"] + 0.01})
    with pytest.raises(ParityError, match=r"golden latents of the prior differ by 0.01 on"):
        edgevae.load_generator(tiny_prior_bundle)


def test_a_size_of_pictures_is_of_format_version_3(decoder_bundle, tiny_bundle):
    assert Bundle.open(decoder_bundle).manifest.format_version == 3
    assert "picture_px" not in (tiny_bundle / "manifest.json").read_text()
    from edgevae.files import sha256

    text = (decoder_bundle / "manifest.json").read_text()
    for change, message in (
        (('"format_version": 3', '"format_version": 1'), r"picture_px is \[16, 24\] in format ver"),
        (("  24\n", "  25\n"), "no multiple of the 8 pixels of a cell"),
    ):
        data = text.replace(*change)
        assert data != text
        (decoder_bundle / "manifest.json").write_text(data)
        (decoder_bundle / "manifest.sha256").write_text(sha256(data.encode()) + "\n")
        with pytest.raises(IncompatibleError, match=message):
            Bundle.open(decoder_bundle)


def test_it_runs_without_torch(tiny_prior_bundle):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import edgevae\n"
        f"with edgevae.load_generator({str(tiny_prior_bundle)!r}) as g:\n"
        "    print(g.generate(frames=3).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 3, 16, 24, 3)"


def test_info_says_what_a_bundle_generates(tiny_prior_bundle):
    from click.testing import CliRunner

    from edgevae.cli.info import command

    found = CliRunner().invoke(command, [str(tiny_prior_bundle)], catch_exceptions=False)
    assert "generates  pictures of 24 x 16 pixels\n" in found.stdout
    assert "<- noise" in found.stdout
