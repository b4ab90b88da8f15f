"""Networks between the start and the end of a fine-tuning run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edgevae.errors import InputError
from edgevae.nn.checkpoint import load_checkpoint, save_checkpoint
from edgevae.training import fit
from edgevae.training.between import between


def test_between_start_and_end_lies_their_weighted_mean(straight, tiny_run, tmp_path):
    run, given = tmp_path / "tuned", straight(tiny_run) / "checkpoint"
    fit.start(replace(tiny_run, steps=1), "moving-digits", run=run, weights=given)
    moved = load_checkpoint(run / "checkpoint")  # one step may be no better than the start
    with torch.no_grad():
        for tensor in moved.parameters():
            tensor.add_(0.01)
    save_checkpoint(moved, run / "checkpoint")
    for share in (0.0, 0.25, 1.0):
        between(run, share=share, output=tmp_path / f"{share}")
    start, quarter, end = (
        load_checkpoint(path).state_dict()
        for path in (given, tmp_path / "0.25", run / "checkpoint")
    )
    for name, tensor in load_checkpoint(tmp_path / "0.0").state_dict().items():
        torch.testing.assert_close(tensor, start[name])
    for name, tensor in load_checkpoint(tmp_path / "1.0").state_dict().items():
        torch.testing.assert_close(tensor, end[name])
        torch.testing.assert_close(quarter[name], 0.75 * start[name] + 0.25 * end[name])
    with pytest.raises(InputError, match="is there already; give another folder"):
        between(run, share=0.5, output=tmp_path / "1.0")
    with pytest.raises(InputError, match=r"share: got 1\.5, expected 0"):
        between(run, share=1.5, output=tmp_path / "more")


def test_a_run_that_began_with_nothing_has_nothing_to_lie_between(straight, tiny_run, tmp_path):
    with pytest.raises(InputError, match="has no start of its own; expected a run of"):
        between(straight(tiny_run), share=0.5, output=tmp_path / "out")
