"""What a run's folder says of it: data, launches, speed; and folders that earlier versions wrote."""

import csv
import hashlib
import json
import math
from dataclasses import replace

import pytest
import torch

from edgevae.errors import InputError
from edgevae.training import fit, throughput
from edgevae.training.processes import Processes
from edgevae.training.record import COLUMNS, Metrics
from edgevae.training.state import load_state

pytestmark = pytest.mark.filterwarnings("ignore:.*GPU available but not used.*")

ONE_STEP = fit.Session(max_minutes=1e-6)


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.mkv")
    }


def test_the_data_is_listed_with_its_digests_and_each_launch_with_what_decides_its_bits(
    tiny_run, video_folder, tmp_path
):
    run = tmp_path / "run"
    fit.start(
        tiny_run, str(video_folder), run=run, val=str(video_folder / "more"), session=ONE_STEP
    )
    data = json.loads((run / "data.json").read_text())
    assert data["sha256"] == digests(video_folder)
    assert data["val_sha256"] == digests(video_folder / "more")
    fit.resume(run, session=ONE_STEP)
    first, second = map(json.loads, (run / "launches.jsonl").read_text().splitlines())
    assert (first["step"], second["step"]) == (0, 1)
    assert first["command"]
    assert (first["seed"], first["processes"]) == (0, 1)
    assert first["threads"] == torch.get_num_threads()
    assert first["versions"]["torch"] == torch.__version__
    assert {"edgevae", "python", "lightning", "numpy", "av"} <= first["versions"].keys()


@pytest.mark.parametrize(("changed", "message"), [("a.mkv", "trained"), ("d.mkv", "validated")])
def test_a_run_does_not_continue_on_other_bytes_of_the_same_size(
    tiny_run, video_folder, tmp_path, changed, message
):
    run, val = tmp_path / "run", tmp_path / "val"
    (video_folder / "more").rename(val)
    fit.start(tiny_run, str(video_folder), run=run, val=str(val), session=ONE_STEP)
    file = next(tmp_path.rglob(changed))
    held = bytearray(file.read_bytes())
    held[-1] ^= 1
    file.write_bytes(held)
    with pytest.raises(InputError, match=rf"not the files that .*run was {message} on"):
        fit.resume(run)


def test_a_run_that_was_begun_before_digests_and_speed_were_noted_continues(
    tiny_run, video_folder, tmp_path
):
    run = tmp_path / "run"
    fit.start(tiny_run, str(video_folder), run=run, session=ONE_STEP)
    data = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps({k: data[k] for k in ("data", "val", "files")}))
    new = ("since_line", "processes", "discriminator_optimizer")
    old = {k: v for k, v in vars(load_state(run)).items() if k not in new} | {"best_psnr_db": 9.0}
    del old["best_val_loss"]
    torch.save({"version": 1, **old}, run / "state.ckpt")
    (run / "metrics.csv").write_text(
        "step,loss,psnr_db,learning_rate,val_psnr_db,val_worst_psnr_db\n0,,,,12.5,11.5\n"
    )
    fit.resume(run)
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["val_psnr_db"], rows[0]["val_worst_psnr_db"]) == ("12.5", "11.5")
    assert rows[-1]["step"] == "12"


def test_lines_beyond_the_state_and_lines_cut_short_are_dropped(tmp_path):
    file = tmp_path / "metrics.csv"
    Metrics(file).add_validation(0, 10.0, worst_psnr_db=9.0, loss=1.0)
    speed = {"frames_per_s": 100.0, "data_wait_share": 0.25}
    for step in (25, 50):
        Metrics(file, first_step=step).add_steps(
            step, [(1.0, 20.0), (2.0, 22.0)], learning_rate=0.1, speed=speed
        )
    file.write_text(file.read_text() + "50,0.1")
    Metrics(file, first_step=30)
    assert file.read_text().splitlines() == [
        ",".join(COLUMNS),
        "0,,,,,,,10,9,1,,,,,",
        "25,1.5,21,0.1,100,0.25,,,,,,,,,",
    ]


def test_a_figure_that_some_steps_lack_is_the_mean_of_the_others(tmp_path):
    absent = math.nan
    first = (1.0, 20.0)  # as earlier versions saved it
    numbers = [first, (2.0, 22.0, absent, absent, absent, absent, absent)]
    numbers.append((3.0, 24.0, absent, -0.5, 2.0, 1.0, 0.75))
    row = Metrics(tmp_path / "metrics.csv").add_steps(25, numbers, learning_rate=0.1, speed={})
    assert row == {
        "step": 25,
        "learning_rate": 0.1,
        "loss": 2.0,
        "psnr_db": 22.0,
        "adversarial_loss": -0.5,
        "adversarial_weight": 2.0,
        "discriminator_loss": 1.0,
        "discriminator_accuracy": 0.75,
    }


def test_the_log_has_frames_per_second_and_the_wait_for_data_but_not_the_validations(
    tiny_run, monkeypatch
):
    class Clock:
        now_s = 0.0
        waited_s = 0.0

    monkeypatch.setattr(throughput.time, "perf_counter", lambda: Clock.now_s)
    module = torch.nn.Linear(1, 1)
    module.device = torch.device("cpu")
    speed = throughput.Throughput(tiny_run, Clock, Processes())
    for _ in range(5):
        Clock.now_s, Clock.waited_s = Clock.now_s + 0.5, Clock.waited_s + 0.125
        speed.on_train_batch_start(None, module)
        speed.on_train_batch_end(None, module)
        Clock.now_s += 100.0  # a validation
        speed.on_validation_end(None, module)
    speed.settle()
    assert "5 steps at 32 frames/s, 25.0% of their time waiting for data" in speed.summary()
    assert speed.take() == {"frames_per_s": 5 * 2 * 8 / 2.5, "data_wait_share": 0.25}
    assert "5 steps at 32 frames/s" in speed.summary()


def test_the_speed_of_a_run_is_said_and_logged(tiny_run, tmp_path, capsys):
    config = replace(tiny_run, steps=25, val_every_steps=25, principal_patches=0)
    fit.start(config, "moving-digits", run=tmp_path / "run")
    with (tmp_path / "run" / "metrics.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["loss"])
    assert float(row["frames_per_s"]) > 0
    assert 0 <= float(row["data_wait_share"]) <= 1
    assert row["gpu_busy_share"] == "" or torch.cuda.is_available()
    assert "of their time waiting for data" in capsys.readouterr().err
