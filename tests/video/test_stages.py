import contextlib
import threading
import time

import pytest

from edgevae.video.stages import Sink, prefetch


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_prefetched_items_come_in_order():
    assert list(prefetch(range(100))) == list(range(100))


def test_prefetching_runs_ahead_by_no_more_than_the_queue_holds():
    made = []

    def items():
        for number in range(100):
            made.append(number)
            yield number

    with contextlib.closing(prefetch(items())) as ahead:
        next(ahead)
        time.sleep(0.1)
        assert len(made) <= 5


def test_an_error_of_the_prefetching_thread_is_raised_after_its_items():
    def items():
        yield 1
        raise ValueError("broken")

    ahead = prefetch(items())

    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_closing_a_prefetch_early_ends_its_thread():
    with contextlib.closing(prefetch(range(10**9))) as ahead:
        next(ahead)


def test_a_sink_takes_everything_in_order_before_it_is_left():
    taken = []

    with Sink(taken.append) as sink:
        for number in range(100):
            sink.put(number)

    assert taken == list(range(100))


def test_an_error_of_the_sink_is_raised_at_a_later_put_or_on_leaving():
    def take(number):
        raise ValueError(f"cannot take {number}")

    def put(*numbers):
        with Sink(take) as sink:
            for number in numbers:
                sink.put(number)

    with pytest.raises(ValueError, match="cannot take 0"):
        put(*range(1000))
    with pytest.raises(ValueError, match="cannot take 7"):
        put(7)


def test_an_error_outside_discards_what_waits():
    taken = []

    def take(number):
        time.sleep(0.05)
        taken.append(number)

    with contextlib.suppress(KeyboardInterrupt), Sink(take) as sink:
        for number in range(3):
            sink.put(number)
        raise KeyboardInterrupt

    assert len(taken) < 3
