"""The arithmetic that a run computes in."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from edgevae.training import arithmetic
from edgevae.training.flow.config import FlowConfig


@pytest.mark.parametrize(
    ("has", "precision", "dtype"),
    [(True, "bf16", torch.bfloat16), (False, "fp32", torch.float32)],
)
def test_an_auto_precision_is_decided_for_the_processor_and_said(
    has, precision, dtype, monkeypatch, capsys
):
    tell = SimpleNamespace(get_capabilities=lambda: {"avx2": True, "avx512_bf16": has})
    monkeypatch.setattr(torch, "cpu", tell)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = arithmetic.decided(FlowConfig())
    assert config.precision == precision
    assert f"precision: {precision}, the faster one here" in capsys.readouterr().err
    monkeypatch.undo()
    layer, x = torch.nn.Linear(2, 2), torch.zeros(1, 2)
    with arithmetic.arithmetic(config.precision, torch.device("cpu")):
        assert layer(x).dtype == dtype


def test_a_precision_that_was_asked_for_stays(capsys):
    for asked in ("fp32", "bf16"):
        assert arithmetic.decided(FlowConfig(precision=asked)).precision == asked
    assert capsys.readouterr().err == ""


def test_an_older_pytorch_that_cannot_tell_counts_as_without(monkeypatch):
    monkeypatch.setattr(torch, "cpu", SimpleNamespace())
    assert not arithmetic.has_bf16("cpu")
