"""Graph passes: each file one rule, applied in the order below to what PyTorch's exporter wrote."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from edgevae.spec import GraphSpec
from edgevae_export.passes.constant_reshape import ConstantReshape
from edgevae_export.passes.name_dimensions import NameDimensions
from edgevae_export.passes.portable_metadata import PortableMetadata


def clean_up(model: ir.Model, graph: GraphSpec) -> ir.Model:
    """Return the model after all passes: no shape arithmetic, no dead nodes, dimensions named as in the manifest."""
    passes = ir.passes.Sequential(
        ConstantReshape(),
        common.IdentityEliminationPass(),
        common.CommonSubexpressionEliminationPass(),
        common.DeduplicateInitializersPass(),
        common.RemoveUnusedNodesPass(),
        NameDimensions(graph),
        PortableMetadata(),
        common.TopologicalSortPass(),
    )
    return passes(model).model
