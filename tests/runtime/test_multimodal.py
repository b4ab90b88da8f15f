"""A VAE of several senses at run time, without PyTorch: on the bundle of a tiny one."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

import edgevae
from edgevae.bundle import DIGEST, MANIFEST
from edgevae.errors import IncompatibleError, InputError
from edgevae.files import sha256
from edgevae.made_world import MadeWorld
from edgevae.runtime.multimodal import WINDOWS_A_CALL


@pytest.fixture
def vae(tiny_senses_bundle):
    with edgevae.load_multimodal(tiny_senses_bundle) as opened:
        yield opened


@pytest.fixture
def clip(random):
    """Three windows of each sense."""
    return {
        "video": random.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8),
        "sound": random.uniform(-80, 0, (1, 24, 8)).astype(np.float32),
        "tracks": random.uniform(-1, 1, (6, 2, 2)).astype(np.float32),
    }


def subsets(clip):
    return [
        {n: clip[n] for n in names}
        for count in (1, 2, 3)
        for names in itertools.combinations(clip, count)
    ]


def test_any_senses_are_enough_and_every_sense_comes_out(vae, clip):
    for given in subsets(clip):
        latents = vae.encode(given)
        assert latents.shape == (3, 4, 1, 1)
        for name, own in clip.items():
            shown = vae.decode(latents, name)
            assert (shown.shape, shown.dtype) == (own.shape, own.dtype)
            assert np.array_equal(vae.translate(given, name), shown)


def test_what_senses_say_together_is_the_product_of_what_each_says_and_of_the_prior(vae, clip):
    alone = {name: vae.posterior({name: clip[name]}) for name in clip}
    for given in subsets(clip):
        # Each has the prior in it once; together it counts once.
        own = [np.exp(-alone[n].log_variance) - 1.0 for n in given]
        weighted = [alone[n].mean * (o + 1.0) for n, o in zip(given, own, strict=True)]
        precision = 1.0 + sum(own)
        found = vae.posterior(given)
        assert np.allclose(found.log_variance, -np.log(precision), atol=1e-4)
        assert np.allclose(found.mean, sum(weighted) / precision, atol=1e-4)


def test_the_order_of_the_senses_does_not_matter_and_more_of_them_are_surer(vae, clip):
    for given in subsets(clip):
        found = vae.posterior(given)
        turned = vae.posterior(dict(reversed(given.items())))
        assert np.array_equal(found.mean, turned.mean)
        assert (found.log_variance <= 1e-5).all(), "never less sure than the prior"
        for name in given:
            assert (
                found.log_variance <= vae.posterior({name: clip[name]}).log_variance + 1e-5
            ).all()


def test_windows_know_nothing_of_each_other(vae, clip):
    latents = vae.encode(clip)
    middle = {
        "video": clip["video"][2:4],
        "sound": clip["sound"][:, 8:16],
        "tracks": clip["tracks"][2:4],
    }
    assert np.allclose(vae.encode(middle), latents[1:2], atol=1e-5)
    assert np.allclose(
        vae.decode(latents, "sound")[:, 8:16], vae.decode(latents[1:2], "sound"), atol=1e-3
    )


def test_a_long_clip_goes_through_in_several_calls(vae, random):
    tracks = random.uniform(-1, 1, (2 * (WINDOWS_A_CALL + 3), 2, 2)).astype(np.float32)
    whole = vae.translate({"tracks": tracks}, "video")
    assert whole.shape == (2 * (WINDOWS_A_CALL + 3), 16, 16, 3)
    last = vae.translate({"tracks": tracks[-4:]}, "video")
    assert np.abs(whole[-4:].astype(int) - last).max() <= 1


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("smell", lambda a: a, "sense: got 'smell', expected one of video, sound, tracks"),
        (
            "video",
            lambda a: a[:5],
            r"video: got uint8 \[5, 16, 16, 3\], expected uint8 \[n\*2, 16, 16, 3\], whole",
        ),
        ("video", lambda a: a.astype(np.float32), r"video: got float32"),
        (
            "video",
            lambda a: a[:4],
            "video: got 2 windows and 3 of sound, expected the same stretch of time",
        ),
        ("sound", lambda a: a[0], r"sound: got float32 \[24, 8\], expected float32 \[1, n\*8, 8\]"),
        ("sound", lambda a: a * np.nan, "sound: some values are NaN or infinite"),
        ("tracks", lambda a: a.tolist(), "tracks: got list, expected a numpy array"),
    ],
)
def test_what_is_no_clip_of_the_senses_is_refused(vae, clip, name, change, message):
    source = clip.get(name, clip["video"])
    with pytest.raises(InputError, match=message):
        vae.encode({"sound": clip["sound"], name: change(source)})


def test_nothing_and_latents_of_another_model_are_refused(vae, clip, tiny_bundle):
    with pytest.raises(InputError, match="senses: got none, expected at least one of video, sound"):
        vae.encode({})
    with pytest.raises(
        InputError, match=r"latents: got shape \[1, 4, 2, 2\], expected \[t, 4, 1, 1\]"
    ):
        vae.decode(np.zeros((1, 4, 2, 2), np.float32), "sound")
    with pytest.raises(InputError, match="sense: got 'smell'"):
        vae.decode(vae.encode(clip), "smell")
    with pytest.raises(
        InputError, match="has no fusion, which a model of several senses needs; it has encoder"
    ):
        edgevae.load_multimodal(tiny_bundle)


def test_its_bundle_is_none_of_a_plain_vae(tiny_senses_bundle):
    with pytest.raises(
        InputError,
        match=r"no encoder and no decoder, which a VAE needs; it has fusion, encoder\.video",
    ):
        edgevae.load(tiny_senses_bundle)


def damaged(bundle, tmp_path, change):
    import shutil

    folder = tmp_path / "own.bundle"
    shutil.copytree(bundle, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    text = json.dumps(manifest)
    (folder / MANIFEST).write_text(text)
    (folder / DIGEST).write_text(sha256(text.encode()) + "\n")
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format_version=3), "format version 3 has no decoder.sound and no"),
        (lambda m: m.update(format_version=2), "format version 2 has no decoder.sound and no"),
        (
            lambda m: m.pop("senses"),
            "senses and the graphs of senses go together, and one is missing",
        ),
        (
            lambda m: m["senses"]["senses"][1].update(shape=[1, 8, 9]),
            "9 bands, expected those of `sound`",
        ),
        (
            lambda m: m["senses"]["senses"][2].update(shape=[2, 3]),
            "has not the tensors of a sense of the model",
        ),
        (
            lambda m: m["graphs"][0].update(role="encoder.smell"),
            "has not the tensors of a sense of the model",
        ),
        (
            lambda m: m["graphs"][0]["outputs"][0].update(shape=["batch", 9, 1, 1]),
            "encoder.video.fp32.onnx has not the tensors of a sense",
        ),
        (
            lambda m: m["graphs"][3]["inputs"].append(m["graphs"][3]["outputs"][0]),
            "has not the tensors of a sense",
        ),
        (
            lambda m: m["graphs"][3].update(role="prior"),
            "has not the tensors of a sense",
        ),
        (
            lambda m: m["spec"].update(temporal_factor=1),
            "a latent step stands for 1 frames, a window for 2",
        ),
        (
            lambda m: m["graphs"][0].update(chunk_frames=4),
            "takes 4 frames, no window of 2",
        ),
        (
            lambda m: m["senses"].update(frames_per_second=float("inf")),
            "got inf frames a second",
        ),
        (
            lambda m: m["graphs"][0].update(role="smeller"),
            "role: got 'smeller', expected one of encoder",
        ),
        (
            lambda m: m["graphs"][0].update(role="decoder.video"),
            "role 'decoder.video': got frames -> posterior",
        ),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    tiny_senses_bundle, tmp_path, change, message
):
    folder = damaged(tiny_senses_bundle, tmp_path, change)
    with pytest.raises(IncompatibleError, match=message):
        edgevae.load_multimodal(folder)


def test_it_runs_without_pytorch(tiny_senses_bundle):
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import edgevae, numpy as np\n"
        f"with edgevae.load_multimodal({str(tiny_senses_bundle)!r}) as vae:\n"
        "    print(vae.translate({'tracks': np.zeros((2, 2, 2), np.float32)}, 'sound').shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(1, 8, 8)"


def test_info_names_the_senses(tiny_senses_bundle):
    command = [sys.executable, "-m", "edgevae", "info", str(tiny_senses_bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "sense      sound: sound [1, 8, 8] a window of 0.16 s" in done.stdout
    assert "encoder.tracks" in done.stdout


def test_the_shipped_model_fills_in_better_than_the_mean_and_than_from_another_clip():
    clips = MadeWorld(99).batch(0, 48)
    with edgevae.load_multimodal("edgevae-senses-made") as vae:
        axes = {s.name: s.time_axis for s in vae.senses.senses}

        def error(name, given, *, turned):
            clip = {n: np.concatenate([*np.roll(clips[n], turned, 0)], axes[n]) for n in given}
            true = np.concatenate([*clips[name]], axes[name]).astype(np.float64)
            return np.square(true - vae.translate(clip, name)).mean()

        for name, given in (("video", ("sound", "tracks")), ("tracks", ("video", "sound"))):
            own = error(name, given, turned=0)
            assert own < 0.95 * clips[name].astype(np.float64).var(0).mean()
            assert own < 0.9 * error(name, given, turned=24)
