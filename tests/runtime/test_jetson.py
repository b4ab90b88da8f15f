"""Jetson or not, read from a file system that is made up."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from edgevae.runtime import jetson as module
from edgevae.runtime.jetson import Jetson, hidden_tensorrt, jetson

RELEASE = (
    "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed\n"
)
OWN = f"python{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc" / "device-tree").mkdir(parents=True)
    return tmp_path


def test_a_jetson_says_its_model_and_release(root):
    (root / "etc" / "nv_tegra_release").write_text(RELEASE)
    model = root / "proc" / "device-tree" / "model"
    model.write_text("NVIDIA Jetson Orin NX Engineering Reference Developer Kit\0")
    expected = Jetson("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "36.4.3")
    assert jetson(root) == expected


def test_in_a_container_the_device_tree_alone_tells(root):
    (root / "proc" / "device-tree" / "model").write_text("NVIDIA Jetson AGX Thor\0")
    assert jetson(root) == Jetson("NVIDIA Jetson AGX Thor", "")


def test_another_board_and_a_machine_without_a_device_tree_are_no_jetson(root, tmp_path):
    (root / "proc" / "device-tree" / "model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    assert jetson(root) is None
    assert jetson(tmp_path / "nothing") is None


@pytest.fixture
def unseen(monkeypatch):
    """TensorRT cannot be imported, wherever it is."""
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)


def test_jetpacks_tensorrt_outside_of_the_environment_is_named_with_the_command(root, unseen):
    (root / "usr" / "lib" / OWN / "dist-packages" / "tensorrt").mkdir(parents=True)
    assert "`python3 -m venv --system-site-packages`" in hidden_tensorrt(root)


def test_jetpacks_tensorrt_for_another_python_is_named_with_that_python(root, unseen):
    (root / "usr" / "lib" / "python3.99" / "dist-packages" / "tensorrt").mkdir(parents=True)
    assert "is for Python 3.99" in hidden_tensorrt(root)
    assert "use /usr/bin/python3.99" in hidden_tensorrt(root)


def test_nothing_is_hidden_where_tensorrt_is_seen_or_not_there(root, monkeypatch):
    assert hidden_tensorrt(root) is None
    (root / "usr" / "lib" / OWN / "dist-packages" / "tensorrt").mkdir(parents=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert hidden_tensorrt(root) is None
