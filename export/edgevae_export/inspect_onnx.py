"""Whether an ONNX file of somebody else may be opened: looked through before any other library sees it.

ONNX Runtime trusts what it opens: of 10,000 damaged files ten ended the process, by a Resize whose scales are computed,
and external data may name any file. So this runs in a child process (`import_child.py`), and what is not known to be
harmless is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from edgevae.errors import InputError
from edgevae.files import sha256
from edgevae.spec import GraphSpec, next_name

MOST_BYTES = 2**31 - 1
"""Of a file: a protobuf message cannot be larger."""

OPSETS = (11, 25)
"""Of ONNX's own operators; what is older has another Resize."""

OWN_DOMAINS = ("", "ai.onnx")


def parse(data: bytes, digest: str) -> ModelProto:
    """Return the model in a file, looked through.

    Args:
        data: The file.
        digest: Its sha256, as whoever wants it imported has read it.

    Raises:
        InputError: it is not what is expected, or not allowed, with the reason.
    """
    if len(data) > MOST_BYTES:
        raise InputError(f"{len(data)} bytes, expected at most {MOST_BYTES}")
    if sha256(data) != digest:
        raise InputError("changed while it was read; import it again")
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError, whose module depends on its implementation
        raise InputError(f"no ONNX file ({error})") from error
    if not model.graph.node:
        raise InputError("no ONNX file: there is no operator in it; export the network again")
    _require_plain(model)
    _require_known_resizes(model.graph)
    try:
        onnx.checker.check_model(data, full_check=True)
    except Exception as error:  # checker and shape inference raise classes of their own
        raise InputError(f"not valid ONNX: {one_line(error)}") from error
    return model


def tensors(model: ModelProto, graph: GraphSpec) -> tuple[list[str], list[str]]:
    """Return the names of a model's inputs and outputs in the order of a bundle's graph: data, then state.

    Raises:
        InputError: there are more or fewer, of other types or axes, or their names do not say which is which.
    """
    weights = {t.name for t in model.graph.initializer}
    given = [v for v in model.graph.input if v.name not in weights]
    states = [s.name for s in graph.state]
    inputs = _ordered([v.name for v in given], states, [(s, s) for s in states], what="inputs")
    following = [(f"next_{s}", next_name(s)) for s in states]
    outputs = _ordered([v.name for v in model.graph.output], states, following, what="outputs")
    for value in (*given, *model.graph.output):
        kind = value.type.tensor_type
        axes = len(kind.shape.dim)
        if kind.elem_type != TensorProto.FLOAT or axes != 4:
            name = TensorProto.DataType.Name(kind.elem_type)
            raise InputError(
                f"tensor {value.name!r} is {name} of {axes} axes, expected FLOAT of 4: [B*T, 3, H, W] or [B*t, C, h, w]"
            )
    for value in given:
        fixed = [i for i in (0, 2, 3) if value.type.tensor_type.shape.dim[i].dim_value]
        if fixed:
            size = value.type.tensor_type.shape.dim[fixed[0]].dim_value
            raise InputError(
                f"axis {fixed[0]} of input {value.name!r} is always {size}; export the graph with dynamic "
                "batch, height and width"
            )
    _require_channels(next(v for v in given if v.name == inputs[0]), graph)
    return inputs, outputs


def _require_channels(value: ValueInfoProto, graph: GraphSpec) -> None:
    """Refuse an encoder that takes something else than pixels, and a decoder that takes other latents."""
    what, axis = ("pixels", 3) if graph.role == "encoder" else ("latents", 1)
    said, wanted = value.type.tensor_type.shape.dim[1].dim_value, graph.data.shape[axis]
    if said and said != wanted:
        raise InputError(
            f"input {value.name!r} of the {graph.role} has {said} channels, expected {wanted} of {what}; are encoder "
            "and decoder in the right order, and latent_channels right?"
        )


def _ordered(
    names: list[str], states: Sequence[str], known: Sequence[tuple[str, str]], *, what: str
) -> list[str]:
    """Return names with the state behind the data, in the order of the spec: by name where they are known, or as is."""
    if len(names) != 1 + len(states):
        raise InputError(
            f"has {what} {', '.join(names)}, expected the data and {len(states)} of state, as the spec says"
        )
    found = [next((n for n in choice if n in names), None) for choice in known]
    if not any(found):
        return names
    missing = [choice[0] for choice, name in zip(known, found, strict=True) if name is None]
    if missing:
        raise InputError(
            f"has {what} {', '.join(names)}, of which none is {missing[0]!r}, a state of the spec"
        )
    state = [name for name in found if name is not None]
    return [*(n for n in names if n not in state), *state]


def _require_plain(model: ModelProto) -> None:
    """Refuse all that is more than a graph of ONNX's own operators with its weights inside."""
    for domain in {entry.domain for entry in model.opset_import} | {
        n.domain for n in nodes(model.graph)
    }:
        if domain not in OWN_DOMAINS:
            raise InputError(f"has operators of {domain!r}, expected only ONNX's own")
    if model.functions or model.training_info:
        raise InputError("has functions or training information; inline them with onnx.inliner")
    for tensor in weights(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise InputError(
                f"tensor {tensor.name!r} is in another file; save the model with its weights inside"
            )
    version = max((e.version for e in model.opset_import if e.domain in OWN_DOMAINS), default=0)
    if not OPSETS[0] <= version <= OPSETS[1]:
        raise InputError(f"is of opset {version}, expected {OPSETS[0]} to {OPSETS[1]}")


def _require_known_resizes(graph: GraphProto) -> None:
    constants = {t.name for t in graph.initializer if t.name not in {v.name for v in graph.input}}
    for node in nodes(graph):
        if node.op_type == "Constant":
            constants.update(node.output)
    for node in nodes(graph):
        if node.op_type in ("Resize", "Upsample"):
            computed = [name for name in node.input[1:] if name and name not in constants]
            if computed:
                raise InputError(
                    f"{node.op_type} {node.name!r} computes its {computed[0]!r}; expected constants: export the "
                    "network with a scale_factor, not with a size"
                )


def nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Yield the nodes of a graph and of the graphs inside its nodes."""
    for node in graph.node:
        yield node
        for inner in _graphs(node):
            yield from nodes(inner)


def weights(graph: GraphProto) -> Iterator[TensorProto]:
    """Yield every tensor that is stored in a graph, in attributes and inner graphs too."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for value in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (value.values, value.indices)
        for inner in _graphs(node):
            yield from weights(inner)


def _graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def one_line(error: object, *, most: int = 300) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split())[:most]
