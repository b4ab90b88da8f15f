"""The page: whole, quiet, closed, and true to the result, whatever the names in it are."""

from __future__ import annotations

import base64
import hashlib
import re
import statistics
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from edgevae_bench.page.arrange import arrange
from edgevae_bench.page.document import to_html
from edgevae_bench.page.view import Pictures

EVIL = """</script><script>alert(1)</script>"'><img src=x onerror=alert(2)>{{ 7 * 7 }}&amp;<!--"""


class Reader(HTMLParser):
    """Every element with its attributes, and all text outside style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._inside, self.code = "", "", {"style": "", "script": ""}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside in self.code:
            self.code[self._inside] += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def pictures(still) -> Pictures:
    return Pictures(subject="onnxruntime_fp32", shown=[still("first", 0, source=200, made=190)])


@pytest.fixture
def page(result, times, pictures) -> Reader:
    return Reader(to_html(arrange(result, times), pictures))


def test_the_page_is_one_file_that_names_no_other(page):
    urls = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data", "poster", "srcset")
    ]
    assert urls
    assert [url for url in urls if not url.startswith("data:")] == []
    assert "url(" not in page.code["style"]
    assert "@import" not in page.code["style"]
    assert not re.search(r"fetch|XMLHttp|import\(|https?:", page.code["script"])


def test_the_policy_lets_only_the_pages_own_script_run(page):
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv")]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digest = base64.b64encode(hashlib.sha256(page.code["script"].encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "script-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]


def test_names_from_files_and_machines_are_shown_and_never_run(result, times, still, page):
    names = {row.subject.name: f"{row.subject.name}{EVIL}" for row in result.subjects}

    def renamed(rows):
        return tuple(replace(row, subject=names[row.subject]) for row in rows)

    evil = replace(
        result,
        model=replace(result.model, name=EVIL),
        clip=replace(result.clip, name=EVIL),
        environment=replace(result.environment, cpu_name=EVIL, package_versions={EVIL: EVIL}),
        command=(*result.command, EVIL),
        warnings=(EVIL,),
        subjects=tuple(
            replace(row, subject=replace(row.subject, name=names[row.subject.name]), reason=EVIL)
            for row in result.subjects
        ),
        latency=renamed(result.latency),
        quality=renamed(result.quality),
        energy=tuple(replace(row, meter=EVIL) for row in renamed(result.energy)),
        verdicts=tuple(replace(row, what=EVIL) for row in renamed(result.verdicts)),
    )
    samples = {replace(key, subject=names[key.subject]): ms for key, ms in times.items()}
    shown = Pictures(subject=EVIL, shown=[still(EVIL, 0, source=200, made=190)])
    found = Reader(to_html(arrange(evil, samples), shown))
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in page.elements]
    assert not [a for _, a in found.elements if any(name.startswith("on") for name in a)]
    assert found.code == page.code
    # Model, clip, CPU, command, warning, and the subjects in every chart and table.
    assert found.text.count(EVIL) > 50


def test_every_chart_has_words_and_a_table_behind_it(page):
    drawings = [a for a in page.all("svg") if a.get("class") == "chart"]
    told = [a["aria-label"] for a in drawings]
    assert len(drawings) > 50
    assert {a["role"] for a in drawings} == {"img"}
    assert all(re.search(r"onnxruntime_fp32: .*\d", text) for text in told)
    # The two views of a latency share one table.
    shares = sum("Share of samples" in text for text in told)
    assert page.text.count("The numbers") == len(drawings) - shares
    assert len(page.all("caption")) == len(page.all("table"))


def test_every_control_has_a_name_and_every_picture_a_text(page):
    assert all(a.get("alt") for a in page.all("img"))
    (slider,) = [a for a in page.all("input") if a["type"] == "range"]
    assert slider["aria-label"]
    assert len(page.all("label")) == sum(a["type"] == "radio" for a in page.all("input"))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a} <= set(ids)


def test_the_headlines_are_those_of_the_fastest_backend_of_our_own(result, times):
    fast = tuple(  # PyTorch is the fastest of all, and still not the headline
        replace(row, latency=replace(row.latency, median_ms=0.1))
        if row.subject.startswith("pytorch")
        else row
        for row in result.latency
    )
    speed, claim, quality, memory, energy = arrange(replace(result, latency=fast), times).headlines
    case, name = result.settings.cases[0], "onnxruntime_fp32"
    row = next(
        r
        for r in result.latency
        if (r.subject, r.work.case) == (name, case)
        and (r.work.boundary, r.work.operation) == ("call", "round_trip")
    )
    assert speed.figure == f"{row.frames_per_s:.1f} frames/s"
    assert claim.figure == f"{row.speedup_ratios['pytorch_eager_fp32']:.2f}x"
    assert (memory.figure, energy.figure) == ("220 MiB", "0.42 J")
    assert claim.detail.startswith("median of pytorch_eager_fp32")
    assert quality.figure == f"{result.quality[0].quality.psnr_db:.2f} dB"


def test_a_subject_that_is_equal_to_the_source_is_named_where_it_has_no_place(result, times):
    equal = tuple(
        replace(row, quality=replace(row.quality, psnr_db=None, mse=0.0))
        if row.subject == "onnxruntime_fp32"
        else row
        for row in result.quality
    )
    chapter = arrange(replace(result, quality=equal), times).chapters[0]
    assert "onnxruntime_fp32" not in [place.subject for place in chapter.places]
    assert chapter.places_text.endswith("because equal to the source: onnxruntime_fp32")


def test_where_no_ratio_may_be_claimed_the_page_says_why(result, times):
    reason = "threads is 1, the baseline's is 2"
    rows = tuple(replace(r, speedup_ratios={}, no_speedup_reason=reason) for r in result.latency)
    claim = arrange(replace(result, latency=rows), times).headlines[1]
    assert (claim.figure, claim.detail) == ("no claim", reason)


def test_gates_missing_subjects_and_warnings_stand_at_the_top(result, times):
    *kept, last = result.verdicts
    missed = (*kept, replace(last, value=28.5, passed=False))
    page = Reader(to_html(arrange(replace(result, verdicts=missed), times), None))
    top = page.text[: page.text.index("Speed, quality, cost")]
    assert "Gates: 1 of 2 kept" in top
    assert "PSNR against the source 28.5, min_psnr_db 30" in top
    assert "invented: nobody measured this" in top
    assert "openvino_fp32 missing: openvino is not installed" in top


def test_a_run_that_was_broken_off_says_so_first(result, times):
    broken = replace(result, is_complete=False, latency=result.latency[:2], quality=(), energy=())
    view = arrange(broken, times)
    assert "broken off" in view.warnings[0]
    assert "broken off" in to_html(view, None)


def test_each_size_has_its_own_charts_under_its_own_heading(result, times):
    first, second = arrange(result, times).chapters
    assert (first.title, second.title) == ("640x360", "1280x720")
    assert len(first.contests) == len(second.contests) == 12
    boundaries = ["call"] * 3 + ["stream"] * 3 + ["graph"] * 3 + ["file"] * 3
    assert [c.boundary.split(":")[0] for c in first.contests] == boundaries
    medians = {row.latency.median_ms for row in result.latency}
    for contest in (*first.contests, *second.contests):
        for row in contest.rows:
            assert statistics.median(row.samples_ms) == row.median_ms
            medians.remove(row.median_ms)
    assert not medians, "some rows are on no chart"
    batch = replace(result.settings.cases[0], batch_clips=2)
    several = replace(result, settings=replace(result.settings, cases=(batch,)))
    assert arrange(several, times).chapters[0].title == "640x360, 2 clips side by side"


def test_work_of_different_shape_never_shares_an_axis(result, times):
    longer = replace(result.latency[0], work=replace(result.latency[0].work, sample_frames=8))
    changed = replace(result, latency=(longer, *result.latency[1:]))
    contests = arrange(changed, times).chapters[0].contests
    sizes = {c.title: len(c.rows) for c in contests if c.boundary.startswith("graph")}
    assert sizes["encode, 4 frames"] == 2
    assert sizes["encode, 8 frames"] == 1


def test_a_page_without_samples_pictures_and_quality_still_has_its_figures(result):
    bare = replace(result, quality=(), energy=())
    found = Reader(to_html(arrange(bare, {}), None))
    assert not found.all("img")
    assert "Share of the machine's ceiling" in found.text
    assert "PSNR of each frame" not in found.text


def test_the_command_can_be_pasted_into_a_shell(result, times):
    typed = replace(result, command=(*result.command[:3], "--video", "my clip.mp4"))
    command = arrange(typed, times).command
    assert command == "edgevae benchmark edgevae-video-xs --video 'my clip.mp4'"
