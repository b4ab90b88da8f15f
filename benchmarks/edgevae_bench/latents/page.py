"""Latents as one HTML file in the style of the benchmark's page: it loads nothing, sends nothing and runs no script."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from importlib import resources

import jinja2
from markupsafe import Markup

from edgevae.frames import Frames
from edgevae_bench.latents.board import board, spread, strip
from edgevae_bench.latents.walks import Traversal, Way
from edgevae_bench.page.stills import webp

SHOWN_FRAMES = 4
"""Of a clip on the way, where it has so many."""
LOSSLESS_PX = 400_000
"""A larger picture is stored with loss."""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What was found in the latents of a model."""

    model: str
    """Its name."""
    names: tuple[str, str]
    """Of the clips."""
    way: Way
    """From one to the other."""
    offsets: tuple[float, ...]
    """Of the traversals."""
    traversals: tuple[Traversal, ...]
    """By channel, on the first clip."""
    kl_nats: tuple[float, ...] | None
    """Of every channel; None where there was no checkpoint or no PyTorch."""
    kl_missing: str
    """Why there is none; empty where there is."""


@dataclass(frozen=True)
class _Picture:
    source: str
    width_px: int
    height_px: int


def way_boards(looked: Looked) -> tuple[Frames, Frames]:
    """Return the way through latents and the cross-fade as boards: a row a share, a column a frame."""
    made, faded = (
        board([strip(spread(clip, count=SHOWN_FRAMES)) for clip in clips])
        for clips in (looked.way.spherical, looked.way.faded)
    )
    return made, faded


def to_html(looked: Looked) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    template = (resources.files(__package__) / "template.html").read_text(encoding="utf-8")
    style = (resources.files("edgevae_bench.page") / "style.css").read_text(encoding="utf-8")
    made, faded = way_boards(looked)
    rows = [
        {
            "channel": one.channel,
            "kl": None if looked.kl_nats is None else f"{looked.kl_nats[one.channel]:.2f}",
            "levels": f"{one.levels_per_unit:.2f}",
            "picture": _picture(strip(one.frames)),
        }
        for one in looked.traversals
    ]
    page: str = environment.from_string(template).render(
        looked=looked,
        policy=_POLICY,
        style=Markup(style),  # ours
        shares=", ".join(f"{share:.0%}" for share in looked.way.shares),
        offsets=", ".join(f"{offset:+g}" for offset in looked.offsets),
        made=_picture(made),
        faded=_picture(faded),
        rows=rows,
        bars=_bars(looked.kl_nats),
    )
    return page


def _picture(frame: Frames) -> _Picture:
    data = webp(frame, lossless=frame[..., 0].size <= LOSSLESS_PX)
    source = "data:image/webp;base64," + base64.b64encode(data).decode()
    return _Picture(source, frame.shape[1], frame.shape[0])


def _bars(kl_nats: tuple[float, ...] | None) -> list[dict[str, str | int]]:
    """Return channels from the largest KL to the smallest, each with its length in percent."""
    if kl_nats is None:
        return []
    order = sorted(range(len(kl_nats)), key=lambda i: -kl_nats[i])
    most = max(*kl_nats, 1e-9)
    return [
        {"channel": i, "kl": f"{kl_nats[i]:.2f}", "percent": f"{100 * kl_nats[i] / most:.1f}"}
        for i in order
    ]
