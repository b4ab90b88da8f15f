"""What an export or import measured, as lines for people."""

from __future__ import annotations

from edgevae_export.verify import Verification


def table(result: Verification) -> str:
    """Return the comparisons as lines of equal columns."""
    lines = [
        f"against {result.reference}:",
        f"{'':<30} sample  channels   latents    frames     PSNR",
    ]
    for c in result.comparisons:
        runner = f"{c.runner} {c.precision}"
        psnr = "equal" if c.frames_psnr_dB == float("inf") else f"{c.frames_psnr_dB:.1f} dB"
        lines.append(
            f"{runner:<30} {c.sample:<7} {c.channels or 'all':>8} {c.latents_max_difference:>9.2g} "
            f"{c.frames_max_levels:>3.0f} levels {psnr:>8}"
        )
    for part in result.parts:
        runner = f"{part.role}: {part.runner} {part.precision}"
        lines.append(f"{runner:<30} {part.sample:<7} {'all':>8} {part.max_difference:>9.2g}")
    if result.fp16_peak_activation is not None:
        lines.append(
            f"peak activation in fp16: {result.fp16_peak_activation:.4g} of 65504, in {result.fp16_peak_layer}"
        )
    kept, widened = set(result.fp16_kept_layers), set(result.fp16_widened_layers)
    for what, layers in (
        ("computes in float32 and gives it", kept & widened),
        ("computes in float32", kept - widened),
        ("gives float32", widened - kept),
    ):
        lines += [f"{layer} {what}: {result.fp16_because[layer]}" for layer in sorted(layers)]
    if result.fp16_search_runs > 1:
        lines.append(f"found in {result.fp16_search_runs} runs in half precision")
    lines += [f"{file}: {said}" for file, said in result.builds.items()]
    return "\n".join(lines)
