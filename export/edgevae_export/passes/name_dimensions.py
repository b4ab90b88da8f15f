"""Name the dynamic axes of the graph's inputs and outputs as the manifest does, and forget the shapes inside.

The exporter's names are symbols of its own. Inside the graph they would contradict ours, and runtimes infer inner
shapes anyway.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgevae.spec import GraphSpec, TensorSpec


class NameDimensions(ir.passes.InPlacePass):
    """The pass, for one graph of a bundle."""

    def __init__(self, graph: GraphSpec) -> None:
        super().__init__()
        self._graph = graph

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        for node in model.graph:
            for value in node.outputs:
                if not value.is_graph_output():
                    value.shape = None
                    value.type = None
        self._name(model.graph.inputs, self._graph.inputs)
        self._name(model.graph.outputs, self._graph.outputs)
        return ir.passes.PassResult(model, True)

    @staticmethod
    def _name(values: Sequence[ir.Value], specs: tuple[TensorSpec, ...]) -> None:
        assert [v.name for v in values] == [s.name for s in specs], (
            "names were given to the exporter in this order"
        )
        for value, spec in zip(values, specs, strict=True):
            value.shape = ir.Shape(spec.shape)
