"""A bundle's graphs, opened together: every session checked against the golden vectors, or none left open."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from edgevae.bundle import Bundle
from edgevae.errors import InputError
from edgevae.roles import Role
from edgevae.runtime import golden
from edgevae.runtime.backends import Choice, choose, open_session
from edgevae.runtime.session import Session
from edgevae.runtime.shipped import locate
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.spec import Precision


@dataclass(frozen=True)
class Opened:
    """What a class of the runtime is made of; the sessions are its to close."""

    bundle: Bundle
    """The model."""
    sessions: tuple[Session, ...]
    """One a role, in the order in which they were asked for."""
    choice: Choice
    """What runs them, in which precision."""


def open_model(
    model: str | os.PathLike[str],
    *,
    roles: tuple[Role, ...],
    what: str,
    backend: str,
    device: str,
    precision: Precision | None,
    threads: int | None,
    tensorrt: TensorRtOptions | None,
) -> Opened:
    """Return sessions for some roles of a bundle; arguments beside these as for `edgevae.load`.

    Args:
        model: The folder of a bundle, or the name of a shipped model.
        roles: Which graphs are needed.
        what: What needs them, for the message.
        backend: Which one.
        device: Where.
        precision: Which variant.
        threads: CPU threads for one call.
        tensorrt: Of the TensorRT backends.

    Raises:
        EdgeVaeError: as `edgevae.load`.
    """
    cores = os.cpu_count() or 1
    if threads is not None and not 1 <= threads <= cores:
        raise InputError(
            f"threads: got {threads}, expected 1 to {cores}, the cores of this machine"
        )
    bundle = Bundle.open(locate(model))
    bundle.require(roles, what=what)
    choice = choose(bundle, backend=backend, device=device, precision=precision)
    with contextlib.ExitStack() as opened:
        sessions = tuple(
            opened.enter_context(
                open_session(bundle, role, choice=choice, threads=threads, options=tensorrt)
            )
            for role in roles
        )
        for session in sessions:
            golden.check(session, bundle)
        opened.pop_all()  # from here on they are the caller's to close
    return Opened(bundle, sessions, choice)
