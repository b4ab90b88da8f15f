"""Fixtures: a folder of small real video files, and a run so small that it trains in seconds."""

import av
import numpy as np
import pytest
import torch

from edgevae.nn.config import VaeConfig
from edgevae.training import fit
from edgevae.training.config import TrainConfig


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Networks this small run ten times faster on one thread than on two that wait for each other on busy cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _write_video(path, frames, *, codec="libx264rgb", **muxer):
    """Write frames `[T, H, W, 3]` losslessly."""
    with av.open(str(path), "w", options=muxer) as container:
        stream = container.add_stream(codec, rate=25, options={"crf": "0", "preset": "ultrafast"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _numbered_frames(count, *, height=48, width=64, base=0):
    """Frames whose red is their number, whose green is the row and whose blue is the column."""
    frames = np.empty((count, height, width, 3), np.uint8)
    frames[..., 0] = (base + np.arange(count))[:, None, None]
    frames[..., 1] = np.arange(height)[None, :, None]
    frames[..., 2] = np.arange(width)[None, None, :]
    return frames


@pytest.fixture
def write_video():
    """A function that writes frames `[T, H, W, 3]` to a path, losslessly."""
    return _write_video


@pytest.fixture
def numbered_frames():
    """A function that returns frames whose red is their number, whose green is the row and whose blue is the column."""
    return _numbered_frames


@pytest.fixture
def video_folder(tmp_path):
    """Four lossless videos of 20 to 80 frames, one of them in a subfolder."""
    folder = tmp_path / "clips"
    (folder / "more").mkdir(parents=True)
    for i, (name, count) in enumerate(
        [("a.mkv", 80), ("b.mkv", 20), ("c.mkv", 30), ("more/d.mkv", 25)]
    ):
        _write_video(folder / name, _numbered_frames(count, base=40 * i))
    return folder


TINY_MODEL = VaeConfig(
    kind="video",
    encoder_channels=(4, 4, 8),
    encoder_blocks=(0, 1, 1),
    decoder_channels=(8, 4, 4),
    decoder_blocks=(1, 1, 0),
    latent_channels=4,
)


@pytest.fixture
def tiny_run():
    """Twelve steps of a tiny network."""
    return TrainConfig(
        model=TINY_MODEL,
        crop_px=32,
        clip_frames=8,
        batch_clips=2,
        steps=12,
        warmup_steps=2,
        kl_warmup_steps=4,
        val_every_steps=5,
        val_clips=3,
        val_crop_px=32,
        val_frames=8,
        save_every_steps=2,
        principal_patches=900,
        cache_mib=16,
    )


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A function that trains a configuration on moving digits without a stop, once per configuration."""
    done = {}

    def train(config):
        if config not in done:
            run = tmp_path_factory.mktemp("straight") / "run"
            fit.start(config, "moving-digits", run=run)
            done[config] = run
        return done[config]

    return train
