"""Half precision that fails the gate: the layers to keep in float32 are found, few, and said."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgevae.errors import ParityError
from edgevae.nn import load_checkpoint
from edgevae_export import verify
from edgevae_export.exportable import Source
from edgevae_export.mixed import find_pins
from edgevae_export.own import OwnVae
from edgevae_export.precision import Peaks, mixes_types
from edgevae_export.runs import ROLES
from edgevae_export.samples import samples
from edgevae_export.subset_search import smallest
from edgevae_export.verification_table import table

_spec = importlib.util.spec_from_file_location("planted", Path(__file__).with_name("planted.py"))
assert _spec is not None
assert _spec.loader is not None
models = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(models)


@pytest.mark.parametrize("needed", ["a", "c", "ac", "cdh", "h", "abcdefgh"])
def test_the_smallest_set_is_found_whatever_the_order_of_its_members(needed):
    tried: list[frozenset[str]] = []

    def passes(some: frozenset[str]) -> bool:
        tried.append(some)
        return some >= set(needed)

    assert smallest("abcdefgh", passes) == list(needed)
    assert len(tried) <= 4 + 2 * 8
    assert len(tried) == 4 or needed != "a", "the first one is found by bisection alone"


def test_where_not_even_all_members_pass_none_are_found():
    assert smallest("abc", lambda _: False) is None


def found(source: Source, gates: verify.Gates):
    vae = source.exportable
    clips = samples(chunk_frames=1, cell_px=vae.spec.spatial_factor)
    clips["real"] = clips["real"][:, :48, :64]
    measured = {role: Peaks() for role in ROLES}
    expected = verify.references(vae, clips, chunk_frames=1, peaks=measured)
    said: list[tuple[int, int]] = []
    mixed = find_pins(
        vae,
        {name: (reference,) for name, reference in expected.items()},
        measured,
        chunk_frames=1,
        gates=gates,
        progress=lambda *run: said.append(run),
    )
    return mixed, said


def test_what_passes_is_not_searched():
    mixed, said = found(models.planted("none"), verify.Gates())
    assert (mixed.search_runs, said, mixed.because) == (1, [], {})
    assert not any(pins.names for pins in mixed.pins.values())


def test_a_planted_overflow_is_pinned_by_what_was_measured_alone():
    mixed, _ = found(models.planted("overflow"), verify.Gates())
    assert mixed.search_runs == 1
    assert mixed.pins["decoder"].kept == {"network.module.up.loud", "network.module.up.norm"}
    assert "its output reaches" in mixed.because["decoder up.loud"]
    assert "its input reaches" in mixed.because["decoder up.norm"]
    assert not mixed.pins["encoder"].names


def test_a_loss_of_precision_that_no_peak_shows_is_found_and_pinned_by_the_layers_that_lose():
    mixed, said = found(models.planted("offset"), verify.Gates())
    loud, norm = "network.module.up.loud", "network.module.up.norm"
    assert mixed.pins["decoder"].kept == {loud, norm}
    assert mixed.pins["decoder"].widened == {loud}
    assert not mixed.pins["encoder"].names
    assert mixed.because.keys() == {"decoder up.loud", "decoder up.norm"}
    assert all("found by the search: its signal is" in why for why in mixed.because.values())
    assert {c.sample for c in mixed.comparisons} == {"real", "noise", "black", "white"}
    assert [runs for runs, _ in said] == sorted(runs for runs, _ in said)
    assert said[-1][0] < mixed.search_runs < 16


def test_a_gate_that_not_even_float32_passes_is_refused_with_the_first_failure():
    gates = replace(verify.Gates(), fp16_latents=-1.0)
    with pytest.raises(ParityError, match=r"pytorch fp16 on real frames: .* all layers in float32"):
        found(models.planted("none"), gates)


@torch.no_grad()
def test_an_overflow_in_a_network_of_our_own_is_pinned_and_said(tiny_checkpoint):
    vae = load_checkpoint(tiny_checkpoint.with_name("tiny-image.checkpoint"))
    name, block = next(
        (n, m) for n, m in vae.encoder.named_modules() if type(m).__name__ == "ResBlock"
    )
    block.conv1.weight *= 1e6
    block.conv1.bias *= 1e6
    block.conv2.weight /= 1e6
    mixed, _ = found(Source(OwnVae(vae), "loud", "0" * 64), verify.Gates())
    loud, after = f"encoder.{name}.conv1", f"encoder.{name}.conv2"
    assert mixed.pins["encoder"].kept == {loud, after}
    assert mixed.pins["encoder"].widened == {loud}
    layers = (f"encoder {loud}", f"encoder {after}")
    report = verify.Verification(
        gates=verify.Gates(),
        comparisons=mixed.comparisons,
        fp16_peak_activation=None,
        fp16_peak_layer=None,
        fp16_kept_layers=layers,
        fp16_widened_layers=layers[:1],
        fp16_because=mixed.because,
    )
    said = table(report)
    assert f"{layers[0]} computes in float32 and gives it: its output reaches " in said
    assert f"{layers[1]} computes in float32: its input reaches " in said
    assert json.loads(verify.as_json(report))["fp16_because"].keys() == set(layers)


@pytest.mark.parametrize(
    "product", [torch.matmul, torch.nn.functional.linear, torch.nn.functional.conv2d]
)
def test_a_product_of_two_types_is_known_from_other_failures(product):
    one = torch.ones(2, 2, 1, 1) if product is torch.nn.functional.conv2d else torch.ones(2, 2)
    for x, y in ((one, one.half()), (one.half(), one)):
        with pytest.raises(RuntimeError) as caught:
            product(x, y)
        assert mixes_types(caught.value)
    with pytest.raises(RuntimeError) as caught:
        product(one, torch.ones(3, 3, *one.shape[2:]))
    assert not mixes_types(caught.value)
