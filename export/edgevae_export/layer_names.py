"""Layers by the names that they have in the user's network, not in the modules that export wraps around it."""

from __future__ import annotations

from torch import nn

WRAPS = "wraps"
"""The attribute in which a module that export wraps around a network names the child that is the network."""


def user_prefix(module: nn.Module) -> str:
    """Return what stands before the names of the user's network in a graph module: `network.`, or nothing."""
    prefix = ""
    while isinstance(child := getattr(module, WRAPS, None), str):
        prefix += f"{child}."
        module = module.get_submodule(child)
    return prefix


def user_path(name: str, prefix: str) -> str:
    """Return a layer's name in the user's network.

    Args:
        name: In the graph module.
        prefix: Of `user_prefix`; of a layer that a wrapper has beside the network, only what wraps the wrapper goes.
    """
    for part in prefix.split(".")[:-1]:
        if not name.startswith(f"{part}."):
            break
        name = name.removeprefix(f"{part}.")
    return name
