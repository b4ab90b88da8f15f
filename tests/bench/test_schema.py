"""The document of a result: its schema, its samples, and that both can be read again."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgevae.errors import ConfigError, IncompatibleError
from edgevae_bench import document, json_schema, report, samples
from edgevae_bench.subjects import REFERENCE

sys.path.insert(0, str(Path(__file__).parent))

import invented  # found by the line above


def test_the_committed_schema_is_that_of_the_classes():
    assert json_schema.TARGET.read_text() == json_schema.to_text(), "run `make docs`"


def test_a_result_is_what_the_schema_says():
    jsonschema = pytest.importorskip("jsonschema")
    for long in (True, False):
        made = document.to_document(invented.result(), long=long)
        jsonschema.validate(made, json_schema.schema())
    made["latency"][0]["latency"]["median_ms"] = "fast"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made, json_schema.schema())


def test_every_key_of_the_schema_is_described():
    for name, definition in json_schema.schema()["$defs"].items():
        for key, value in definition["properties"].items():
            assert value["description"], f"{name}.{key}"


def test_a_document_read_again_is_the_same(tmp_path):
    path = tmp_path / "result.json"
    document.write_json(invented.result(), path)
    found = document.read_json(path)
    document.write_json(found, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == path.read_text()
    assert (found.schema_version, len(found.latency)) == (2, 72)


def test_the_line_is_strict_json_without_the_long_lists():
    line = document.to_line(invented.result())
    assert "\n" not in line
    parsed = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert parsed["quality"][0]["quality"]["frames_psnr_db"] == []
    assert parsed["latency"][0]["latency"]["p95_ms"] > 0


def test_nothing_is_told_of_where_things_lie():
    result = invented.result()
    own = replace(result.subjects[0].subject, path="/home/me/secret/bundle")
    rows = (replace(result.subjects[0], subject=own), *result.subjects[1:])
    assert "/home/me" not in document.to_line(replace(result, subjects=rows))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no result of a benchmark"),
        ("[]", "got something else"),
        ('{"schema": "edgevae-benchmark", "schema_version": 1}', "got schema edgevae-benchmark 1"),
    ],
)
def test_something_else_is_refused(tmp_path, text, message):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(IncompatibleError, match=message):
        document.read_json(path)
    with pytest.raises(IncompatibleError, match="no result"):
        document.read_json(tmp_path / "none.json")


def test_an_unknown_key_is_refused(tmp_path):
    path = tmp_path / "result.json"
    made = document.to_document(invented.result(), long=True)
    path.write_text(json.dumps(made | {"more": 1}))
    with pytest.raises(ConfigError, match="unknown key 'more'"):
        document.read_json(path)


def test_samples_are_appended_and_a_line_that_was_cut_off_is_dropped(tmp_path):
    path, taken = tmp_path / "r.samples.jsonl", invented.samples()[:3]
    samples.append(path, taken[:2])
    samples.append(path, taken[2:])
    with path.open("a") as file:
        file.write('{"case": "640x36')
    found = samples.read(path)
    assert [s.round for s in found] == [s.round for s in taken]
    for one, other in zip(found, taken, strict=True):
        assert one.ms == pytest.approx(other.ms, abs=1e-6)


def test_a_file_that_is_gone_on_with_has_whole_turns_only(tmp_path):
    path = tmp_path / "r.samples.jsonl"
    taken = sorted(invented.samples(), key=lambda s: (s.case, s.round, s.subject))
    samples.append(path, taken)
    whole = path.read_bytes()
    assert samples.take_up(path) == samples.read(path)
    assert path.read_bytes() == whole
    path.write_bytes(whole[:-20])
    found = samples.take_up(path)
    last = taken[-1]
    assert found == samples.read(path)
    assert 0 < len(found) < len(taken)
    assert (last.case, last.subject, last.round) not in {
        (s.case, s.subject, s.round) for s in found
    }
    samples.append(path, taken[-1:])
    assert len(samples.read(path)) == len(found) + 1


def test_samples_that_are_missing_or_something_else_are_refused(tmp_path):
    path = tmp_path / "r.samples.jsonl"
    with pytest.raises(IncompatibleError, match=r"keep the \.samples\.jsonl beside its \.json"):
        samples.read(path)
    path.write_text("hello\n")
    with pytest.raises(IncompatibleError, match="not JSON"):
        samples.read(path)


def test_a_round_trip_is_the_sum_of_a_chunks_both():
    rows = samples.by_row(invented.samples())
    key = next(k for k in rows if k.operation == "round_trip" and k.boundary == "call")
    encode, decode = (rows[replace(key, operation=op)] for op in ("encode", "decode"))
    assert rows[key] == pytest.approx([e + d for e, d in zip(encode, decode, strict=True)])
    assert len(rows[key]) == invented.ROUNDS * invented.CHUNKS


def test_the_tables_name_every_subject_size_and_figure():
    text = report.to_text(invented.result())
    for word in (REFERENCE, "onnxruntime_fp32", "1280x720", "graph:", "file:", "31.20", "equal"):
        assert word in text or word == "equal"
    assert "missing: openvino_fp32: openvino is not installed" in text
    assert "gate min_psnr_db 30: onnxruntime_fp32 at 640x360x1" in text
    assert "warning: invented" in text
    assert "lpips not available" in text
    broken = report.to_text(replace(invented.result(), is_complete=False))
    assert "BROKEN OFF: go on with --resume" in broken
