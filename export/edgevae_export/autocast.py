"""Half precision for graphs of which there is no PyTorch model: NVIDIA ModelOpt's AutoCast, an optional package.

Its own rules keep what would leave float16 on the calibration frames in float32; the boundary around the foreign graph
is kept in float32 as everywhere in edgevae, and so are the inputs and outputs, state included.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgevae.errors import IncompatibleError, UnavailableError
from edgevae.spec import GraphSpec
from edgevae_export.inspect_onnx import one_line
from edgevae_export.wrap_onnx import BOUNDARY

MISSING = "nvidia-modelopt is not installed; install it with `pip install 'edgevae[autocast]'`"


def is_installed() -> bool:
    """Return whether AutoCast is here; what it needs is looked for when it is used."""
    return importlib.util.find_spec("modelopt") is not None


def halve(model: bytes, graph: GraphSpec, *, calibration: Mapping[str, np.ndarray]) -> bytes:
    """Return a graph of a bundle in mixed half precision, with the same inputs and outputs.

    Args:
        model: The fp32 file.
        graph: Its tensors.
        calibration: One call's inputs by name.

    Raises:
        UnavailableError: AutoCast, or what it needs, is not installed.
        IncompatibleError: AutoCast cannot convert the graph.
    """
    try:
        from modelopt.onnx.autocast import convert_to_mixed_precision
    except ImportError as error:
        raise UnavailableError(f"fp16: {MISSING} ({error})") from error
    _silence()
    with tempfile.TemporaryDirectory(prefix="edgevae-autocast-") as folder:
        file, data = Path(folder) / graph.file, Path(folder) / "calibration.npz"
        file.write_bytes(model)
        np.savez(data, **calibration)  # type: ignore[arg-type]  # numpy's stub takes them for its own options
        try:
            converted: Any = convert_to_mixed_precision(  # Any: modelopt has no stubs
                onnx_path=str(file),
                low_precision_type="fp16",
                nodes_to_exclude=[f"{BOUNDARY}.*"],
                keep_io_types=True,
                calibration_data=str(data),
            )
        except Exception as error:  # its exceptions share no base class but this
            raise IncompatibleError(
                f"{graph.file}: AutoCast cannot convert it: {one_line(error)}; import with --precision fp32"
            ) from error
    # AutoCast (0.47) names unknown dimensions `unk...`, which contradict each other in ONNX Runtime.
    del converted.graph.value_info[:]
    return _named(converted, graph)


def _silence() -> None:
    """Keep AutoCast's log off stdout, where it writes a line of every node and a JSON line would not be alone."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("modelopt"):
            logging.getLogger(name).setLevel(logging.ERROR)


def _named(model: onnx.ModelProto, graph: GraphSpec) -> bytes:
    """Return the file with our names of the dimensions, and nothing of the machine that made it."""
    import onnx_ir as ir

    from edgevae_export.passes import clean_up

    data: bytes = ir.to_proto(clean_up(ir.from_proto(model), graph)).SerializeToString(
        deterministic=True
    )
    return data
