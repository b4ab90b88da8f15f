"""Layer by layer, float16 against float32: the layer at fault is named, and not those behind it."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from edgevae.errors import InputError
from edgevae_export.debug_command import command
from edgevae_export.debug_precision import STEPS, diagnose, read
from edgevae_export.layer_errors import LayerError
from edgevae_export.precision_plot import draw

_spec = importlib.util.spec_from_file_location("planted", Path(__file__).with_name("planted.py"))
assert _spec is not None
assert _spec.loader is not None
models = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(models)


@pytest.fixture(scope="module")
def diagnosed():
    """A function that returns the diagnoses of a fault by role; made once."""
    made: dict[str, dict] = {}

    def get(fault: str):
        if fault not in made:
            said: list[str] = []
            found = diagnose(models.planted(fault), step=said.append)
            assert len(said) == STEPS
            made[fault] = {d.role: d for d in found}
        return made[fault]

    return get


def test_a_network_that_holds_has_headroom_and_no_culprit(diagnosed):
    for found in diagnosed("none").values():
        assert found.verdict.startswith("holds in float16: ")
        assert found.first_bad is None
        assert all(e.network_finite and e.own_snr_dB > 45 for e in found.layers)
        assert all(
            e.headroom * max(e.peak_in, e.peak_out) == pytest.approx(65504) for e in found.layers
        )


def test_a_planted_overflow_is_named_by_its_path_in_the_users_network(diagnosed):
    found = diagnosed("overflow")["decoder"]
    assert found.first_bad == found.first_not_finite == "up.loud"
    assert found.verdict.startswith("goes wrong first in up.loud (Conv2d): its ")
    assert found.verdict.count("reaches") + found.verdict.count("weights reach") == 1
    assert set(found.float32_in_export) == {"up.loud", "up.norm"}
    assert found.worst_first[0].layer == "up.loud"
    assert diagnosed("overflow")["encoder"].first_bad is None


@pytest.mark.parametrize("fault", ["overflow", "offset"])
def test_layers_behind_the_culprit_are_bad_in_the_network_and_good_by_themselves(fault, diagnosed):
    layers = {e.layer: e for e in diagnosed(fault)["decoder"].layers}
    for name in ("up.last", "head"):
        assert layers[name].own_snr_dB > 45
        assert layers[name].network_snr_dB < 40
    assert layers["up.calm"].network_snr_dB > 45


def test_a_loss_of_precision_without_any_overflow_is_named(diagnosed):
    found = diagnosed("offset")["decoder"]
    assert found.first_bad == "up.loud"
    assert found.first_not_finite is None
    assert "above its own error, with values up to 3" in found.verdict


def layer(name: str, **changed: object) -> LayerError:
    values = {"peak_in": 1.0, "peak_out": 1.0, "peak_weight": 1.0, "own_finite": True}
    rest = {"own_snr_dB": 70.0, "network_finite": True, "network_snr_dB": 60.0}
    return LayerError(layer=name, kind="Conv2d", **{**values, **rest, **changed})  # type: ignore[arg-type]


def test_a_fault_between_layers_is_not_blamed_on_a_layer():
    lost = layer("b", network_finite=False, network_snr_dB=-float("inf"))
    found = read("encoder", [layer("a"), lost], (), lost="b")
    assert "no layer is bad by itself, but NaN or Inf first comes out of b" in found.verdict
    tired = layer("b", network_snr_dB=20.0)
    assert "errors add up: 20.0 dB at b" in read("encoder", [tired], (), lost=None).verdict


def test_a_branch_that_loses_what_nobody_behind_it_needs_is_not_blamed():
    branch = layer("branch", own_snr_dB=30.0, network_snr_dB=30.0)
    assert (
        read("encoder", [layer("a"), branch, layer("b"), layer("c")], (), lost=None).first_bad
        is None
    )
    spoilt = [layer(name, network_snr_dB=30.0) for name in "bc"]
    assert read("encoder", [layer("a"), branch, *spoilt], (), lost=None).first_bad == "branch"


class InPlace(nn.Module):
    """A cell of 4 x 4 pixels, an activation that writes over its input, and weights in layers or without."""

    spec = replace(models.Net.spec, encoder_halo_px=0, decoder_halo_cells=0)

    def __init__(self, *, layers: bool = True) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 4, stride=4)
        self.act = nn.SiLU(inplace=True)
        self.head = nn.ConvTranspose2d(6, 3, 4, stride=4)
        self.loose = None if layers else nn.Parameter(torch.ones(6, 6, 1, 1))

    def encode(self, pixels: Tensor) -> Tensor:
        x: Tensor = self.act(self.stem(pixels))
        return x if self.loose is None else nn.functional.conv2d(x.float(), self.loose)

    def decode(self, latents: Tensor) -> Tensor:
        result: Tensor = self.head(latents)
        return result


def test_an_activation_in_place_is_measured_on_what_it_was_given():
    encoder, _ = diagnose(models.source_of(InPlace()))
    stem, act = encoder.layers
    assert act.peak_in == stem.peak_out > act.peak_out
    assert act.own_snr_dB > 55


def test_a_network_whose_weights_are_not_in_layers_is_refused_in_one_line():
    with pytest.raises(InputError, match=r"^loose: cannot be run in float16 .*make layers of them"):
        diagnose(models.source_of(InPlace(layers=False), name="loose"))
    bare = models.source_of(InPlace(), name="bare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InPlace, "encode", lambda _, x: x.repeat(1, 2, 1, 1)[..., ::4, ::4])
        with pytest.raises(InputError, match=r"^bare: its encoder calls no layer"):
            diagnose(bare)


def test_the_picture_has_a_dot_of_every_layer_and_needs_no_other_file(diagnosed):
    found = list(diagnosed("overflow").values())
    text = draw(found, name="a <name> & more")
    root = ElementTree.fromstring(text)
    dots = [n for n in root.iter() if n.tag.endswith("circle")]
    assert len(dots) == 3 * sum(len(d.layers) for d in found)
    height = float(root.attrib["height"])
    assert all(0 <= float(d.attrib["cy"]) <= height for d in dots)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_the_command_prints_a_table_a_json_line_and_a_picture(tiny_checkpoint, tmp_path):
    torch.set_num_threads(1)
    image, plot = str(tiny_checkpoint.with_name("tiny-image.checkpoint")), tmp_path / "out.svg"
    arguments = [image, "--json", "--plot", str(plot)]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    data = json.loads(result.stdout)
    assert [d["role"] for d in data["diagnoses"]] == ["encoder", "decoder"]
    assert data["diagnoses"][0]["layers"][0]["layer"].startswith("encoder.")
    assert ElementTree.parse(plot)
    with pytest.raises(InputError, match="exists; give another path, or --overwrite"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    with pytest.raises(InputError, match=r"expected a name that ends in .svg"):
        CliRunner().invoke(command, [image, "--plot", "out.png"], catch_exceptions=False)
    text = CliRunner().invoke(command, [image, "--all"], catch_exceptions=False).stdout
    lines = text.splitlines()
    assert len([line for line in lines if "(Conv2d)" in line]) >= len(
        data["diagnoses"][0]["layers"]
    )
    assert "more, which are better" not in text
