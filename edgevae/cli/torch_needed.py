"""What commands that need PyTorch say where it is not installed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from edgevae.errors import UnavailableError


@contextlib.contextmanager
def needs_torch() -> Iterator[None]:
    """Say how to install what an import within misses, and prepare what PyTorch reads when it is loaded.

    Raises:
        UnavailableError: an import within failed.
    """
    if "WORLD_SIZE" in os.environ:
        # DDP warns of a search for unused parameters, which is made on purpose (edgevae.training.loop).
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        yield
    except ImportError as error:
        raise UnavailableError(
            f"train: {error}; install it with `pip install 'edgevae[train]'`"
        ) from error
