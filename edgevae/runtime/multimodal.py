"""`MultimodalVae`: a bundle of several senses, loaded: whatever senses are there to latents, and latents to any sense.

video  -> encoder -+                                  +-> decoder -> video
sound  -> encoder -+-> fusion -> mean, log-variance --+-> decoder -> sound
tracks     missing +                                  +-> decoder -> tracks
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevae.bundle import Bundle
from edgevae.errors import InputError
from edgevae.frames import Latents, check_latents
from edgevae.roles import Role
from edgevae.runtime.loaded_model import LoadedModel
from edgevae.runtime.loading import Opened, open_model
from edgevae.runtime.shipped import locate
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.senses import MISSING_LOG_VARIANCE, Array, SensesSpec
from edgevae.spec import Precision

WINDOWS_A_CALL = 32
"""At most, so that a clip of hours needs no more memory for what lies between the layers than a short one."""


@dataclass(frozen=True)
class LatentPosterior:
    """What some senses say of each window: a normal with no correlations."""

    mean: npt.NDArray[np.float32]
    """`[t, C, 1, 1]`: the latents."""
    log_variance: npt.NDArray[np.float32]
    """`[t, C, 1, 1]`: 0 where the senses say nothing and the prior alone stands."""


class MultimodalVae(LoadedModel):
    """A VAE of several senses, ready to run; a context manager. Made by `load_multimodal`.

    with edgevae.load_multimodal("edgevae-senses-made") as vae:
        latents = vae.encode({"sound": sound})                      # any of the senses, alone or together
        video = vae.decode(latents, "video")                        # also those that were not there
    """

    def __init__(self, opened: Opened, senses: SensesSpec) -> None:
        super().__init__(opened.bundle, opened.sessions)
        self._choice, self.senses = opened.choice, senses
        self._sessions = {s.graph.role: s for s in opened.sessions}

    @property
    def backend(self) -> str:
        """What runs the graphs, where."""
        return f"{self._choice.backend} {self._choice.device}"

    @property
    def precision(self) -> Precision:
        """Of the graphs."""
        return self._choice.precision

    def encode(self, given: Mapping[str, Array]) -> npt.NDArray[np.float32]:
        """Return the latents of a clip, float32 `[t, C, 1, 1]`, one a window: the mean of `posterior`.

        Args:
            given: By name, the senses that are there, all of one length; see `posterior`.

        Raises:
            InputError: as `posterior`.
        """
        return self.posterior(given).mean

    def posterior(self, given: Mapping[str, Array]) -> LatentPosterior:
        """Return what senses say together: the product of their posteriors and of the prior.

        Args:
            given: By name, one or more of the senses, each of whole windows of the same stretch of time: frames uint8
                `[n*T, H, W, 3]`, sound in dB `[channels, n*S, bands]` (`edgevae.mel.log_mel`), tracks
                `[n*T, points, 2]`; in any order.

        Raises:
            InputError: no sense or an unknown one, one that is not whole windows of its shape, or of another length
                than the others.
        """
        if not given:
            raise InputError(
                f"senses: got none, expected at least one of {', '.join(self.senses.names)}"
            )
        windows, counts = dict[str, Array](), dict[str, int]()
        for name, clip in given.items():
            sense = self.senses.sense(name)
            windows[name] = sense.windows(clip)
            counts[name] = sense.count(windows[name])
        (first, count), *others = counts.items()
        for name, other in others:
            if other != count:
                raise InputError(
                    f"{name}: got {other} windows and {count} of {first}, expected the same stretch of time; cut the "
                    "longer one"
                )
        experts = {
            name: self._run(f"encoder.{name}", value, count) for name, value in windows.items()
        }
        fused = self._run("fusion", self._together(experts, count), count)
        channels = self.latent_channels
        return LatentPosterior(fused[:, :channels].copy(), fused[:, channels:].copy())

    def decode(self, latents: Latents, name: str) -> Array:
        """Return what a sense has of latents, as `posterior` takes it: also one that was missing.

        Args:
            latents: Float `[t, C, 1, 1]`, of `encode` or made.
            name: The sense.

        Raises:
            InputError: an unknown sense, or latents of another shape, or not finite.
        """
        sense = self.senses.sense(name)
        latents = check_latents(latents, channels=self.latent_channels)
        if latents.ndim != 4 or latents.shape[-2:] != (1, 1):
            raise InputError(
                f"latents: got shape {list(latents.shape)}, expected [t, {self.latent_channels}, 1, 1]"
            )
        data = np.ascontiguousarray(latents, np.float32)
        return sense.clip(self._run(f"decoder.{name}", data, len(latents)))

    def translate(self, given: Mapping[str, Array], name: str) -> Array:
        """Return what a sense would have of a clip of which others are there: `decode` of `encode`.

        Raises:
            InputError: as these.
        """
        self.senses.sense(name)
        return self.decode(self.encode(given), name)

    def _together(self, experts: Mapping[str, Array], count: int) -> Array:
        """Return all means and then all log-variances, `[t, 2*S*C, 1, 1]`: one that is missing knows nothing."""
        channels, names = self.latent_channels, self.senses.names
        both = np.zeros((count, 2, len(names), channels), np.float32)
        both[:, 1] = MISSING_LOG_VARIANCE
        for place, name in enumerate(names):
            if name in experts:
                both[:, :, place] = experts[name].reshape(count, 2, channels)
        return both.reshape(count, -1, 1, 1)

    def _run(self, role: Role, data: Array, count: int) -> Array:
        """Return what a graph gives for some windows, `WINDOWS_A_CALL` a call."""
        session, parts = self._sessions[role], list[Array]()
        side = self._bundle.manifest.spec.spatial_factor
        size = {"height_px": side, "width_px": side}
        length = len(data) // count
        done = 0
        while done < count:
            batch = min(WINDOWS_A_CALL, count - done)
            # Where each number of windows would be an engine of its own they go one by one.
            if not session.is_ready(batch=batch, **size):
                batch = 1
            part = np.ascontiguousarray(data[done * length : (done + batch) * length])
            parts.append(session.run(part, session.initial_state(batch=batch, **size))[0])
            done += batch
        result: Array = np.concatenate(parts)
        return result


def load_multimodal(
    model: str | os.PathLike[str],
    *,
    backend: str = "auto",
    device: str = "auto",
    precision: Precision | None = None,
    threads: int | None = None,
    tensorrt: TensorRtOptions | None = None,
) -> MultimodalVae:
    """Return the `MultimodalVae` of a bundle, its digests and its golden vectors checked; arguments as for `load`.

    Raises:
        InputError: as `load`, or the bundle is not of several senses.
        EdgeVaeError: as `load`.
    """
    bundle = Bundle.open(locate(model))
    senses = bundle.manifest.senses
    names = () if senses is None else senses.names
    roles = ("fusion", *(f"{what}.{n}" for n in names for what in ("encoder", "decoder")))
    opened = open_model(
        bundle.path,
        roles=roles,
        what="a model of several senses",
        backend=backend,
        device=device,
        precision=precision,
        threads=threads,
        tensorrt=tensorrt,
    )
    assert senses is not None, "a bundle with a fusion has senses, or is refused"
    return MultimodalVae(opened, senses)
