"""SVG that fits any width: across in percent, down in pixels, so that text and dots keep their size on a phone.

      0 %                                   100 %      <svg width="100%" height="120">, without a viewBox
    0 +---------------------------------------+
      |  text, circle, line, rect: x in %     |
      |  +--------------------------------+   |
      |  | path: a nested svg, stretched  |   |        viewBox="0 0 1000 100" preserveAspectRatio="none";
      |  +--------------------------------+   |        lines keep their width: vector-effect in the style sheet
  120 +---------------------------------------+

Text and attributes come from files and machines: they go through ElementTree, which escapes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.etree import ElementTree

from markupsafe import Markup

from edgevae_bench.page.scale import Scale

COLOURS = 8
"""How many colours the style sheet has; the ninth subject gets the first one, dashed."""

NARROWEST_PX, LETTER_PX, GAP_PX = 290, 7, 6
"""Width of a drawing on a phone of 360 pixels, of a letter of a tick at most, and the least gap between two of them."""

UNITS = 1000
"""Width and height of the coordinates inside a stretched drawing."""

Node = ElementTree.Element
Attributes = Mapping[str, str | float]


def canvas(height_px: float, *, title: str, description: str) -> Node:
    """Return an empty drawing that screen readers announce as one picture.

    Args:
        height_px: Of the drawing.
        title: Its name.
        description: What it shows, for those who do not see it.
    """
    root = ElementTree.Element(
        "svg", {"class": "chart", "role": "img", "width": "100%", "height": _text(height_px)}
    )
    root.set("aria-label", f"{title}. {description}")
    return root


def add(parent: Node, tag: str, attributes: Attributes, *, text: str = "", tip: str = "") -> Node:
    """Add an element, with text in it, or with a tip that is shown where a pointer rests on it; return it."""
    node = ElementTree.SubElement(parent, tag, {k: _text(v) for k, v in attributes.items()})
    node.text = text or None
    if tip:
        ElementTree.SubElement(node, "title").text = tip
    return node


def stretched(parent: Node, *, top_px: float, height_px: float) -> Node:
    """Add a part whose coordinates are 0..`UNITS` both ways, as wide as the drawing; return it."""
    size: Attributes = {"x": 0, "y": top_px, "width": "100%", "height": height_px}
    view = {"viewBox": f"0 0 {UNITS} {UNITS}", "preserveAspectRatio": "none"}
    return add(parent, "svg", {**size, **view})


def percent(place: float) -> str:
    """Return a place between 0 and 1 as a coordinate."""
    return f"{100 * place:.2f}%"


def inside(place: float) -> str:
    """Return a place between 0 and 1 as a coordinate of a stretched part."""
    return f"{UNITS * place:.1f}".removesuffix(".0")


def path(points: Iterable[tuple[float, float]]) -> str:
    """Return a line through places (across, down) between 0 and 1, for a stretched part."""
    return "M" + "L".join(f"{inside(x)} {inside(y)}" for x, y in points)


def colour(subjects: tuple[str, ...], subject: str) -> str:
    """Return the classes that give a subject its colour, the same in every chart."""
    index = subjects.index(subject)
    return f"c{index % COLOURS}" + (" again" if index // COLOURS % 2 else "")


def across(root: Node, scale: Scale, *, top_px: float, bottom_px: float, unit: str) -> None:
    """Draw grid lines down and their values below, the unit behind the last; none where it would touch the next."""
    free_px: float = NARROWEST_PX + GAP_PX
    for index, tick in reversed(list(enumerate(scale.ticks))):
        place = scale.place(tick)
        x = percent(place)
        add(root, "line", {"class": "grid", "x1": x, "x2": x, "y1": top_px, "y2": bottom_px})
        last = index == len(scale.ticks) - 1
        anchor = "start" if index == 0 else "end" if last else "middle"
        label = f"{scale.label(tick)} {unit}" if last else scale.label(tick)
        width_px = LETTER_PX * len(label)
        left_px = (
            place * NARROWEST_PX - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * width_px
        )
        if left_px + width_px + GAP_PX <= free_px:
            where: Attributes = {
                "class": "tick",
                "x": x,
                "y": bottom_px + 15,
                "text-anchor": anchor,
            }
            add(root, "text", where, text=label)
            free_px = left_px


def upright(root: Node, scale: Scale, *, top_px: float, bottom_px: float, unit: str) -> None:
    """Draw grid lines across, each with its value above its left end, the unit at the highest.

    To be called after the lines of the chart, which the values would otherwise lie under.
    """
    for index, tick in enumerate(scale.ticks):
        y = bottom_px - scale.place(tick) * (bottom_px - top_px)
        line: Attributes = {"class": "grid", "x1": 0, "x2": "100%", "y1": y, "y2": y}
        # First in the drawing, and so under everything.
        root.insert(0, ElementTree.Element("line", {k: _text(v) for k, v in line.items()}))
        last = index == len(scale.ticks) - 1
        label = f"{scale.label(tick)} {unit}" if last else scale.label(tick)
        add(root, "text", {"class": "tick", "x": 0, "y": y - 3}, text=label)


def markup(root: Node) -> Markup:
    """Return the drawing as text that needs no more escaping."""
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # ElementTree escaped it


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
