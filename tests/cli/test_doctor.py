"""`edgevae doctor`, and `edgevae -v`."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgevae.runtime import diagnosis
from edgevae.runtime.diagnosis import Finding, diagnose
from edgevae.runtime.trial import Trial

CODE = "import sys; from edgevae.cli import main; main()"

NO_DRIVER = 'edgevae-finding {"obstacle": "libcuda.so.1: no NVIDIA driver; install it"}'
GPU = (
    'edgevae-finding {"gpu": "cuda:0", "name": "Orin", "capability": "8.7", "memory_bytes": 8053063680, '
    '"integrated": true, "cuda": "12.6", "driver": "540.4.0"}'
)


def edgevae(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-c", CODE, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **{k: str(v) for k, v in environment.items()}},
    )


@pytest.fixture
def children(monkeypatch):
    """A function that says how each question that is asked in a child process ends."""

    def children(**answers):
        def answer(code):
            for word, trial in answers.items():
                if word in code:
                    return trial
            return Trial((), (), None)

        monkeypatch.setattr(diagnosis, "try_in_child", answer)
        return {finding.name: finding for finding in diagnose()}

    return children


def test_the_table_says_what_runs_here():
    result = edgevae("doctor")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "yes  onnxruntime cpu" in result.stdout
    for name in ("NVIDIA driver", "tensorrt cuda", "tensorrt_rtx cuda", "onnxruntime cuda"):
        assert f" {name} " in result.stdout


def test_json_holds_the_same_findings_for_programs():
    result = edgevae("doctor", "--json")
    data = json.loads(result.stdout)
    assert data["usable"] is True
    kinds = {finding["kind"] for finding in data["findings"]}
    assert {"driver", "backend", "cuda", "cache", "package"} <= kinds
    assert all(finding["notes"] for finding in data["findings"])


def test_where_no_backend_can_run_the_exit_code_is_5_and_the_table_is_there(monkeypatch):
    from click.testing import CliRunner

    from edgevae.cli.doctor import command

    driver = Finding("driver", "NVIDIA driver", "-", False, ("no driver", "and another reason"))
    monkeypatch.setattr(diagnosis, "diagnose", lambda: (driver,))
    result = CliRunner().invoke(command)
    assert result.exit_code == 5
    assert "no   NVIDIA driver" in result.stdout
    assert result.stdout.index("no driver") < result.stdout.index("and another reason")


def test_without_a_driver_it_is_named_once_and_other_reasons_stay(children):
    answer = Trial((NO_DRIVER, 'edgevae-finding {"obstacle": "tensorrt: not installed"}'), (), None)
    found = children(say_gpus=Trial((NO_DRIVER,), (), None), say_backend=answer)
    assert found["NVIDIA driver"].notes == ("libcuda.so.1: no NVIDIA driver; install it",)
    assert found["tensorrt cuda"].notes == (
        "needs the NVIDIA driver and a GPU, see above",
        "tensorrt: not installed",
    )


def test_a_gpu_is_described(children):
    found = children(say_gpus=Trial((GPU,), (), None))
    assert found["NVIDIA driver"].version == "540.4.0"
    assert found["NVIDIA driver"].notes == ("CUDA up to 12.6",)
    assert found["cuda:0"].version == "sm 8.7"
    assert found["cuda:0"].notes == ("Orin, 7.5 GiB, shared with the CPU",)


def test_a_library_that_crashes_is_a_row_that_says_so(children):
    crash = Trial((), ("Fatal Python error: Segmentation fault",), "crashed with SIGSEGV")
    found = children(say_gpus=Trial((GPU,), (), None), tensorrt_rtx=crash)
    finding = found["tensorrt_rtx cuda"]
    assert not finding.usable
    assert finding.notes == (
        "looking at it crashed with SIGSEGV: Fatal Python error: Segmentation fault",
    )
    assert found["tensorrt cuda"].usable


def test_a_crash_while_the_driver_is_looked_at_is_a_row_too(children):
    found = children(say_gpus=Trial((), (), "did not end within 60 s"))
    assert found["NVIDIA driver"].notes == ("looking at it did not end within 60 s",)


def test_both_packages_of_onnxruntime_are_a_row_with_the_command(children, monkeypatch):
    both = ("onnxruntime", "onnxruntime-gpu")
    monkeypatch.setattr(diagnosis.providers, "distributions", lambda: both)
    finding = children()["onnxruntime"]
    assert not finding.usable
    assert (
        "overwrite each other; `pip uninstall -y onnxruntime onnxruntime-gpu`" in finding.notes[0]
    )


def test_the_cache_is_a_row_with_its_folder_and_size(children, tmp_path, monkeypatch):
    folder = tmp_path / "engines" / "model-encoder-0123"
    folder.mkdir(parents=True)
    (folder / "engine.plan").write_bytes(bytes(1 << 20))
    monkeypatch.setenv("EDGEVAE_CACHE_DIR", str(tmp_path))
    assert children()["cache"].notes == (
        f"{tmp_path}: 1 engine, 1.0 MiB; all of it can be made again",
    )


def test_a_cache_that_does_not_exist_yet_is_fine(children, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVAE_CACHE_DIR", str(tmp_path / "not" / "yet"))
    assert children()["cache"].usable


def test_a_broken_native_module_is_a_row_and_no_crash_for_real(tmp_path):
    """The module of onnxruntime is replaced by one that ends the process as a bad library does."""
    package = tmp_path / "onnxruntime"
    package.mkdir()
    (package / "__init__.py").write_text("import ctypes; ctypes.string_at(0)\n")
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    result = edgevae("doctor", PYTHONPATH=paths)
    assert result.returncode in (0, 5)  # 0 where TensorRT can run
    assert result.stderr == ""
    assert "looking at it crashed with SIGSEGV" in result.stdout
    assert "yes  onnxruntime" not in result.stdout


def test_verbose_says_on_stderr_which_backend_was_taken(tiny_bundle, tmp_path):
    clip = Path(__file__).parents[2] / "edgevae" / "clips" / "flower.mp4"
    arguments = ("encode", tiny_bundle, clip, "--backend", "onnxruntime", "--device", "cpu")
    quiet = edgevae(*arguments, "-o", tmp_path / "quiet.latents")
    said = edgevae("-v", *arguments, "-o", tmp_path / "said.latents")
    line = "edgevae: tiny-video: onnxruntime on cpu, fp32"
    assert quiet.returncode == said.returncode == 0, said.stderr
    assert line not in quiet.stderr
    assert line in said.stderr.splitlines()
    assert line not in said.stdout


def test_warnings_are_shown_without_verbose_and_once(capsys):
    from edgevae.cli import _log_to_stderr

    logger = logging.getLogger("edgevae")
    before = logger.handlers, logger.level, logger.propagate
    try:
        _log_to_stderr(logging.WARNING)
        _log_to_stderr(logging.WARNING)
        logger.warning("look %s", "here")
        logger.info("not here")
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)
    assert capsys.readouterr().err == "edgevae: look here\n"
