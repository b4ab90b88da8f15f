"""TensorRT under both names: what is missing is said in one line, with what to do."""

from __future__ import annotations

import sys

import pytest

from edgevae.engine.flavour import Log, open_flavour
from edgevae.errors import InputError, UnavailableError


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a module `tensorrt` with given code."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)

    def write(code: str) -> None:
        (tmp_path / "tensorrt.py").write_text(code)

    yield write
    sys.modules.pop("tensorrt", None)


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="got 'trt', expected one of tensorrt, tensorrt_rtx"):
        open_flavour("trt")


def test_a_tensorrt_that_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(
        UnavailableError, match=r"^tensorrt: .*pip install 'edgevae\[tensorrt\]'"
    ) as e:
        open_flavour("tensorrt")
    assert "--system-site-packages" in str(e.value)


@pytest.mark.parametrize(
    "error",
    [
        "ImportError('libnvonnxparser.so.11: cannot open shared object file')",
        "OSError('libnvonnxparser.so.11: cannot open shared object file')",
    ],
)
def test_libraries_that_do_not_load_are_named(install, error):
    install(f"raise {error}")
    with pytest.raises(
        UnavailableError,
        match=r"tensorrt: installed, but its libraries do not load \(libnvonnxparser.so.11: .*LD_LIBRARY_PATH",
    ):
        open_flavour("tensorrt")


def test_a_part_that_is_missing_is_named(install):
    install("import tensorrt_no_such_bindings")
    with pytest.raises(
        UnavailableError, match="installed, but its part tensorrt_no_such_bindings is not"
    ):
        open_flavour("tensorrt")


@pytest.mark.parametrize("version", ["8.6.1", "10.2.0.19", "unknown"])
def test_a_tensorrt_that_is_too_old_is_refused(install, version):
    install(f"__version__ = {version!r}")
    with pytest.raises(
        UnavailableError, match=f"tensorrt: version {version}, expected 10.3 or later"
    ):
        open_flavour("tensorrt")


@pytest.mark.parametrize("version", ["10.3.0", "10.16.1.11", "11.4.0.106"])
def test_a_tensorrt_that_is_new_enough_is_opened(install, version):
    install(f"__version__ = {version!r}")
    flavour = open_flavour("tensorrt")
    assert str(flavour) == f"tensorrt {version}"
    assert not flavour.is_rtx


def test_the_last_error_of_tensorrt_is_kept_in_one_line(rtx):
    log = Log(rtx)
    assert log.last == "no reason given"
    builder = rtx.module.Builder(log.logger)
    network = builder.create_network(
        1 << int(rtx.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    )
    assert not rtx.module.OnnxParser(network, log.logger).parse(b"no graph")
    assert "Failed to parse" in log.last or "parse" in log.last
    assert "\n" not in log.last
