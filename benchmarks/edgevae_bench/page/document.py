"""The page as one HTML file: it loads nothing, sends nothing, and runs no script but its own.

The policy in its head allows only the script whose digest is in it, pictures that are in the page, and the style sheet.
Whatever comes from files and machines goes through the template engine's escaping, or through ElementTree's.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
from dataclasses import dataclass
from importlib import resources

import jinja2
from markupsafe import Markup

from edgevae_bench.page.charts import bars, courses, cumulative, samples, tradeoff
from edgevae_bench.page.charts.chart import Chart
from edgevae_bench.page.stills import embed
from edgevae_bench.page.view import Chapter, Contest, Pictures, View, kept


@dataclass(frozen=True)
class DrawnContest:
    """Latencies of one piece of work, two ways."""

    title: str
    dots: Chart
    share: Chart


@dataclass(frozen=True)
class Card:
    """A chart under its heading."""

    title: str
    text: str
    chart: Chart


@dataclass(frozen=True)
class Drawn:
    """A chapter as the template takes it."""

    title: str
    boundaries: list[tuple[str, list[DrawnContest]]]
    cards: list[Card]
    missing: list[str]


def to_html(view: View, pictures: Pictures | None) -> str:
    """Return the page.

    Args:
        view: What it shows.
        pictures: Frames for the slider; None for none.
    """
    script = _part("script.js")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    page: str = environment.from_string(_part("template.html")).render(
        view=view,
        kept=kept(view.verdicts),
        policy=policy(script),
        style=Markup(_part("style.css")),  # ours
        script=Markup(script),  # ours
        chapters=[_chapter(chapter, view.subjects) for chapter in view.chapters],
        stills=embed(pictures or Pictures(subject="", shown=())),
    )
    return page


def policy(script: str) -> str:
    """Return the content security policy that lets this script run, and nothing else be loaded or sent.

    Args:
        script: With the newline before it, exactly as it stands between the tags.
    """
    digest = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _part(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _contest(contest: Contest, subjects: tuple[str, ...]) -> DrawnContest:
    return DrawnContest(
        title=contest.title,
        dots=samples.chart(contest, subjects),
        share=cumulative.chart(contest, subjects),
    )


def _chapter(chapter: Chapter, subjects: tuple[str, ...]) -> Drawn:
    boundaries = [
        (boundary, [_contest(contest, subjects) for contest in contests])
        for boundary, contests in itertools.groupby(chapter.contests, key=lambda c: c.boundary)
    ]
    cards = []
    if chapter.places:
        drawn = tradeoff.chart(chapter.places, subjects)
        text = (
            f"{chapter.places_text}. Further right is faster, further up is nearer to the source."
        )
        cards.append(Card("Throughput against quality", text, drawn))
    if any(math.isfinite(value) for course in chapter.courses for value in course.values):
        drawn = courses.chart(chapter.courses, subjects, chunk_frames=chapter.chunk_frames)
        text = "Against the source. Light lines are where a chunk begins."
        cards.append(Card("PSNR of each frame", text, drawn))
    missing = []
    for bar_chart in chapter.bar_charts:
        if any(bar.parts for bar in bar_chart.bars):
            drawn = bars.chart(bar_chart, subjects)
            cards.append(Card(bar_chart.title, bar_chart.text, drawn))
        else:
            reasons = dict.fromkeys(bar.note for bar in bar_chart.bars if bar.note)
            missing.append(f"{bar_chart.title}: {'; '.join(reasons) or 'not measured'}.")
    return Drawn(chapter.title, boundaries, cards, missing)
