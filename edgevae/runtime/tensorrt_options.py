"""What a caller may ask of the TensorRT backends."""

from __future__ import annotations

from dataclasses import dataclass

from edgevae.engine.profile import Profile, parse_size
from edgevae.engine.progress import Progress
from edgevae.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TensorRtOptions:
    """How engines are built, cached and run. The defaults suit an app that knows its frame size only at run time.

    edgevae.load(model, backend="tensorrt", tensorrt=TensorRtOptions(sizes=("720p",)))
    """

    sizes: tuple[str | Profile, ...] = ()
    """Frame sizes to have engines for when `load` returns: `360p`, `480p`, `720p`, `1080p`, `HxW`, `BxHxW`, each a
    static engine, or a `Profile` of several sizes. Another size gets an engine of its own at its first call."""
    allow_build: bool = True
    """Build an engine that is not in the cache or is stale. Without it that is an `IncompatibleError`."""
    cuda_graph: bool = True
    """Replay each call as one CUDA graph from its third time on, where the driver layer can (pycuda cannot)."""
    zero_copy: bool = False
    """Let the device use mapped host memory for numpy data, without a copy; pays where both share memory (Jetson)."""
    contexts: int = 4
    """Calls of one graph that can run at once; a further one waits. Each holds buffers and activation memory."""
    driver: str = "auto"
    """CUDA from Python: `cuda-python`, `pycuda`, or `auto` for the first that is installed."""
    workspace_mib: int | None = None
    """Most device memory that a layer may use while it is built and run; None leaves it to TensorRT."""
    level: int | None = None
    """TensorRT's builder optimization level, 0 (fast to build) to 5 (fast to run); None is TensorRT's default."""
    version_compatible: bool = False
    """Build engines that later versions of TensorRT can run, somewhat slower."""
    hardware_compatible: bool = False
    """Build engines that every GPU from Ampere on can run, somewhat slower."""
    progress: Progress | None = None
    """Told of a build's phases; by default a build says only in the log that it begins."""

    def __post_init__(self) -> None:
        if self.contexts < 1:
            raise InputError(f"contexts: got {self.contexts}, expected at least 1")
        if isinstance(self.sizes, str):
            raise InputError(
                f"sizes: got {self.sizes!r}, expected a tuple such as ('{self.sizes}',)"
            )
        if self.level is not None and not 0 <= self.level <= 5:
            raise InputError(f"level: got {self.level}, expected 0 to 5")
        self.profiles(cell_px=1)  # a size that cannot be read is said now

    def profiles(self, *, cell_px: int) -> tuple[Profile, ...]:
        """Return the profiles of `sizes`, in whole latent cells.

        Raises:
            InputError: a size is no size.
        """
        return tuple(_profile(size, cell_px) for size in self.sizes)


def _profile(size: str | Profile, cell_px: int) -> Profile:
    if isinstance(size, Profile):
        fit = [s.in_cells(cell_px) for s in (size.min, size.opt, size.max)]
        return Profile(min=fit[0], opt=fit[1], max=fit[2])
    return Profile.static(parse_size(size).in_cells(cell_px))
