"""What a child process does never reaches this one."""

from __future__ import annotations

import sys

import pytest

from edgevae.runtime import trial
from edgevae.runtime.trial import try_in_child


def test_what_a_child_prints_comes_back():
    result = try_in_child("import sys; print('one'); print(' two '); print('x', file=sys.stderr)")
    assert (result.lines, result.errors, result.failure) == (("one", "two"), ("x",), None)


def test_a_crash_is_a_failure_by_its_name_and_what_was_printed_before_is_kept():
    result = try_in_child("import ctypes; print('before', flush=True); ctypes.string_at(0)")
    assert result.failure == "crashed with SIGSEGV"
    assert result.lines == ("before",)


def test_an_exception_is_a_failure_with_its_message_last():
    result = try_in_child("raise OSError('libx.so: cannot open')")
    assert result.failure == "left with code 1"
    assert result.errors[-1] == "OSError: libx.so: cannot open"


def test_a_child_that_hangs_is_killed():
    result = try_in_child("import time; print('before', flush=True); time.sleep(60)", timeout_s=2)
    assert result.failure == "did not end within 2 s"
    assert result.lines == ("before",)


def test_a_child_finds_the_modules_of_this_process_and_none_of_its_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("print('mine')")
    monkeypatch.chdir(tmp_path)
    assert try_in_child("import mine").failure is not None
    monkeypatch.syspath_prepend(tmp_path)
    assert try_in_child("import mine").lines == ("mine",)


@pytest.mark.parametrize(("name", "value"), [("executable", ""), ("frozen", True)])
def test_an_app_with_python_inside_it_has_no_child(monkeypatch, name, value):
    assert trial.is_possible()
    monkeypatch.setattr(sys, name, value, raising=False)
    assert not trial.is_possible()
