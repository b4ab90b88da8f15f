"""The bar of an engine's build, on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgevae.engine.progress import Progress

LAYOUT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}{postfix}"


def show_builds(title: str = "build engine") -> Progress:
    """Return what builds tell their progress to: each gets a bar of its own, on a terminal only."""
    from tqdm import tqdm

    bars = list[Any]()  # Any: tqdm has no types; the open bar, or none

    def show(phase: str, done: int, total: int) -> None:
        if not bars:
            bars.append(tqdm(desc=title, total=total, bar_format=LAYOUT, leave=False, disable=None))
        bars[0].set_postfix_str(phase, refresh=False)
        bars[0].update(done - bars[0].n)
        if done >= total:
            bars.pop().close()

    return show
