"""Remove what the exporter notes about the machine: stack traces, file names, source lines; say who wrote the graph.

Leaves the same bytes for the same weights, wherever the export runs.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from edgevae.version import __version__


class PortableMetadata(ir.passes.InPlacePass):
    """The pass."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        common.ClearMetadataAndDocStringPass()(model)
        model.producer_name, model.producer_version = "edgevae", __version__
        model.graph.name = "edgevae"
        model.metadata_props.clear()
        return ir.passes.PassResult(model, True)
