"""Train: a new run or one that is continued, from data to a checkpoint."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

from edgevae.errors import InputError
from edgevae.nn.checkpoint import load_checkpoint, save_checkpoint
from edgevae.training.config import TrainConfig
from edgevae.training.data import TrainData, open_data
from edgevae.training.judges import network_digest
from edgevae.training.launches import write_launch
from edgevae.training.listing import check_unchanged, media_digests
from edgevae.training.loop import Launch, Session, run_steps, say
from edgevae.training.measure import start_linear, with_latent_statistics
from edgevae.training.module import VaeTraining
from edgevae.training.procedural import BUILT_IN
from edgevae.training.processes import joined, place_in
from edgevae.training.run import RunData, RunFolder
from edgevae.training.state import STATE, load_state

__all__ = ["Session", "resume", "start"]


def start(
    config: TrainConfig,
    data: str,
    *,
    run: Path,
    val: str | None = None,
    weights: Path | None = None,
    session: Session | None = None,
) -> Path:
    """Train a new run and return the folder of its checkpoint.

    Args:
        config: The run.
        data: A folder of videos and images, or a name in `BUILT_IN`.
        run: The run folder to make.
        val: A folder of validation data; None holds out some of the files.
        weights: A checkpoint whose network the run begins with, in the place of `config`'s; a copy stays in the run.
        session: Time limit and logs of this process.

    Raises:
        InputError: the run folder exists, or the data or the checkpoint cannot be used.
        IntegrityError: the weights of the checkpoint are damaged.
        MediaError: a file of the data cannot be read.
    """
    if (
        config.perceptual_network is not None
    ):  # like the data's, so that any folder can continue the run
        file = str(Path(config.perceptual_network).absolute())
        config = replace(config, perceptual_network=file)
    if config.digits is not None:
        config = replace(config, digits=str(Path(config.digits).absolute()))
    with joined(place_in(os.environ)) as processes, contextlib.ExitStack() as stack:
        folder = RunFolder(run)
        with processes.agreeing():
            processes.share(config)
            begun = None
            if processes.first:
                folder.refuse_existing()
                begun = load_checkpoint(weights) if weights else None
            network = network_digest(config)
            opened = open_data(data, val, config)
        model = processes.from_first(begun.config if begun else None)
        if model is not None:
            config = replace(config, model=replace(model, latent_mean=None, latent_std=None))
        with processes.agreeing():
            if processes.first:
                folder.create(config, _run_data(data, val, opened, network), begun=begun)
                stack.enter_context(folder.locked())
        launch = Launch(folder=folder, config=config, data=opened, processes=processes)
        return _train(launch, session or Session())


def resume(run: Path, *, session: Session | None = None) -> Path:
    """Continue a run where its state was last saved and return the folder of its checkpoint.

    With as many processes as before it continues to the bit; with another number to rounding, and says so.

    Raises:
        InputError: the folder is no run, another process trains in it, or its data has changed.
        IntegrityError: the state is damaged.
    """
    with joined(place_in(os.environ)) as processes, contextlib.ExitStack() as stack:
        folder, found = RunFolder(run), None
        with processes.agreeing():
            if processes.first:  # the others may be on machines that do not have the folder
                config, known = folder.read()
                stack.enter_context(folder.locked())
                # A run that was killed before its first save starts again at step 0.
                state = load_state(run) if (run / STATE).exists() else None
                found = config, known, state
        found = processes.from_first(found)
        assert found is not None, "the first process has it"
        config, known, state = found
        with processes.agreeing():
            processes.share(config)
            opened = open_data(known.data, known.val, config)
            check_unchanged(run, known, opened, processes)
            if network_digest(config) != known.perceptual_sha256:
                raise InputError(
                    f"{config.perceptual_network}: not the LPIPS weights that {run} began with; restore them or start "
                    "a new run"
                )
        launch = Launch(folder=folder, config=config, data=opened, processes=processes, state=state)
        return _train(launch, session or Session())


def _train(launch: Launch, session: Session) -> Path:
    folder, config, processes = launch.folder, launch.config, launch.processes
    module = VaeTraining(config, state=launch.state, processes=processes)
    done = launch.state.step if launch.state else 0
    if processes.first:
        write_launch(folder.launches, config, processes, step=done)
    if launch.state is None:
        _start_once(module, launch)
    elif launch.state and launch.state.processes != processes.world:
        say(
            f"{folder.path}: {launch.state.processes} processes until step {done}, {processes.world} from here on: "
            "the same run to rounding, not to the bit"
        )
    if done < config.steps:
        run_steps(module, launch, session)
        done = module.step
    if done < config.steps:
        say(f"stopped at step {done} of {config.steps}; --resume {folder.path} continues")
    with processes.agreeing():
        if processes.first:
            best = load_checkpoint(folder.checkpoint)
            measured = with_latent_statistics(best, launch.data.source, config)
            save_checkpoint(measured, folder.checkpoint)
    return folder.checkpoint


def _start_once(module: VaeTraining, launch: Launch) -> None:
    """Find the weights to start with in the first process and give them to all."""
    begun = launch.folder.start
    with launch.processes.agreeing():
        if launch.processes.first:
            if begun.is_dir():
                module.vae.load_state_dict(load_checkpoint(begun).state_dict())
            elif launch.config.principal_patches:
                start_linear(module.vae, launch.data.source, launch.config)
    module.vae.load_state_dict(launch.processes.from_first(module.vae.state_dict()))
    module.restart_average()


def _run_data(data: str, val: str | None, opened: TrainData, network: str | None) -> RunData:
    return RunData(
        data=_absolute(data),
        val=_absolute(val) if val else None,
        files=opened.files,
        sha256=media_digests(opened.media),
        val_sha256=media_digests(opened.val_media),
        perceptual_sha256=network,
    )


def _absolute(data: str) -> str:
    """Return a folder's absolute path; the name of built-in data as it is."""
    return data if data in BUILT_IN and not Path(data).is_dir() else str(Path(data).absolute())
