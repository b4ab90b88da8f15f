"""The report of the GPU benchmark: tables for people, and one JSON document, which a broken-off run goes on from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgevae.errors import IncompatibleError
from edgevae.files import write_atomically
from edgevae.strict import from_dict, to_dict
from edgevae_bench.claims import MAX_CV_RATIO
from edgevae_bench.gpu.figures import baselines, lines
from edgevae_bench.gpu.result import SCHEMA, SCHEMA_VERSION, Boundary, Found, Row
from edgevae_bench.gpu.turns import OPERATIONS
from edgevae_bench.report import columns, plain


def to_text(found: Found) -> str:
    """Return the tables."""
    setting, gpu = found.setting, found.setting.gpu
    where = "CPU" if gpu is None else f"{gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB"
    if gpu is not None:
        capability, cuda = (
            ".".join(map(str, v)) for v in (gpu.compute_capability, gpu.cuda_version)
        )
        where += (
            f", compute capability {capability}, driver {gpu.driver or 'unknown'} (CUDA {cuda})"
        )
    turns = "in turns" if setting.interleaved else "one after the other"
    parts = [
        f"device   {where}",
        f"machine  {setting.environment.cpu_name}, {setting.environment.os_name}",
        f"model    {setting.model}, {setting.width_px}x{setting.height_px}, chunks of {setting.chunk_frames} frames, "
        "batch 1",
        f"method   {found.rounds} rounds of {setting.chunks} chunks, {turns}, nothing trimmed"
        + ("" if found.is_complete else "; BROKEN OFF: run it again to go on"),
    ]
    for boundary, title in TITLES.items():
        body = list(_table(found, boundary))
        if body:
            header = ("subject", "prec", "encode ms", "sd", "decode ms", "sd", "frames/s")
            names = [
                f"vs {name.removeprefix('pytorch_').removesuffix('_fp16')}"
                for name in baselines(found)
            ]
            over = ("overhead enc", "dec") if boundary == "device" else ()
            parts += ["", title, *columns((*header, *names, *over), body, left=2)]
    parts += [
        "",
        "Round trip against PyTorch fp32, and memory.",
        *columns(FACTS, map(_facts, _measured(found)), left=2),
    ]
    parts += [f"{r.status}: {r.reason}" for r in found.rows if r.reason]
    return "\n".join([*parts, *(f"warning: {text}" for text in warnings(found))])


def warnings(found: Found) -> Iterator[str]:
    """Yield what a reader must know before believing the figures."""
    for row in found.rows:
        if row.samples_ms and not row.is_steady:
            yield f"{row.subject.name}: still changed after {row.warm_up_turns} turns of warm-up"
        if row.facts and row.facts.no_bare_reason:
            yield f"{row.subject.name}: no bare engine to compare with: {row.facts.no_bare_reason}"
        if row.subject.kind == "runtime" and row.facts and row.facts.torch_loaded:
            yield f"{row.subject.name}: PyTorch was loaded in the runtime's process"
    for line in lines(found):
        if line.latency.cv_ratio > MAX_CV_RATIO and line.operation != "round_trip":
            share = 100 * line.latency.cv_ratio
            yield f"{line.subject} {line.boundary} {line.operation}: standard deviation {share:.0f} % of the mean"


def to_document(found: Found, *, long: bool) -> dict[str, Any]:  # Any: JSON
    """Return the result as JSON-like data.

    Args:
        found: What was found.
        long: With every sample, so that a run can go on from it.
    """
    summary = [plain(to_dict(line), long=False) for line in lines(found)]
    data = plain(to_dict(found), long=long)
    for row in data["rows"]:  # where the model lies on this machine is nobody's business
        row["subject"]["path"] = Path(row["subject"]["path"]).name
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "found": data,
        "summary": summary,
        "warnings": list(warnings(found)),
    }


def write_json(found: Found, path: Path) -> None:
    """Write the JSON document; the file is whole or as it was."""
    text = json.dumps(to_document(found, long=True), allow_nan=False, indent=1)
    write_atomically(path, (text + "\n").encode())


def read_json(path: Path) -> Found | None:
    """Return what a run that was broken off had found; None where there is no such file or the run was complete.

    Raises:
        IncompatibleError: the file is something else.
    """
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise IncompatibleError(f"{path}: not JSON ({error}); give another --output") from error
    version = (
        (document.get("schema"), document.get("schema_version"))
        if isinstance(document, dict)
        else None
    )
    if version != (SCHEMA, SCHEMA_VERSION):
        raise IncompatibleError(
            f"{path}: not a result of this benchmark ({version}); give another --output"
        )
    found = from_dict(Found, document["found"], where=str(path))
    return None if found.is_complete else found


TITLES: dict[Boundary, str] = {
    "device": "Boundary device: arrays on the device in and out, no host copies; time between events, per chunk.",
    "call": "Boundary call: numpy in and out, copies counted; the host's clock, per chunk.",
    "bare": "The bare engine: execute_async_v3 by itself, time between events, per chunk.",
}

FACTS = (
    "subject",
    "library",
    "PSNR dB",
    "max levels",
    "max latent diff",
    "load s",
    "device MiB",
    "host MiB",
)


def _measured(found: Found) -> list[Row]:
    return [row for row in found.rows if row.facts is not None]


def _table(found: Found, boundary: Boundary) -> Iterator[tuple[str, ...]]:
    by_name = {(i.subject, i.operation): i for i in lines(found) if i.boundary == boundary}
    for row in found.rows:
        name = row.subject.name
        if (name, "round_trip") not in by_name:
            continue
        encode, decode, both = (by_name[name, op] for op in (*OPERATIONS, "round_trip"))
        ratios = [both.speedup_ratios.get(base) for base in baselines(found)]
        over = (encode.overhead_ratio, decode.overhead_ratio) if boundary == "device" else ()
        yield (
            name,
            row.subject.precision,
            *(
                f"{ms:.3f}"
                for i in (encode, decode)
                for ms in (i.latency.median_ms, i.latency.std_ms)
            ),
            f"{both.frames_per_s:.1f}",
            *("-" if ratio is None else f"{ratio:.2f}x" for ratio in ratios),
            *("-" if ratio is None else f"{100 * ratio:+.1f} %" for ratio in over),
        )


def _facts(row: Row) -> tuple[str, ...]:
    facts, parity = row.facts, row.parity
    assert facts is not None, "only rows with facts are shown"
    sizes = (facts.device_peak_bytes, facts.host_peak_bytes)
    told = ("-", "-", "-")
    if parity is not None:
        psnr = "equal" if parity.psnr_db is None else f"{parity.psnr_db:.1f}"
        told = (psnr, str(parity.max_levels), f"{parity.latents_max_difference:.1e}")
    return (
        row.subject.name,
        f"{row.subject.library} {facts.library_version}",
        *told,
        f"{facts.load_ms / 1e3:.1f}",
        *("-" if size is None else f"{size / 2**20:.0f}" for size in sizes),
    )
