"""The share of the machine's ceilings that a graph reaches.

    least time = max(operations / attainable operations per second, least bytes / attainable bytes per second)
    share      = least time / median

Least bytes are data, state and weights, once each; what lies between the layers is not in them, so the share of a
network that spills its activations to memory is below what memory would allow. A share above 1 means that a convolution
was done with fewer operations than counted (Winograd), or that no kernel of the ceiling is as good as this backend's.
"""

from __future__ import annotations

from edgevae_bench.latency import Latency
from edgevae_bench.result import Ceiling
from edgevae_bench.subject_row import SubjectRow
from edgevae_bench.work import Work


def roofline_ratio(
    row: SubjectRow, work: Work, latency: Latency, ceiling: Ceiling | None
) -> float | None:
    """Return the share; None at other boundaries than graph, or where a figure is missing.

    Args:
        row: Of the subject at the case.
        work: What was done.
        latency: How long it took.
        ceiling: Of the device in the precision of the work.
    """
    if work.boundary != "graph" or ceiling is None or row.artefact is None:
        return None
    roles = {"encode": ("encoder",), "decode": ("decoder",)}.get(
        work.operation, ("encoder", "decoder")
    )
    least_ms = 0.0
    for graph in row.artefact.graphs:
        if graph.role not in roles:
            continue
        parts = []
        if graph.gflop is not None and ceiling.compute_gflop_per_s:
            parts.append(graph.gflop / ceiling.compute_gflop_per_s * 1e3)
        if graph.least_bytes is not None and ceiling.bandwidth_gb_per_s:
            parts.append(graph.least_bytes / ceiling.bandwidth_gb_per_s / 1e6)
        if graph.gflop is None or not parts:
            return None
        least_ms += max(parts)
    return least_ms / latency.median_ms
