"""The smallest part of a ranked list with which a test passes: bisected, then thinned.

    ranked by damage     a b c d e f g h      the test fails with nothing and passes with all
    bisect               a b c d e            the shortest beginning that passes: log2(n) runs
    thin                 a   c                without each half, quarter, ... of what is left: what can go, goes

The result has been tested, and no member of it can be left out alone. Whether another, smaller set passes is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)

Passes = Callable[[frozenset[T]], bool]
"""Whether the test passes with these members."""


def smallest(ranked: Sequence[T], passes: Passes[T], *, all_pass: bool = False) -> list[T] | None:
    """Return a smallest passing set in the order of `ranked`, or None where not even all members pass.

    Args:
        ranked: The most likely members first.
        passes: The test; the empty set is not asked for, it is known to fail.
        all_pass: That all members pass is known.
    """
    if not all_pass and not passes(frozenset(ranked)):
        return None
    few, enough = 0, len(ranked)
    while enough - few > 1:
        middle = (few + enough) // 2
        if passes(frozenset(ranked[:middle])):
            enough = middle
        else:
            few = middle
    return _thinned(list(ranked[:enough]), passes)


def _thinned(members: list[T], passes: Passes[T]) -> list[T]:
    """Return the members without those that can go; the last ones, which damage least, are tried first."""
    size = len(members) // 2
    while size:
        end = len(members)
        while end > 0:
            fewer = members[: max(0, end - size)] + members[end:]
            if fewer and passes(frozenset(fewer)):
                members = fewer
            end -= size
        size //= 2
    return members
