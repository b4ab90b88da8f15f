"""The engine cache: found only when nothing differs, refused when one byte does, built once."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from edgevae.engine.cache import PLAN, SIDECAR, Built, EngineCache
from edgevae.engine.profile import Profile, Size, parse_size
from edgevae.engine.record import EngineKey, decode, encode
from edgevae.errors import EdgeVaeError, IncompatibleError, IntegrityError
from edgevae.files import sha256
from edgevae.strict import to_dict

CHANGES = {
    "model": "alley",
    "role": "encoder",
    "precision": "fp32",
    "graph_sha256": "6" * 64,
    "tensorrt": "tensorrt_rtx",
    "tensorrt_version": "10.3.0.31",
    "gpu": "Thor",
    "compute_capability": "11.0",
    "multiprocessors": 8,
    "driver": "580",
    "cuda": "13.0",
}
OPTION_CHANGES = {
    "profiles": (Profile.static(Size(height=480, width=832)),),
    "workspace_mib": 512,
    "level": 5,
    "version_compatible": True,
    "hardware_compatible": True,
}


def with_sizes(key: EngineKey, *profiles: str | Profile, **settings) -> EngineKey:
    """Return a key for other sizes."""
    own = tuple(p if isinstance(p, Profile) else Profile.static(parse_size(p)) for p in profiles)
    return replace(key, options=replace(key.options, profiles=own, **settings))


def never() -> Built:
    pytest.fail("built")


def test_every_field_of_the_key_is_changed_below():
    assert set(CHANGES) | {"options"} == {f.name for f in fields(EngineKey)}


@pytest.mark.parametrize("name", CHANGES)
def test_an_engine_is_not_found_when_a_field_of_its_key_differs(cache, key, built, name):
    cache.find_or_build(key, lambda: built)
    other = replace(key, **{name: CHANGES[name]})
    assert other.digest != key.digest
    assert cache.find(other) is None
    assert cache.find(key) is not None


@pytest.mark.parametrize("name", OPTION_CHANGES)
def test_an_engine_is_not_found_when_an_option_differs(cache, key, built, name):
    assert set(OPTION_CHANGES) == {f.name for f in fields(key.options)}
    cache.find_or_build(key, lambda: built)
    other = replace(key, options=replace(key.options, **{name: OPTION_CHANGES[name]}))
    assert other.digest != key.digest
    assert cache.find(other) is None


def test_an_engine_is_built_once_and_found_whole(cache, key, built):
    first = cache.find_or_build(key, lambda: built)
    again = cache.find_or_build(key, never, allow_build=False)
    assert again == first
    assert again.plan == built.plan == again.path.read_bytes()
    assert again.record.key == key
    assert (again.record.layers, again.record.build_seconds) == (built.layers, built.seconds)
    assert again.record.parity == {"frames_dB": 61.25}
    assert again.record.built_at.endswith("Z")
    assert cache.entries() == (first.record,)


def test_an_engine_is_built_again_when_forced(cache, key, built):
    cache.find_or_build(key, lambda: built)
    other = replace(built, plan=b"another")
    assert cache.find_or_build(key, lambda: other, force=True).plan == b"another"
    assert cache.find_or_build(key, never).plan == b"another"
    assert len(cache.entries()) == 1


def test_figures_that_json_has_no_word_for_are_null(cache, key, built):
    figures = {"frames_dB": float("inf"), "latents": 0.5}
    record = cache.find_or_build(key, lambda: replace(built, parity=figures)).record
    assert record.parity == {"frames_dB": None, "latents": 0.5}
    body = (cache.folder / key.folder_name / SIDECAR).read_text().rpartition("}")[0] + "}"
    assert json.loads(body)["parity"] == {"frames_dB": None, "latents": 0.5}


@pytest.mark.parametrize("name", sorted(set(CHANGES) - {"model", "role", "precision"}))
def test_a_stale_engine_is_named_by_the_field_that_differs_and_both_values(
    cache, key, built, name, caplog
):
    cache.find_or_build(key, lambda: built)
    other = replace(key, **{name: CHANGES[name]})
    said = f"{name} is {getattr(key, name)}, expected {CHANGES[name]}"
    with pytest.raises(IncompatibleError, match="the engine in the cache is stale") as error:
        cache.find_or_build(other, never, allow_build=False)
    assert said in str(error.value)
    assert error.value.exit_code == 4
    with caplog.at_level(logging.INFO, "edgevae"):
        cache.find_or_build(other, lambda: built)
    assert said in caplog.text


def test_every_field_that_differs_is_named(cache, key, built):
    cache.find_or_build(key, lambda: built)
    other = replace(key, tensorrt_version="10.13.3.9", driver="")
    with pytest.raises(
        IncompatibleError,
        match=r"tensorrt_version is 10.3.0.30, expected 10.13.3.9, driver is 540, expected none;",
    ):
        cache.find_or_build(other, never, allow_build=False)


def test_of_several_stale_engines_the_nearest_is_named(cache, key, built):
    far = replace(key, gpu="Thor", tensorrt_version="10.13.3.9", driver="580")
    cache.find_or_build(far, lambda: built)
    cache.find_or_build(replace(key, driver="535"), lambda: built)
    with pytest.raises(IncompatibleError, match="stale: driver is 535, expected 540;"):
        cache.find_or_build(key, never, allow_build=False)


def test_an_engine_that_is_not_there_says_what_is(cache, key, built):
    with pytest.raises(IncompatibleError, match="it has none of this model; build it with"):
        cache.find_or_build(key, never, allow_build=False)
    cache.find_or_build(key, lambda: built)
    with pytest.raises(IncompatibleError, match="other sizes or settings: 1x360x640; build it"):
        cache.find_or_build(with_sizes(key, "720p"), never, allow_build=False)
    assert not (cache.folder / with_sizes(key, "720p").folder_name).exists()


@pytest.mark.parametrize("file", [PLAN, SIDECAR])
def test_a_thousand_flipped_bytes_are_all_refused(cache, key, built, file):
    path = cache.find_or_build(key, lambda: built).path.with_name(file)
    whole, chance = path.read_bytes(), random.Random(file)
    for _ in range(1000):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= chance.randrange(1, 256)
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match="edgevae build --force"):
            cache.find(key)
    path.write_bytes(whole)
    assert cache.find(key) is not None


def test_each_byte_of_a_sidecar_counts(cache, key, built):
    record = cache.find_or_build(key, lambda: built).record
    whole = encode(record)
    assert decode(whole, where=Path("engine.json")) == record
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x20  # the case of a letter
        with pytest.raises(IntegrityError):
            decode(bytes(damaged), where=Path("engine.json"))
        with pytest.raises(IntegrityError):
            decode(whole[:position], where=Path("engine.json"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / PLAN).unlink(), r"engine.plan: missing"),
        (lambda folder: (folder / SIDECAR).unlink(), r"engine.json: missing"),
        (lambda folder: (folder / PLAN).write_bytes(b""), r"0 bytes, expected 4096"),
    ],
)
def test_a_damaged_engine_is_built_again_saying_so_or_refused(
    cache, key, built, damage, message, caplog
):
    folder = cache.find_or_build(key, lambda: built).path.parent
    damage(folder)
    with pytest.raises(IntegrityError, match=message) as error:
        cache.find_or_build(key, never, allow_build=False)
    assert error.value.exit_code == 4
    assert cache.find_or_build(key, lambda: built).plan == built.plan
    assert "; building it now" in caplog.text
    assert cache.find_or_build(key, never).plan == built.plan


def test_an_engine_under_the_name_of_another_is_refused(cache, key, built):
    folder = cache.find_or_build(key, lambda: built).path.parent
    other = replace(key, gpu="Thor")
    shutil.copytree(folder, cache.folder / other.folder_name)
    with pytest.raises(IntegrityError, match=r"holds another engine .gpu is Orin, expected Thor"):
        cache.find(other)


def test_an_engine_of_another_format_is_not_taken(cache, key, built, caplog):
    path = cache.find_or_build(key, lambda: built).path.with_name(SIDECAR)
    body = encode(decode(path.read_bytes(), where=path)).split(b"\n}")[0] + b"\n}"
    body = body.replace(b'"format_version": 1', b'"format_version": 2')
    path.write_bytes(body + b"\n" + sha256(body).encode() + b"\n")
    with pytest.raises(IncompatibleError, match="format version 2, this edgevae reads 1"):
        cache.find_or_build(key, never, allow_build=False)
    assert cache.entries() == ()
    assert cache.find_or_build(key, lambda: built).plan == built.plan


def test_a_model_with_any_name_has_its_engine_in_the_cache(cache, key, built):
    for name in ("../../up", "a/b", "", "." * 80, "Straße 9"):
        own = replace(key, model=name)
        path = cache.find_or_build(own, lambda: built).path
        assert path.parent.parent == cache.folder
        assert cache.find(own) is not None
    assert len(cache.entries()) == 5


WIDE = Profile(
    min=Size(height=64, width=64),
    opt=Size(height=360, width=640),
    max=Size(height=1080, width=1920),
)
WIDER = replace(WIDE, max=Size(batch=4, height=1080, width=1920))


def test_the_engine_for_a_size_is_the_static_one_then_the_smallest_that_covers_it(
    cache, key, built
):
    for sizes in (("360p",), ("480p",), (WIDER,), (WIDE,), ("360p", "720p")):
        cache.find_or_build(with_sizes(key, *sizes), lambda: built)
    asked = with_sizes(key, "1080p")

    def sizes(text: str) -> str:
        found = cache.best(asked, parse_size(text))
        return "none" if found is None else str(found.record.key.options)

    assert sizes("360p") == "1x360x640"
    assert sizes("480p") == "1x480x832"
    assert sizes("720p") == "1x360x640 + 1x720x1280"
    assert sizes("96x96") == str(WIDE)
    assert sizes("2x96x96") == str(WIDER)
    assert sizes("2160x3840") == "none"
    assert len(cache.candidates(asked)) == 5


def test_an_engine_of_another_gpu_or_without_the_settings_that_are_asked_for_is_not_taken(
    cache, key, built
):
    cache.find_or_build(with_sizes(key, "360p", level=5), lambda: built)
    cache.find_or_build(replace(key, gpu="Thor"), lambda: built)
    size = parse_size("360p")
    assert cache.best(with_sizes(key, "720p", level=3), size) is None
    assert cache.best(with_sizes(key, "720p", version_compatible=True), size) is None
    assert cache.best(with_sizes(key, "720p", level=5), size) is not None
    assert cache.best(key, size).record.key.options.level == 5
    assert cache.best(with_sizes(key, "720p"), size, exact=True) is None
    assert cache.best(with_sizes(key, "360p"), size, exact=True) is not None


def test_a_damaged_engine_is_passed_over_for_the_next_best(cache, key, built, caplog):
    static = cache.find_or_build(with_sizes(key, "360p"), lambda: built)
    cache.find_or_build(with_sizes(key, WIDE), lambda: built)
    static.path.write_bytes(bytes(4096))
    found = cache.best(key, parse_size("360p"))
    assert found is not None
    assert found.record.key.options.profiles == (WIDE,)
    assert "engine.plan: sha256 is" in caplog.text


CHILD = """
import json, sys, time, logging
logging.basicConfig()
from edgevae.engine.cache import *
from edgevae.engine.inspection import LayerTypes
from edgevae.strict import from_dict
def build():
    print("building", flush=True)
    time.sleep(float(sys.argv[3]))
    return Built(plan=bytes(int(sys.argv[4])), layers=LayerTypes(fp16=4), seconds=1.0)
engine = EngineCache(sys.argv[1]).find_or_build(from_dict(EngineKey, json.loads(sys.argv[2]), where="key"), build)
print("plan", len(engine.plan), engine.record.built_at, flush=True)
"""


def child(
    cache: EngineCache, key: EngineKey, *, code: str = CHILD, seconds: float = 0, size: int = 4096
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            code,
            cache.folder,
            json.dumps(to_dict(key)),
            str(seconds),
            str(size),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_that_build_at_once_build_once(cache, key):
    pair = [child(cache, key, seconds=1.5) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in pair]
    lines = [out.splitlines() for out, _ in said]
    assert sorted(len(ls) for ls in lines) == [1, 2]
    assert lines[0][-1] == lines[1][-1]
    assert lines[0][-1].startswith("plan 4096")
    waiting = "another process builds street decoder fp16 1x360x640, waiting for it"
    assert sum(waiting in err for _, err in said) == 1


def names(cache: EngineCache) -> list[str]:
    return [name for name in os.listdir(cache.folder) if not name.endswith(".lock")]


def test_a_build_that_is_killed_leaves_nothing(cache, key, built):
    with child(cache, key, seconds=60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "building\n"
        process.send_signal(signal.SIGKILL)
    assert names(cache) == []
    assert cache.find(key) is None
    assert cache.find_or_build(key, lambda: built).plan == built.plan


SLOW = "import edgevae.files as f, time\nf._flush = lambda p: (print('writing', flush=True), time.sleep(60))\n"


def test_a_build_that_is_killed_while_it_writes_leaves_litter_that_the_next_removes(
    cache, key, built
):
    with child(cache, key, code=SLOW + CHILD) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["building\n", "writing\n"]
        process.send_signal(signal.SIGKILL)
    (litter,) = names(cache)
    assert litter.startswith(".")
    assert litter.endswith(".partial")
    assert cache.find(key) is None
    assert cache.entries() == ()
    cache.find_or_build(key, lambda: built)
    assert names(cache) == [key.folder_name]


FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from edgevae.errors import EdgeVaeError
try:
    exec(CODE)
except EdgeVaeError as error:
    print(error.exit_code, str(error), flush=True)
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(cache, key):
    with child(cache, key, code=f"CODE = {CHILD!r}\n{FULL}", size=1_000_000) as process:
        out, err = process.communicate(timeout=60)
    assert err == ""
    line = out.splitlines()[-1]
    assert line.startswith(f"1 {cache.folder}: the engine street decoder fp16 1x360x640 cannot be")
    assert "(File too large); free some space, or set EDGEVAE_CACHE_DIR" in line
    assert names(cache) == []


def test_a_cache_that_cannot_be_written_is_said_before_the_build(tmp_path, key, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("EDGEVAE_CACHE_DIR", str(file))
    with pytest.raises(EdgeVaeError, match=r"cannot be written \(Not a directory\)"):
        EngineCache().find_or_build(key, never)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_engine_in_a_cache_that_cannot_be_written_is_found(cache, key, built):
    cache.find_or_build(key, lambda: built)
    cache.folder.chmod(0o555)
    try:
        assert cache.find_or_build(key, never).plan == built.plan
        with pytest.raises(EdgeVaeError, match=r"cannot be written \(Permission denied\)"):
            cache.find_or_build(replace(key, gpu="Thor"), never)
    finally:
        cache.folder.chmod(0o755)


def test_an_error_of_the_build_comes_out_and_leaves_nothing(cache, key):
    def fail() -> Built:
        raise OSError("mine")

    with pytest.raises(OSError, match="mine"):
        cache.find_or_build(key, fail)
    assert names(cache) == []
    assert cache.find(key) is None
