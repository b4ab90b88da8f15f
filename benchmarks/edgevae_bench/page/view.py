"""What the page shows, before it has a form: the charts and tables know this and not the schema of a result.

result --arrange.py--> View --charts/*, document.py--> HTML
                         \\--markdown.py--> Markdown
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edgevae.frames import Frames


@dataclass(frozen=True, kw_only=True)
class Times:
    """The samples of one subject at one piece of work."""

    subject: str
    """Whose."""
    samples_ms: tuple[float, ...]
    """In the order they were taken; empty where a result was written without them."""
    median_ms: float
    """Of all samples."""
    p99_ms: float
    """Of all samples."""
    few_for_p99: bool
    """Whether there are too few samples for a p99 that is not the maximum."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Subjects whose times may stand on one axis, because boundary, operation and shape are equal."""

    boundary: str
    """Where the clock starts and stops, in words; neighbours with the same one belong together."""
    title: str
    """What was done between."""
    rows: tuple[Times, ...]
    """One per subject."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one subject stands between speed and quality."""

    subject: str
    """Whose."""
    frames_per_s: float
    """Throughput."""
    psnr_db: float
    """Of the clip against its source."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """A figure of each frame of a clip."""

    subject: str
    """Whose."""
    values: tuple[float, ...]
    """One per frame; infinite for frames that are identical."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A piece of a bar."""

    label: str
    """What it is."""
    value: float
    """How long it is, in the unit of the chart."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar of one subject, made of parts that add up."""

    subject: str
    """Whose."""
    parts: tuple[Part, ...]
    """From the left; empty where the figure is not known."""
    note: str = ""
    """Why there is no figure, or what is to be known of it."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells of text with a heading row; those from `text_columns` on are numbers and stand on the right."""

    caption: str
    """What it is; read aloud before it."""
    header: tuple[str, ...]
    """Names of the columns, with units."""
    rows: tuple[tuple[str, ...], ...]
    """Cells."""
    text_columns: int = 1
    """How many columns on the left are text."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line about machine, model or method."""

    name: str
    """What."""
    value: str
    """How it is."""


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A figure that a reader wants first."""

    label: str
    """What it is."""
    figure: str
    """The number with its unit."""
    detail: str
    """Of what, and compared with what."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a row met the gates that the user set."""

    passed: bool
    """Whether it did."""
    decides: bool
    """Whether it makes the exit code; else the row is there to compare with."""
    text: str
    """The row, its figure and the gate."""


class Shown(Protocol):
    """A frame of the clip with what became of it."""

    @property
    def title(self) -> str:
        """Why it is shown."""

    @property
    def index(self) -> int:
        """Its number in the clip."""

    @property
    def psnr_db(self) -> float:
        """Of the reconstruction."""

    @property
    def source(self) -> Frames:
        """`[H, W, 3]`."""

    @property
    def reconstruction(self) -> Frames:
        """`[H, W, 3]`."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Frames of the clip with what one subject made of them."""

    subject: str
    """Who reconstructed them."""
    shown: Sequence[Shown]
    """Of one size; may be empty. A frame may come twice, with another title."""


@dataclass(frozen=True, kw_only=True)
class BarChart:
    """Bars of one kind."""

    title: str
    """What they are."""
    text: str
    """What must be known to read them."""
    unit: str
    """Of their lengths."""
    bars: tuple[Bar, ...]
    """One per subject."""


def kept(verdicts: Sequence[Verdict]) -> str:
    """Return how many of the gates that decide were kept."""
    passed = [verdict.passed for verdict in verdicts if verdict.decides]
    return f"{sum(passed)} of {len(passed)} kept"


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """All charts of one case: of one size and batch."""

    title: str
    """Size and batch."""
    contests: tuple[Contest, ...]
    """For the distributions of latency."""
    places: tuple[Place, ...]
    """For throughput against quality."""
    places_text: str
    """Which throughput it is."""
    courses: tuple[Course, ...]
    """PSNR of each frame against the source."""
    chunk_frames: int
    """Frames that are made together."""
    bar_charts: tuple[BarChart, ...]
    """Memory, start, energy, and what else is one figure per subject."""


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything that is shown, in the order of the page."""

    title: str
    """The model's name."""
    subtitle: str
    """Machine and day, one line."""
    headlines: tuple[Headline, ...]
    """The figures that matter most."""
    verdicts: tuple[Verdict, ...]
    """Against the gates; empty where the user set none."""
    warnings: tuple[str, ...]
    """What a reader must know before believing the figures."""
    absent: tuple[Fact, ...]
    """Subjects that were asked for and are not among the figures, or only in part, with the reason."""
    subjects: tuple[str, ...]
    """All of them; a subject's place here decides its colour everywhere."""
    chapters: tuple[Chapter, ...]
    """One per size and batch."""
    tables: tuple[Table, ...]
    """Every figure: latency, quality, and what else a result has."""
    method: tuple[Fact, ...]
    """Model, clip, how it was measured."""
    machine: tuple[Fact, ...]
    """The environment."""
    command: str
    """What to type to repeat it."""
