"""A run that was broken off is gone on with, whenever that was, and no other is."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgevae.errors import IncompatibleError
from edgevae_bench import document, samples
from edgevae_bench.ledger import Ledger
from edgevae_bench.result import Gates
from edgevae_bench.resuming import resume

sys.path.insert(0, str(Path(__file__).parent))

import invented  # found by the line above

PLANNED = invented.result()


def begun(folder: Path, **changes: object) -> Ledger:
    """Return the ledger of a run that has found nothing yet."""
    given = {
        "environment": PLANNED.environment,
        "model": PLANNED.model,
        "clip": replace(PLANNED.clip, frames_per_s=30000 / 1001),
        "settings": replace(PLANNED.settings, gates=Gates(max_p99_ms=100 / 3)),
        "output": folder / "result.json",
    }
    return Ledger(**given | changes)


def with_turns(ledger: Ledger) -> Ledger:
    """Return the ledger after every turn, in the order in which a run takes them."""
    for row in PLANNED.subjects:
        ledger.rows[row.subject.name, row.case] = row
    ledger.take(sorted(invented.samples(), key=lambda s: (s.case, s.round, s.subject)))
    return ledger


def test_a_run_goes_on_with_figures_that_six_digits_cannot_hold(tmp_path):
    first = with_turns(begun(tmp_path))
    first.save()
    found = resume(begun(tmp_path))
    assert len(found.samples) == len(first.samples)
    assert found.rows.keys() == first.rows.keys()
    assert found.created_utc == first.created_utc


def test_what_was_noted_of_the_clip_and_the_machine_is_said_after_a_break_too(tmp_path):
    busy = replace(PLANNED.environment, load_average_1min=3.5)
    first = with_turns(begun(tmp_path, environment=busy, notes=["the clip has only 8 frames"]))
    before = first.save().warnings
    later = replace(PLANNED.environment, git_commit="1" * 40)
    after = resume(begun(tmp_path, environment=later)).result(is_complete=True).warnings
    assert "the clip has only 8 frames" in before
    assert any("load average 3.5" in text for text in before)
    assert set(before) <= set(after)
    assert len(set(after)) == len(after)
    assert f"begun at commit {'0' * 40}, gone on with at {'1' * 40}" in after


def test_a_run_that_was_broken_off_before_its_first_turn_begins_again(tmp_path):
    begun(tmp_path).save()
    assert resume(begun(tmp_path)).samples == []


def test_a_run_that_was_broken_off_while_a_sample_was_written_takes_that_turn_again(tmp_path):
    first = with_turns(begun(tmp_path))
    first.save()
    path = document.samples_path(tmp_path / "result.json")
    path.write_bytes(path.read_bytes()[:-20])
    found = resume(begun(tmp_path))
    last = first.samples[-1]
    case = next(c for c in PLANNED.settings.cases if str(c) == last.case)
    assert first.turns((last.subject, case)) == last.round + 1
    assert found.turns((last.subject, case)) == last.round
    found.take([last])
    assert len(samples.read(path)) == len(found.samples)


@pytest.mark.parametrize("program", ["/opt/env/bin/edgevae", "-c", "/opt/edgevae/__main__.py"])
def test_the_command_line_names_the_command_and_no_folder(tmp_path, monkeypatch, program):
    monkeypatch.setattr(
        sys, "argv", [program, "benchmark", "/home/me/mine", "--video=/a/b.mp4", "-o", "out/a.json"]
    )
    command = begun(tmp_path).result(is_complete=False).command
    assert command == ("edgevae", "benchmark", "mine", "--video=b.mp4", "-o", "out/a.json")


def test_samples_that_are_gone_are_an_error_where_there_were_turns(tmp_path):
    with_turns(begun(tmp_path)).save()
    document.samples_path(tmp_path / "result.json").unlink()
    with pytest.raises(IncompatibleError, match=r"keep the \.samples\.jsonl beside its \.json"):
        resume(begun(tmp_path))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("clip", {"sha256": "0" * 64}, "is of another clip"),
        ("settings", {"seed": 1}, "is of another settings"),
        ("environment", {"cpu_name": "Another"}, "on another machine or with other versions"),
    ],
)
def test_another_run_is_not_gone_on_with(tmp_path, name, changes, message):
    begun(tmp_path).save()
    other = replace(getattr(begun(tmp_path), name), **changes)
    with pytest.raises(IncompatibleError, match=message):
        resume(begun(tmp_path, **{name: other}))
