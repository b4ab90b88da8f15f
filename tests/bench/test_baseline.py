"""The PyTorch side does the runtime's work, in the memory format that its name says."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch._dynamo.utils import counters  # noqa: E402
from torch.nn.modules.module import register_module_forward_pre_hook  # noqa: E402

from edgevae.errors import UnavailableError  # noqa: E402
from edgevae_bench.baseline import LIBRARY, VARIANTS, open_torch_codec  # noqa: E402  # after the check that PyTorch is here
from edgevae_bench.baseline_session import COMPILE  # noqa: E402

EAGER = [variant for variant in VARIANTS if variant not in (*COMPILE, LIBRARY)]


@pytest.mark.parametrize("variant", EAGER)
def test_arrays_come_out_contiguous_as_a_runtime_gives_them(tiny_checkpoint, frames, variant):
    codec = open_torch_codec(tiny_checkpoint, variant=variant, chunk_frames=4, threads=1)
    state = codec.stream(height=40, width=56)
    latents, state = codec.encode_chunk(frames[:4, :40, :56], state)
    decoded, _ = codec.decode_chunk(latents, state)
    assert latents.flags.c_contiguous
    assert decoded.flags.c_contiguous
    assert (latents.dtype, decoded.dtype) == (np.float32, np.uint8)
    assert decoded.shape == (4, 40, 56, 3)


@pytest.mark.parametrize("variant", EAGER)
def test_weights_and_the_first_activations_are_in_the_format_of_the_name(
    tiny_checkpoint, frames, variant
):
    codec = open_torch_codec(tiny_checkpoint, variant=variant, chunk_frames=4, threads=1)
    seen = []

    def keep(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size != (1, 1):
            formats = (inputs[0], module.weight)
            seen.append([t.is_contiguous(memory_format=VARIANTS[variant]) for t in formats])

    with register_module_forward_pre_hook(keep):
        codec.encode_chunk(frames[:4], codec.stream(height=42, width=60))
    assert seen[0] == [True, True]
    assert all(weight for _, weight in seen)


def test_each_module_compiles_as_a_whole_and_once(tiny_checkpoint, frames, monkeypatch):
    """Dynamo's part; the kernels of its own backend take a compiler and a minute."""
    options = {"fullgraph": True, "dynamic": False, "backend": "eager"}
    monkeypatch.setitem(COMPILE, "compile", options)
    counters.clear()
    made = []
    for variant in ("channels_last", "compile"):
        codec = open_torch_codec(tiny_checkpoint, variant=variant, chunk_frames=4, threads=1)
        state = codec.stream(height=40, width=56)
        for chunk in (frames[:4, :40, :56], frames[4:8, :40, :56]):
            latents, state = codec.encode_chunk(chunk, state)
            decoded, state = codec.decode_chunk(latents, state)
            made += [latents, decoded]
        state = codec.encoder.initial_state(batch=1, height_px=40, width_px=56)
        codec.encoder.prepared(frames[:4, :40, :56], state)()
    for eager, compiled in zip(made[:4], made[4:], strict=True):
        np.testing.assert_allclose(compiled, eager, atol=1e-5)
    assert counters["stats"]["unique_graphs"] == 2


def test_frames_that_may_not_be_written_to_are_taken_too(tiny_checkpoint, frames):
    codec = open_torch_codec(tiny_checkpoint, variant="eager", chunk_frames=4, threads=1)
    locked = frames[:4, :40, :56].copy()
    locked.flags.writeable = False
    state = codec.stream(height=40, width=56)
    assert np.array_equal(
        codec.encode_chunk(locked, state)[0], codec.encode_chunk(locked.copy(), state)[0]
    )


def test_a_state_may_be_used_again(tiny_checkpoint, frames):
    codec = open_torch_codec(tiny_checkpoint, variant="eager", chunk_frames=4, threads=1)
    _, state = codec.encode_chunk(frames[:4], codec.stream(height=42, width=60))
    first, second = (codec.encode_chunk(frames[4:8], state)[0] for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.skipif(torch.cuda.is_available(), reason="PyTorch sees a GPU here")
def test_a_pytorch_that_sees_no_gpu_says_so(tiny_checkpoint):
    with pytest.raises(UnavailableError, match="sees no GPU; install a build of PyTorch for CUDA"):
        open_torch_codec(
            tiny_checkpoint, variant="eager", chunk_frames=4, threads=1, device="cuda:0"
        )
