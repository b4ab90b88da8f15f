"""Runs with LPIPS as a loss, on weights that are random in the layout of the real ones."""

import csv
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from edgevae.errors import InputError
from edgevae.nn.perceptual import Lpips
from edgevae.training import fit
from edgevae.training.judges import PerceptualLoss, judged_frames
from edgevae.training.state import load_state

pytestmark = pytest.mark.filterwarnings("ignore:.*GPU available but not used.*")

ONE_STEP = fit.Session(max_minutes=1e-6)


@pytest.fixture
def network(tmp_path):
    """A file with random weights of AlexNet and positive ones for its features."""
    torch.manual_seed(1)
    tensors = {}
    for name, tensor in Lpips("alexnet").state_dict().items():
        kind, _, rest = name.partition(".")
        if kind == "linear":
            tensors[f"lin{rest}.model.1.weight"] = torch.rand(tensor.shape)
        elif kind.startswith("features"):
            tensors[f"{kind.replace('_', '.')}.{rest}"] = tensor.contiguous()
    save_file(tensors, tmp_path / "lpips.safetensors")
    return tmp_path / "lpips.safetensors"


@pytest.fixture
def config(tiny_run, network):
    return replace(
        tiny_run,
        steps=25,
        val_every_steps=25,
        principal_patches=0,
        judged_frames=1,
        perceptual_weight=0.5,
        perceptual_network=str(network),
    )


def test_a_run_has_the_loss_in_its_log_and_the_weights_digest_but_not_the_weights(config, tmp_path):
    run = tmp_path / "run"
    fit.start(config, "moving-digits", run=run)
    with (run / "metrics.csv").open() as file:
        line = next(row for row in csv.DictReader(file) if row["loss"])
    assert float(line["perceptual_loss"]) > 0
    assert not any("perceptual" in name for name in load_state(run).module)
    assert len(json.loads((run / "data.json").read_text())["perceptual_sha256"]) == 64


def test_a_run_is_not_continued_on_other_weights(config, network, tmp_path):
    run = tmp_path / "run"
    fit.start(config, "moving-digits", run=run, session=ONE_STEP)
    fit.resume(run, session=ONE_STEP)
    assert load_state(run).step == 2
    held = bytearray(network.read_bytes())
    held[-1] ^= 1
    network.write_bytes(held)
    with pytest.raises(InputError, match=r"not the LPIPS weights that .*run began with"):
        fit.resume(run)


def test_a_run_whose_weights_were_named_from_one_folder_is_continued_in_another(
    config, network, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    here = replace(config, perceptual_network=network.name)
    fit.start(here, "moving-digits", run=run, session=ONE_STEP)
    monkeypatch.chdir("/")
    fit.resume(run, session=ONE_STEP)
    assert load_state(run).step == 2


def test_a_run_without_the_weights_is_refused_before_it_leaves_anything(config, tmp_path):
    missing = replace(config, perceptual_network=str(tmp_path / "none.safetensors"))
    with pytest.raises(InputError, match="no such file; expected LPIPS weights"):
        fit.start(missing, "moving-digits", run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_loss_is_of_the_judged_frames_and_moves_the_reconstruction_only(config, network):
    loss = PerceptualLoss(str(network))
    clips = torch.rand((2, 8, 3, 32, 32), generator=torch.Generator().manual_seed(5)) * 2 - 1
    chosen = judged_frames(config, range(2))
    made = clips.clone().requires_grad_()
    assert loss(made, clips, chosen).item() == pytest.approx(0.0, abs=1e-6)
    loss(0.5 * made, clips, chosen).backward()
    judged = made.grad.abs().sum((2, 3, 4)) > 0  # [B, T]
    assert judged.nonzero().tolist() == [[i, int(frame)] for i, frame in enumerate(chosen[:, 0])]
    assert not any(p.requires_grad for p in loss.lpips.parameters())
