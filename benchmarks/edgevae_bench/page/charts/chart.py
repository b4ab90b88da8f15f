"""What every chart gives to the page: a drawing, its legend, what must be said of it, and the table behind it."""

from __future__ import annotations

import string
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from markupsafe import Markup

from edgevae_bench.page.drawing import Attributes, add, colour, percent
from edgevae_bench.page.view import Table


@dataclass(frozen=True, kw_only=True)
class Key:
    """An entry of a legend."""

    letter: str
    """On the mark, so that it can be told without its colour."""
    classes: str
    """Of the style sheet, for its colour."""
    name: str
    """What it stands for."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart."""

    drawing: Markup
    """The picture."""
    table: Table
    """The same in numbers."""
    keys: tuple[Key, ...] = ()
    """The legend; empty where the drawing names its marks."""
    notes: tuple[str, ...] = ()
    """What a reader must know to read it right."""


def key(subjects: tuple[str, ...], subject: str, *, name: str = "") -> Key:
    """Return the legend's entry of a subject, called `name` or by its own name."""
    return Key(
        letter=letter(subjects, subject), classes=colour(subjects, subject), name=name or subject
    )


def write_letter(
    root: Element, subjects: tuple[str, ...], subject: str, *, across: float, down_px: float
) -> None:
    """Write a subject's letter beside its line, so that it can be told without the colour.

    Args:
        root: The drawing.
        subjects: All subjects of the page.
        subject: Whose line it is.
        across: Where, between 0 and 1; the letter stands left of it at the end of the drawing, else right.
        down_px: Where, from the top.
    """
    left = across > 0.95
    place: Attributes = {
        "class": f"letter {colour(subjects, subject)}",
        "x": percent(across),
        "y": down_px,
        "dx": -2 if left else 5,
        "text-anchor": "end" if left else "start",
    }
    add(root, "text", place, text=letter(subjects, subject))


def letter(subjects: tuple[str, ...], subject: str) -> str:
    """Return A to Z by the subject's place, numbers beyond."""
    index = subjects.index(subject)
    alphabet = string.ascii_uppercase
    return alphabet[index] if index < len(alphabet) else str(index + 1)
