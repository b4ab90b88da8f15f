from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from edgevae.files import atomic_file, atomic_folder, cache_folder, write_atomically


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path) as partial:
        partial.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_written_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    write_atomically(path, b"new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_error_while_writing_a_folder_leaves_the_old_one_and_nothing_else(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(RuntimeError), atomic_folder(folder, replace=True) as partial:
        (partial / "new").touch()
        raise RuntimeError
    assert os.listdir(tmp_path) == ["f"]
    assert os.listdir(folder) == ["old"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "old").touch()
    with atomic_folder(folder, replace=True) as partial:
        (partial / "new").touch()
    assert os.listdir(tmp_path) == ["f"]
    assert os.listdir(folder) == ["new"]


def test_an_existing_folder_is_not_replaced_unasked(tmp_path):
    (tmp_path / "f").mkdir()
    with pytest.raises(FileExistsError), atomic_folder(tmp_path / "f"):
        pass


WRITER = """
import sys, time
from pathlib import Path
from edgevae.files import atomic_folder
with atomic_folder(Path(sys.argv[1])) as partial:
    (partial / "half").write_bytes(b"x" * 1000)
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_killed_writer_leaves_no_folder_of_the_final_name(tmp_path):
    folder = tmp_path / "f"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert not folder.exists()


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("EDGEVAE_CACHE_DIR", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("EDGEVAE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "edgevae"
