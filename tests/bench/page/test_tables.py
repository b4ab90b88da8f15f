"""Markdown and CSV: every row and figure, and no name that breaks out of its cell."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from edgevae.errors import InputError
from edgevae_bench import document, samples
from edgevae_bench.cli import command as benchmark
from edgevae_bench.page.__main__ import command
from edgevae_bench.page.arrange import arrange
from edgevae_bench.page.csv_table import to_csv
from edgevae_bench.page.files import write_reports
from edgevae_bench.page.markdown import escape, table, to_markdown
from edgevae_bench.page.view import Table
from edgevae_bench.plan import Found

sys.path.insert(0, str(Path(__file__).parents[1]))

import invented  # found by the line above


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_a_line_for_every_latency_with_all_that_belongs_to_it(result):
    rows = lines(to_csv(result))
    assert len(rows) == len(result.latency)
    for row, source in zip(rows, result.latency, strict=True):
        assert row["subject"] == source.subject
        assert float(row["latency.median_ms"]) == source.latency.median_ms
        assert row["work.height_px"] == str(source.work.height_px)
        assert (row["quality.psnr_db"], row["cost.load_ms"]) == ("31.2", "120.0")
    metered = [row for row in rows if row["energy.joules_per_frame"]]
    assert {(row["subject"], row["work.operation"]) for row in metered} == {
        ("onnxruntime_fp32", "round_trip")
    }
    assert rows[0]["cost.device_peak_bytes"] == ""


def test_a_cell_of_csv_is_never_a_formula_and_numbers_stay_numbers(result):
    named = replace(result, model=replace(result.model, name='=HYPERLINK("x")'))
    rows = lines(to_csv(named))
    assert {row["model"] for row in rows} == {'\'=HYPERLINK("x")'}
    assert all(float(row["latency.min_ms"]) for row in rows)


def test_markdown_has_every_row_of_every_table(result, times):
    view = arrange(result, times)
    text = to_markdown(view)
    for one in view.tables:
        assert table(one) in text
    assert (
        sum(line.startswith("| onnxruntime_fp32 | 640x360 | call") for line in text.splitlines())
        == 3
    )
    assert "Gates: 2 of 2 kept" in text
    assert f"```sh\n{view.command}\n```" in text


def test_markdown_tables_keep_their_columns_whatever_the_cells_hold():
    hard = "a|b\n`c` <b>*d*_e_ [x](y)"
    text = table(Table(caption="c", header=("one", "two"), rows=((hard, "1"),)))
    row = text.splitlines()[-1]
    assert row == r"| a\|b \`c\` \<b\>\*d\*\_e\_ \[x\](y) | 1 |"
    assert escape("pytorch_eager_fp32") == "pytorch_eager_fp32"


def test_a_command_with_backticks_stays_in_its_block(result, times):
    fenced = replace(result, command=("edgevae", "```", "x"))
    text = to_markdown(arrange(fenced, times))
    assert "````sh\nedgevae '```' x\n````" in text


def test_the_files_of_a_result_measured_before_are_those_of_the_run(result, times, tmp_path):
    keep = tmp_path / "out.json"
    document.write_json(replace(result, samples_file="out.samples.jsonl"), keep)
    samples.append(tmp_path / "out.samples.jsonl", invented.samples())
    paths = SimpleNamespace(**{kind: tmp_path / f"out.{kind}" for kind in ("html", "md", "csv")})
    arguments = [keep, "--report", paths.html, "--markdown", paths.md, "--csv", paths.csv]
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert (done.exit_code, done.output) == (0, "")
    read = document.read_json(keep)
    write_reports(read, times, html=tmp_path / "again.html", csv=tmp_path / "again.csv")
    assert paths.csv.read_text() == (tmp_path / "again.csv").read_text()
    assert paths.html.read_text() == (tmp_path / "again.html").read_text()
    assert paths.md.read_text().startswith("# invented\n")
    assert json.loads(keep.read_text())["model"]["name"] == "invented"


def test_the_page_of_a_result_that_was_renamed_is_of_its_own_samples(result, times, tmp_path):
    """`out.json` became `before.json`, and another run wrote `out.json` since."""
    for name, taken in (("before", invented.samples()), ("out", invented.samples(8))):
        document.write_json(
            replace(result, samples_file="out.samples.jsonl"), tmp_path / f"{name}.json"
        )
        samples.append(tmp_path / f"{name}.samples.jsonl", taken)
    files = [tmp_path / "before.json", "--report", tmp_path / "page.html"]
    done = CliRunner().invoke(command, [str(file) for file in files])
    assert (done.exit_code, done.output) == (0, "")
    read = document.read_json(files[0])
    write_reports(read, times, html=tmp_path / "expected.html")
    assert files[2].read_text() == (tmp_path / "expected.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "got nothing to write"), (("--report", "no/such/folder.html"), "--report: cannot write")],
)
def test_a_page_that_could_not_be_written_is_refused(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(command, [str(tmp_path / "a.json"), *arguments], catch_exceptions=False)


def test_the_benchmark_writes_the_reports_that_were_asked_for(
    result, still, tiny_bundle, tmp_path, monkeypatch
):
    shown = (still("first", 0, source=200, made=190),)
    found = Found(result=result, shown=shown, shown_subject="a", samples=tuple(invented.samples()))
    # The measuring takes minutes and is tested elsewhere.
    monkeypatch.setattr("edgevae_bench.run.run", lambda plan, progress: found)
    files = {"--report": "out.html", "--markdown": "out.md", "--csv": "out.csv"}
    arguments = [word for name, file in files.items() for word in (name, str(tmp_path / file))]
    done = CliRunner().invoke(benchmark, [str(tiny_bundle), *arguments])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files.values())
    page = (tmp_path / "out.html").read_text()
    assert page.count("data:image/webp") == 3
    assert page.count("h0M") > 1000, "the samples are not in it"


@pytest.mark.parametrize("option", ["--report", "--markdown", "--csv"])
def test_a_report_that_could_not_be_written_is_refused_before_the_measuring(tiny_bundle, option):
    with pytest.raises(InputError, match=option):
        CliRunner().invoke(benchmark, [str(tiny_bundle), option, "out.exe"], catch_exceptions=False)


def test_a_file_that_was_not_asked_for_is_not_written(result, times, tmp_path):
    write_reports(result, times, markdown=tmp_path / "out.md")
    assert [path.name for path in tmp_path.iterdir()] == ["out.md"]
