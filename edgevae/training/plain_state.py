"""A learner as the state of its run, and back: all weights, averages included, and what the optimisers remember."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgevae.errors import IncompatibleError
from edgevae.training.state import TrainState

if TYPE_CHECKING:
    from edgevae.training.plain_loop import Learner


def state_of_learner(learner: Learner, *, step: int, best: float) -> TrainState:
    """Return what a run continues from.

    Args:
        learner: What is trained.
        step: Steps done.
        best: Lowest figure of a validation so far.
    """
    optimizer, *judge = (o.state_dict() for o in learner.optimizers)
    weights = {
        f"{name}.{key}": value
        for name, network in learner.networks.items()
        for key, value in network.state_dict().items()
    }
    return TrainState(
        step=step,
        module=weights,
        optimizer=optimizer,
        best_val_loss=best,
        stale_validations=0,
        discriminator_optimizer=judge[0] if judge else None,
    )


def restore(learner: Learner, state: TrainState, *, run: Path) -> None:
    """Set a learner to where its run was saved.

    Args:
        learner: Of the run's configuration.
        state: Of the run.
        run: Its folder, for the message.

    Raises:
        IncompatibleError: the state is of other networks than the configuration's.
    """
    kept = [state.optimizer, state.discriminator_optimizer][: len(learner.optimizers)]
    try:
        for name, network in learner.networks.items():
            prefix = f"{name}."
            network.load_state_dict(
                {
                    key.removeprefix(prefix): value
                    for key, value in state.module.items()
                    if key.startswith(prefix)
                }
            )
        for optimizer, memory in zip(learner.optimizers, kept, strict=True):
            optimizer.load_state_dict(memory or {})
    except (RuntimeError, ValueError, KeyError) as error:
        raise IncompatibleError(
            f"{run}: the state that was saved is not of the networks in its train.json; undo what was "
            "changed there, or start the run again"
        ) from error
