"""Charts: every sample and frame is where its number says, and colours can be told from what they stand on."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from importlib import resources
from xml.etree import ElementTree

import pytest

from edgevae.errors import InputError
from edgevae_bench.page.charts import bars, courses, cumulative, samples, tradeoff
from edgevae_bench.page.drawing import COLOURS, UNITS
from edgevae_bench.page.scale import fit, number
from edgevae_bench.page.view import Bar, BarChart, Contest, Course, Part, Place, Times

SUBJECTS = ("a", "b")


def times(subject: str, *samples_ms: float) -> Times:
    return Times(
        subject=subject,
        samples_ms=samples_ms,
        median_ms=sorted(samples_ms)[len(samples_ms) // 2],
        p99_ms=max(samples_ms),
        few_for_p99=True,
    )


def contest(*rows: Times) -> Contest:
    return Contest(boundary="call", title="encode", rows=rows)


def paths(drawing: str, kind: str) -> list[list[tuple[float, float]]]:
    """Return the points of every path of a class."""
    return [
        [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", node.attrib["d"])]
        for node in ElementTree.fromstring(drawing).iter("path")
        if node.attrib["class"].split()[0] == kind
    ]


@pytest.mark.parametrize(
    "values",
    [(3.1,), (0.0,), (5.0, 5.0), (93, 177, 271), (0.002, 0.0031), (31.2, 31.21), (-3, 4), (1, 900)],
)
@pytest.mark.parametrize("zero", [False, True])
def test_an_axis_holds_its_values_between_round_ticks_in_order(values, zero):
    if zero:
        values = tuple(map(abs, values))
    scale = fit(values, zero=zero)
    places = [scale.place(v) for v in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 1 for place in places)
    assert all(a < b for a, b in itertools.pairwise(scale.ticks))
    assert (scale.ticks[0], scale.ticks[-1]) == (scale.low, scale.high)
    assert len({scale.label(tick) for tick in scale.ticks}) == len(scale.ticks) <= 12
    assert not zero or scale.low == 0


def test_an_axis_that_is_not_from_zero_or_not_linear_says_so():
    assert fit([20, 100]).remark == ""
    assert fit([95, 100]).remark == "the axis begins at 95"
    assert fit([1, 900]).remark == "logarithmic axis"
    assert fit([1, 900], zero=True).remark == ""


def test_an_axis_refuses_what_has_no_place():
    for values in ([], [1.0, math.inf], [math.nan]):
        with pytest.raises(InputError, match="axis"):
            fit(values)


def test_numbers_have_three_digits_that_count():
    told = {0: "0", 0.0123456: "0.0123", 1.5: "1.5", 12.34: "12.3", 99.96: "100", 1234.5: "1 234"}
    assert {value: number(value).replace("\u202f", " ") for value in told} == told


def test_every_sample_is_a_dot_in_the_order_it_was_taken():
    taken = (10.0, 40.0, 20.0)
    (dots,) = paths(samples.chart(contest(times("a", *taken)), SUBJECTS).drawing, "dots")
    assert [x for x, _ in dots] == [pytest.approx(ms / 40 * UNITS) for ms in taken]
    assert [y for _, y in dots] == sorted(y for _, y in dots)


def test_of_very_many_samples_some_are_drawn_with_both_ends_and_a_note_says_so():
    many = [50.0 + index % 7 for index in range(3 * samples.MAX_DOTS)]
    many[1], many[2] = 90.0, 49.0
    chart = samples.chart(contest(times("a", *many)), SUBJECTS)
    (dots,) = paths(chart.drawing, "dots")
    across = {x for x, _ in dots}
    assert len(dots) <= samples.MAX_DOTS + 2
    scale = samples.axis(contest(times("a", *many)))
    assert {round(scale.place(ms) * UNITS, 1) for ms in (90.0, 49.0)} <= across
    assert "not every sample drawn: a" in chart.notes


def test_the_share_of_samples_rises_from_none_to_all():
    (stair,) = paths(cumulative.chart(contest(times("a", 10, 40, 20)), SUBJECTS).drawing, "line")
    assert stair[0] == (250, UNITS)
    assert stair[-1] == (UNITS, 0)
    for (x, y), (after, below) in itertools.pairwise(stair):
        assert after >= x
        assert below <= y
    assert {y for _, y in stair} == {1000, 666.7, 333.3, 0}


def test_values_of_an_axis_never_touch_on_a_phone_and_the_last_has_the_unit():
    drawing = samples.chart(contest(times("a", 1, 9000)), SUBJECTS).drawing
    ticks = [n for n in ElementTree.fromstring(drawing).iter("text") if n.attrib["class"] == "tick"]
    shown = {n.text.replace("\u202f", ""): float(n.attrib["x"].rstrip("%")) * 2.9 for n in ticks}
    assert shown["10000 ms"] == 290
    assert "1000" not in shown, "it would run into the last"
    assert {"1", "10", "100"} <= set(shown)


def test_subjects_keep_their_colour_and_letter_where_others_are_missing():
    only_b = contest(times("b", 1, 2))
    (key,) = cumulative.chart(only_b, SUBJECTS).keys
    assert (key.letter, key.classes) == ("B", "c1")
    assert 'class="dots c1"' in samples.chart(only_b, SUBJECTS).drawing


def test_the_ninth_subject_has_the_first_colour_dashed():
    nine = tuple("abcdefghi")
    (key,) = cumulative.chart(contest(times("i", 1, 2)), nine).keys
    assert (COLOURS, key.classes) == (8, "c0 again")


def test_frames_that_cannot_be_told_apart_share_a_line_and_a_key():
    near = (30.0, 31.0, 32.0)
    chart = courses.chart(
        (
            Course(subject="a", values=near),
            Course(subject="b", values=tuple(v + 0.04 for v in near)),
        ),
        SUBJECTS,
        chunk_frames=2,
    )
    assert len(paths(chart.drawing, "line")) == 1
    assert [key.name for key in chart.keys] == ["a, b (within 0.05 dB)"]
    apart = (Course(subject="a", values=near), Course(subject="b", values=(30.0, 31.0, 32.06)))
    assert len(paths(courses.chart(apart, SUBJECTS, chunk_frames=2).drawing, "line")) == 2


def test_identical_frames_interrupt_the_line_and_are_counted():
    values = (30.0, 31.0, math.inf, 32.0)
    chart = courses.chart((Course(subject="a", values=values),), SUBJECTS, chunk_frames=2)
    assert [len(points) for points in paths(chart.drawing, "line")] == [2, 2]
    assert "frames identical to the source, not drawn: a: 1" in chart.notes
    assert chart.table.rows[2] == ("2", "identical")


def test_a_clip_of_one_frame_has_a_chart():
    chart = courses.chart((Course(subject="a", values=(30.0,)),), SUBJECTS, chunk_frames=4)
    assert chart.table.rows == (("0", "30.00"),)


def test_a_difference_of_a_hundredth_of_a_dB_does_not_fill_the_chart():
    places = tuple(
        Place(subject=s, frames_per_s=f, psnr_db=q)
        for s, f, q in (("a", 10, 31.2), ("b", 20, 31.21))
    )
    drawing = ElementTree.fromstring(tradeoff.chart(places, SUBJECTS).drawing)
    a, b = (float(node.attrib["cy"]) for node in drawing.iter("circle"))
    assert 0 < a - b < 5


def test_marks_of_subjects_that_are_equally_fast_and_good_do_not_cover_each_other():
    places = [Place(subject=s, frames_per_s=f, psnr_db=31.2) for s, f in (("a", 100), ("b", 101))]
    chart = tradeoff.chart((*places, replace(places[0], frames_per_s=20)), SUBJECTS)
    drawing = ElementTree.fromstring(chart.drawing)
    a, b, far = (float(node.attrib["cy"]) for node in drawing.iter("circle"))
    assert abs(a - b) >= 2 * tradeoff.RADIUS_PX
    assert far == a, "what covers nothing stays where it is"
    (stalk,) = (n for n in drawing.iter("line") if n.attrib.get("class") == "stalk")
    assert {float(stalk.attrib["y1"]), float(stalk.attrib["y2"])} == {a, b}
    assert tradeoff.MOVED in chart.notes


def test_bars_add_up_and_one_without_a_figure_says_why():
    parts = (Part(label="load", value=30.0), Part(label="call", value=10.0))
    shown = BarChart(
        title="Start",
        text="",
        unit="ms",
        bars=(Bar(subject="a", parts=parts), Bar(subject="b", parts=(), note="it crashed")),
    )
    chart = bars.chart(shown, SUBJECTS)
    rects = [node.attrib for node in ElementTree.fromstring(chart.drawing).iter("rect")]
    assert [(r["x"], r["width"]) for r in rects] == [("0.00%", "75.00%"), ("75.00%", "25.00%")]
    assert chart.table.rows == (("a", "30", "10", "40"), ("b", "-", "-", "-"))
    assert "b: it crashed" in chart.notes
    assert "b: not known" in ElementTree.fromstring(chart.drawing).attrib["aria-label"]


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_and_colours_stand_out_from_their_ground(dark):
    style = (resources.files("edgevae_bench.page") / "style.css").read_text()
    light_part, dark_part = style.split("@media (prefers-color-scheme: dark)")
    part = dark_part.split(".c0 {")[0] if dark else light_part
    colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part))
    for ground in ("card", "page"):
        assert contrast(colour["ink"], colour[ground]) >= 7
        assert contrast(colour["soft"], colour[ground]) >= 4.5
        for index in range(COLOURS):
            assert contrast(colour[f"c{index}"], colour[ground]) >= 4.5
    for index in range(COLOURS):
        assert contrast(colour[f"c{index}"], colour["on"]) >= 4.5
    assert contrast(colour["ink"], colour["doubt"]) >= 7
    assert min(contrast(colour[name], colour["page"]) for name in ("good", "bad")) >= 4.5
