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
