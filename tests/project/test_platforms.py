"""Everything that the runtime imports on a Jetson has a wheel for it, or comes with JetPack."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli", reason="TOML is read with tomllib, of Python 3.11")
requirements = pytest.importorskip("packaging.requirements")

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

JETPACKS = {"jp62": ("3.10", 35), "jp7": ("3.12", 39)}
"""Python and glibc 2.x of JetPack 6.2 (Ubuntu 22.04) and 7 (Ubuntu 24.04)."""

JETPACKS_OWN = {"tensorrt", "tensorrt_rtx", "pycuda"}
"""What apt brings; what has no wheel for a Jetson and is never asked for there; what is built from source."""

DISTRIBUTIONS = {"cuda": "cuda-bindings", "PIL": "pillow"}
"""Of modules that have another name than their distribution."""

LAYERS = (
    "bundle",
    "spec",
    "files",
    "strict",
    "errors",
    "frames",
    "version",
    "cuda",
    "engine",
    "runtime",
    "video",
)
"""Of edgevae: what a Jetson runs; `cli` names its stages as strings."""


def wanted(jetpack: str) -> list[requirements.Requirement]:
    """Return what `edgevae[jetson,video]` asks for by name on a JetPack."""
    python, _ = JETPACKS[jetpack]
    machine = {"python_version": python, "sys_platform": "linux", "platform_machine": "aarch64"}
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *extras["jetson"], *extras["video"]]
    found = [requirements.Requirement(line) for line in asked]
    return [r for r in found if r.marker is None or r.marker.evaluate(machine)]


def pins(jetpack: str) -> dict[str, str]:
    """Return version by distribution of a requirements file."""
    text = (ROOT / "docker" / f"requirements-{jetpack}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", text, re.M))


def resolve(jetpack: str, folder: Path, *asked: str) -> subprocess.CompletedProcess[str]:
    """Have pip find wheels for a Jetson, and download nothing but what it must look into."""
    python, glibc = JETPACKS[jetpack]
    platforms = [f"--platform=manylinux_2_{n}_aarch64" for n in range(glibc, 16, -1)]
    options = [
        "--dry-run",
        "--quiet",
        "--ignore-installed",
        "--only-binary=:all:",
        "--target",
        folder,
    ]
    target = [f"--python-version={python}", "--implementation=cp", *platforms]
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            *options,
            *target,
            "--platform=manylinux2014_aarch64",
            *asked,
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """A package index that can be reached."""
    done = resolve("jp62", tmp_path_factory.mktemp("probe"), "--no-deps", "click")
    if done.returncode:
        pytest.skip(f"no package index can be reached: {(done.stderr.splitlines() or ['?'])[-1]}")


@pytest.mark.slow
@pytest.mark.parametrize("jetpack", JETPACKS)
def test_the_base_and_the_jetson_extra_resolve_to_wheels(index, tmp_path, jetpack):
    asked = [f"{r.name}{r.specifier}" for r in wanted(jetpack)]
    done = resolve(jetpack, tmp_path, *asked)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("jetpack", JETPACKS)
def test_the_pinned_requirements_are_wheels_and_fit_together(index, tmp_path, jetpack):
    done = resolve(jetpack, tmp_path, "-r", str(ROOT / "docker" / f"requirements-{jetpack}.txt"))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_package_without_a_wheel_is_noticed(index, tmp_path):
    assert resolve("jp62", tmp_path, "--no-deps", "pycuda").returncode != 0


@pytest.mark.parametrize("jetpack", JETPACKS)
def test_the_pins_are_what_the_project_asks_for(jetpack):
    pinned = pins(jetpack)
    for requirement in wanted(jetpack):
        assert requirement.name in pinned
        assert requirement.specifier.contains(pinned[requirement.name]), str(requirement)


def test_cuda_bindings_are_of_the_cuda_that_the_jetpack_has():
    assert pins("jp62")["cuda-bindings"].startswith("12.")
    assert pins("jp7")["cuda-bindings"].startswith("13.")


@pytest.mark.parametrize("jetpack", JETPACKS)
def test_whatever_the_runtime_imports_is_pinned_or_jetpacks_own(jetpack):
    imported = set[str]()
    for path in (ROOT / "edgevae").rglob("*.py"):
        if path.relative_to(ROOT / "edgevae").parts[0].removesuffix(".py") in LAYERS:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    imported.add(node.module.split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"edgevae", "__future__"}
    assert {"numpy", "cuda", "av"} <= foreign
    distributions = {DISTRIBUTIONS.get(name, name) for name in foreign}
    assert distributions - JETPACKS_OWN <= set(pins(jetpack))


@pytest.mark.parametrize("jetpack", JETPACKS)
def test_the_container_file_installs_these_pins_on_a_base_that_is_given(jetpack):
    text = (ROOT / "docker" / f"jetson-{jetpack}.Dockerfile").read_text()
    assert f"COPY docker/requirements-{jetpack}.txt" in text
    assert "--system-site-packages" in text
    assert re.search(r"^ARG BASE\nFROM \$\{BASE\}$", text, re.M)
    for source in re.findall(r"^COPY (.+) \S+$", text, re.M):
        for name in source.split():
            assert (ROOT / name).exists()
