"""The state of a stream on a device: what may be used when, without a device."""

from __future__ import annotations

import threading

import pytest

from edgevae.engine.profile import Profile, Size, parse_size
from edgevae.errors import InputError
from edgevae.runtime.caches import Caches, DeviceState
from edgevae.runtime.tensorrt_options import TensorRtOptions


def test_a_state_can_be_taken_once_and_then_the_one_that_follows():
    state = DeviceState(Caches(None, Size(height=8, width=8)), turn=0)
    state.caches.take(state.turn)
    with pytest.raises(InputError, match="got that of call 0, expected that of call 1"):
        state.caches.take(state.turn)
    state.caches.take(state.following().turn)


def test_of_many_threads_with_one_state_a_single_one_gets_it():
    caches = Caches(None, Size(height=8, width=8))
    won = []

    def race():
        try:
            caches.take(0)
        except InputError:
            return
        won.append(1)

    threads = [threading.Thread(target=race) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_sizes_become_profiles_in_whole_cells():
    ranged = Profile(
        min=Size(height=10, width=16),
        opt=Size(height=30, width=30),
        max=Size(batch=2, height=60, width=60),
    )
    options = TensorRtOptions(sizes=("360p", "2x33x47", ranged))
    assert options.profiles(cell_px=8) == (
        Profile.static(Size(height=360, width=640)),
        Profile.static(Size(batch=2, height=40, width=48)),
        Profile(
            min=Size(height=16, width=16),
            opt=Size(height=32, width=32),
            max=Size(batch=2, height=64, width=64),
        ),
    )


@pytest.mark.parametrize("text", ["", "360", "0x8", "8x8x8x8", "8x-8", "4k", "axb"])
def test_a_size_that_is_none_is_refused_when_the_options_are_made(text):
    with pytest.raises(InputError, match=r"size: got .*, expected HEIGHTxWIDTH"):
        TensorRtOptions(sizes=(text,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": "360p"}, r"sizes: got '360p', expected a tuple such as \('360p',\)"),
        ({"contexts": 0}, "contexts: got 0, expected at least 1"),
        ({"level": 6}, "level: got 6, expected 0 to 5"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        TensorRtOptions(**options)


def test_a_profile_covers_what_lies_between_its_ends():
    profile = Profile(
        min=Size(height=16, width=16),
        opt=Size(height=32, width=32),
        max=Size(batch=2, height=64, width=64),
    )
    assert profile.covers(parse_size("2x16x64"))
    assert not profile.covers(parse_size("3x16x64"))
    assert not profile.covers(parse_size("8x64"))


def test_a_profile_whose_ends_are_crossed_is_refused():
    with pytest.raises(InputError, match="profile: width is min 64, opt 32, max 32"):
        Profile(min=parse_size("8x64"), opt=parse_size("8x32"), max=parse_size("8x32"))
