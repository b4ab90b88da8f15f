"""Timing caches: per GPU, flavour and version; dropped when damaged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgevae.engine.timing_cache import read_timing_cache, write_timing_cache


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tensorrt", "tensorrt_rtx"),
        ("tensorrt_version", "10.13.3"),
        ("gpu", "Thor"),
        ("compute_capability", "11.0"),
        ("multiprocessors", 8),
    ],
)
def test_what_was_measured_is_found_for_the_same_gpu_and_tensorrt_only(tmp_path, key, name, value):
    assert read_timing_cache(tmp_path, key) is None
    write_timing_cache(tmp_path, key, b"measured")
    assert read_timing_cache(tmp_path, replace(key, model="alley", role="encoder")) == b"measured"
    assert read_timing_cache(tmp_path, replace(key, **{name: value})) is None


def test_a_damaged_timing_cache_is_dropped_with_a_line_in_the_log(tmp_path, key, caplog):
    write_timing_cache(tmp_path, key, b"measured")
    (path,) = tmp_path.glob(".timing/*.cache")
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        assert read_timing_cache(tmp_path, key) is None
        assert not path.exists()
    assert "damaged; layers are measured anew" in caplog.text


def test_a_timing_cache_that_cannot_be_written_is_said_and_costs_nothing(tmp_path, key, caplog):
    (tmp_path / ".timing").write_text("")
    write_timing_cache(tmp_path, key, b"measured")
    assert "not kept (File exists)" in caplog.text
    assert read_timing_cache(tmp_path, key) is None
