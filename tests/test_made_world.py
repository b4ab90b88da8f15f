"""The made world, and log-mel frames of sound."""

from __future__ import annotations

import numpy as np
import pytest

from edgevae.errors import ConfigError, InputError
from edgevae.made_world import FREE_PX, PITCHES_HZ, RADIUS_PX, SHAPES, SOUND, MadeWorld
from edgevae.mel import FLOOR_DB, MelConfig, filters, log_mel, samples_of

WORLD = MadeWorld(4)


def test_a_clip_is_a_function_of_seed_and_index():
    for name, own in WORLD.clip(3).items():
        assert np.array_equal(own, WORLD.clip(3)[name])
        assert not np.array_equal(own, WORLD.clip(4)[name])
        assert np.array_equal(own, WORLD.batch(2, 2)[name][1])
    assert np.array_equal(log_mel(WORLD.samples(3), SOUND), WORLD.clip(3)["sound"])


def test_the_factors_are_what_is_seen_heard_and_tracked():
    factors = WORLD.factors(0, 60)
    assert len(set(factors["shape"])) == len(SHAPES)
    for index in range(60):
        thing, clip = WORLD.thing(index), WORLD.clip(index)
        if clip["tracks"].any():
            assert np.abs(clip["tracks"][:, 0] - (2 * thing.places - 1)).max() < 1.0
        colourful = np.ptp(clip["video"].astype(int), axis=-1) > 60
        rows, columns = np.nonzero(colourful[0])
        if len(rows):  # else it is behind the bar
            centre = RADIUS_PX + FREE_PX * thing.places[0]
            assert np.abs(columns + 0.5 - centre[0]).max() < RADIUS_PX + 1
            assert np.abs(64 - rows - 0.5 - centre[1]).max() < RADIUS_PX + 1
    assert 0.6 < np.mean([WORLD.clip(i)["tracks"].any() for i in range(60)]) < 0.95


def test_what_is_higher_is_louder_and_what_is_left_is_left():
    loud = [WORLD.clip(i)["sound"].max() for i in range(200)]
    balance = [np.subtract(*WORLD.clip(i)["sound"].max((1, 2))) for i in range(200)]
    factors = WORLD.factors(0, 200)
    assert np.corrcoef(loud, factors["y"])[0, 1] > 0.5
    assert np.corrcoef(balance, factors["x"])[0, 1] < -0.5


def test_a_thing_turns_round_at_the_walls():
    for index in range(100):
        thing = WORLD.thing(index)
        assert thing.places.min() >= 0
        assert thing.places.max() <= 1
        for frame in thing.bounced:
            assert (np.isin(thing.places[frame], (0.0, 1.0))).any()
    assert any(WORLD.thing(i).bounced for i in range(100))


def test_a_tone_is_in_the_band_of_its_pitch_and_about_as_loud_as_it_is():
    config = MelConfig()
    centres = (filters(config) * np.arange(321) * 25.0).sum(1) / filters(config).sum(1)
    time = np.arange(16_000) / 16_000
    for hertz in PITCHES_HZ:
        frames = log_mel(0.5 * np.sin(2 * np.pi * hertz * time), config)
        assert frames.shape == (50, 32)
        band = int(frames[25].argmax())
        assert abs(centres[band] - hertz) < 60
        assert frames[25].max() == pytest.approx(-6.0, abs=2.5)
    assert log_mel(np.zeros(16_000), config).max() == FLOOR_DB


def test_channels_are_heard_by_themselves_and_time_shifts_by_whole_hops(random):
    both = random.normal(0, 0.1, (2, 3200))
    frames = log_mel(both, MelConfig())
    assert np.array_equal(frames[1], log_mel(both[1], MelConfig()))
    later = log_mel(both[:, 640:], MelConfig())
    assert np.allclose(later[:, 1:], frames[:, 3:], atol=1e-3), (
        "but for the silence before the first"
    )


def test_a_sound_made_of_frames_has_these_frames(random):
    config = MelConfig()
    frames = log_mel(random.normal(0, 0.05, 16_000), config)
    again = log_mel(samples_of(frames, config), config)
    assert np.abs(again - frames).mean() < 2.0
    assert np.abs(samples_of(frames, config)).max() <= 1.0


def test_sound_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"samples: got shape \[100\], expected \[N\]"):
        log_mel(np.zeros(100), MelConfig())
    with pytest.raises(InputError, match="samples: some are NaN"):
        log_mel(np.full(1000, np.nan), MelConfig())
    with pytest.raises(
        ConfigError, match="bands from 60 to 9000 Hz, expected an ascending range within half"
    ):
        MelConfig(high_hz=9000.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sample_rate_hz": 10**9}, "sample_rate_hz is 1000000000, expected 1000 to 384000"),
        ({"hop_samples": 0}, "hop_samples is 0, expected 1 to 16000"),
        ({"hop_samples": 1}, "window_samples is 640, expected 2 to 64"),
        ({"bands": 322}, "bands is 322, expected 1 to 321"),
    ],
)
def test_log_mel_frames_that_no_memory_holds_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        MelConfig(**wrong)
