"""Batches made ahead: the same ones, in their order, and errors where they belong."""

import threading
import time

import pytest
import torch

from edgevae.training.prefetch import Prefetch


def numbers(count):
    return [torch.tensor(i) for i in range(count)]


def test_all_batches_come_in_their_order_again_and_again():
    prefetch = Prefetch(numbers(50))
    for _ in range(2):
        assert [int(batch) for batch in prefetch] == list(range(50))


def test_the_wait_for_a_slow_loader_is_counted_and_that_for_a_fast_one_is_next_to_nothing():
    def slow():
        for batch in numbers(5):
            time.sleep(0.02)
            yield batch

    class Loader:
        def __iter__(self):
            return slow()

    prefetch = Prefetch(Loader())
    list(prefetch)
    assert prefetch.waited_s > 0.05


def test_an_error_of_the_loader_comes_to_whoever_takes_the_batches():
    def failing():
        yield torch.tensor(0)
        raise ValueError("broken file")

    batches = iter(Prefetch(failing()))
    assert int(next(batches)) == 0
    with pytest.raises(ValueError, match="broken file"):
        next(batches)


def test_closing_ends_the_thread_in_the_middle():
    prefetch = Prefetch(numbers(1000))
    next(iter(prefetch))
    prefetch.close()
    assert "batches" not in [thread.name for thread in threading.enumerate()]
