"""A picture of a diagnosis: one SVG that needs nothing else and follows the reader's colour scheme.

    decoder: goes wrong first in ...
    dB  | o  o  o      o  o  o     own error, and that of the whole network in half; the line is what is bad
        |---------- o -----------
    max | .  .  .  .  .  .  .      largest value; the line is the end of float16
         layer 1  2  3  4 ...

Points have the layer's name and figures as a tip. NaN and Inf lie on the lower edge, no error at all on the upper one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree import ElementTree

from edgevae_export.debug_precision import Diagnosis
from edgevae_export.layer_errors import BAD_SNR_dB, LayerError
from edgevae_export.precision import FLOAT16_MAX

WIDTH_PX, MARGIN_PX, PANEL_PX, GAP_PX = 960, 56, 150, 26
DECIBELS = (0.0, 120.0)
"""Range of the upper panel."""
POWERS = (-4.0, 8.0)
"""Range of the lower panel, powers of ten."""
LINE_LETTERS = 130
"""Of the verdict, before it is cut; the whole of it is its tip."""

STYLE = """
svg { color-scheme: light dark; font: 12px system-ui, sans-serif; fill: #1c1e22; background: #fff }
.heading { font-weight: 600; font-size: 14px } .tick { fill: #5b6068 }
.grid { stroke: #dcdcd6 } .limit { stroke: #b3261e; stroke-dasharray: 4 3 }
.own { fill: #1b66c9 } .network { fill: none; stroke: #8a6d00; stroke-width: 1.5 } .peak { fill: #1b66c9 }
.bad { fill: #b3261e }
@media (prefers-color-scheme: dark) {
  svg { fill: #e8e9eb; background: #16181c } .tick { fill: #a3a9b3 } .grid { stroke: #343943 }
  .own, .peak { fill: #6cb4ee } .network { stroke: #e0b84c } .bad { fill: #ff8a80 } .limit { stroke: #ff8a80 }
}
"""

Element = ElementTree.Element


def draw(found: Sequence[Diagnosis], *, name: str) -> str:
    """Return the picture.

    Args:
        found: The diagnoses, drawn below each other.
        name: The model's.
    """
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})
    ElementTree.SubElement(root, "title").text = f"float16 in {name}, layer by layer"
    ElementTree.SubElement(root, "style").text = STYLE
    top = 30
    _text(root, f"{name}: float16, layer by layer, in the order they run", x=MARGIN_PX, y=20)
    for diagnosis in found:
        top = _half(root, diagnosis, top=top)
    size = {"viewBox": f"0 0 {WIDTH_PX} {top}", "width": str(WIDTH_PX), "height": str(top)}
    root.attrib |= size
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _half(root: Element, found: Diagnosis, *, top: int) -> int:
    """Draw one half of a VAE; return where it ends."""
    said = found.verdict
    short = said if len(said) <= LINE_LETTERS else f"{said[:LINE_LETTERS]}..."
    _text(root, found.role, x=MARGIN_PX, y=top + 18, look="heading")
    line = _text(root, short, x=MARGIN_PX, y=top + 36)
    ElementTree.SubElement(line, "title").text = said
    upper, lower = top + 68, top + 68 + PANEL_PX + GAP_PX
    legend = (
        "signal over error, dB: dots by itself, rings in a network of half; below the line is bad"
    )
    _text(root, legend, x=MARGIN_PX, y=upper - 8, look="tick")
    _text(root, "largest value; float16 ends at the line", x=MARGIN_PX, y=lower - 8, look="tick")
    for level in range(0, 121, 40):
        _level(root, str(level), y=_y(level, DECIBELS, upper), bad=level == BAD_SNR_dB)
    for power in range(-4, 9, 4):
        _level(root, f"1e{power}", y=_y(power, POWERS, lower))
    _level(root, "65504", y=_y(math.log10(FLOAT16_MAX), POWERS, lower), bad=True)
    for index, error in enumerate(found.layers):
        x = MARGIN_PX + (WIDTH_PX - 2 * MARGIN_PX) * (index + 0.5) / len(found.layers)
        _layer(root, error, x=x, upper=upper, lower=lower)
        if error.layer == found.first_bad:
            side = {"text-anchor": "end"} if x > WIDTH_PX / 2 else {}
            _text(root, error.layer, x=x, y=upper + PANEL_PX - 10, look="bad").attrib |= side
    return lower + PANEL_PX + GAP_PX


def _layer(root: Element, error: LayerError, *, x: float, upper: int, lower: int) -> None:
    peak = max(error.peak_in, error.peak_out)
    own = error.own_snr_dB if error.own_finite else -math.inf
    network = error.network_snr_dB if error.network_finite else -math.inf
    tip = (
        f"{error.layer} ({error.kind})\nown {own:.1f} dB, network {network:.1f} dB\n"
        f"largest value {peak:.4g}, headroom {error.headroom:.3g}"
    )
    size = math.log10(peak) if peak else POWERS[0]
    bad = " bad" if error.own_is_bad else ""
    places = (
        (_y(network, DECIBELS, upper), 4.0, "network"),
        (_y(own, DECIBELS, upper), 3.0, f"own{bad}"),
        (_y(size, POWERS, lower), 3.0, f"peak{' bad' if peak > FLOAT16_MAX else ''}"),
    )
    for y, radius, look in places:
        place = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": f"{radius:g}", "class": look}
        dot = ElementTree.SubElement(root, "circle", place)
        ElementTree.SubElement(dot, "title").text = tip


def _level(root: Element, label: str, *, y: float, bad: bool = False) -> None:
    ends = {
        "x1": str(MARGIN_PX),
        "x2": str(WIDTH_PX - MARGIN_PX),
        "y1": f"{y:.1f}",
        "y2": f"{y:.1f}",
    }
    ElementTree.SubElement(root, "line", {**ends, "class": "limit" if bad else "grid"})
    label_x = WIDTH_PX - MARGIN_PX + 6 if label == "65504" else 6
    _text(root, label, x=label_x, y=y + 4, look="tick")


def _y(value: float, span: tuple[float, float], top: int) -> float:
    least, most = span
    return top + PANEL_PX * (1 - (min(max(value, least), most) - least) / (most - least))


def _text(root: Element, text: str, *, x: float, y: float, look: str = "") -> Element:
    place = {"x": f"{x:g}", "y": f"{y:g}"} | ({"class": look} if look else {})
    node = ElementTree.SubElement(root, "text", place)
    node.text = text
    return node
