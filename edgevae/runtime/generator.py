"""`Generator`: clips out of nothing but noise, chunk by chunk, for as long as is wanted.

    noise -> prior -> latents -> decoder -> frames            a VAE with a prior
              ^  |                ^  |
              +--+ memory         +--+ caches

    noise ----------------------> decoder -> frames           a generator whose decoder takes noise itself

Noise is a function of the seed, the clip's number and the chunk's number: clip 3 of 4 is clip 3 of 100, the first
frames of a long clip are those of a short one, and a stream gives what a whole clip gives.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from edgevae.bundle import Bundle
from edgevae.errors import InputError
from edgevae.frames import Frames, Latents
from edgevae.roles import Role
from edgevae.runtime.generator_state import GeneratorState, check_numbers, check_size
from edgevae.runtime.loaded_model import LoadedModel
from edgevae.runtime.loading import open_model
from edgevae.runtime.session import Session
from edgevae.runtime.shipped import locate
from edgevae.runtime.tensorrt_options import TensorRtOptions
from edgevae.spec import Precision


class Generator(LoadedModel):
    """A prior and a decoder, or a decoder alone, ready to run; a context manager. Made by `load_generator`."""

    def __init__(self, bundle: Bundle, decoder: Session, prior: Session | None) -> None:
        super().__init__(bundle, (decoder,) if prior is None else (decoder, prior))
        self._decoder, self._prior = decoder, prior

    @property
    def has_prior(self) -> bool:
        """Whether noise goes through a prior; else straight into the decoder."""
        return self._prior is not None

    @property
    def chunk_frames(self) -> int:
        """The frames that one call makes."""
        return self._decoder.graph.chunk_frames

    @property
    def picture_px(self) -> tuple[int, int] | None:
        """Height and width that the model was trained to make; None where its bundle does not say."""
        return self._bundle.manifest.picture_px

    def generate(
        self,
        *,
        frames: int,
        count: int = 1,
        seed: int = 0,
        temperature: float = 1.0,
        size: tuple[int, int] | None = None,
    ) -> Frames:
        """Return clips, uint8 RGB `[count, frames, H, W, 3]`; arguments and errors as `chunks`."""
        made = self.chunks(
            frames=frames, count=count, seed=seed, temperature=temperature, size=size
        )
        return np.concatenate(list(made), axis=1)

    def chunks(
        self,
        *,
        frames: int,
        count: int = 1,
        seed: int = 0,
        temperature: float = 1.0,
        size: tuple[int, int] | None = None,
    ) -> Iterator[Frames]:
        """Yield clips side by side, at most a chunk of frames at a time; memory does not grow with their length.

        Args:
            frames: Of each clip.
            count: How many clips.
            seed: Decides what they show.
            temperature: Factor on the noise: below 1 less varied and more like the average, 0 always the same.
            size: Height and width in pixels; by default what the model was trained to make.

        Yields:
            uint8 RGB `[count, n, H, W, 3]`.

        Raises:
            InputError: as `stream`, or fewer frames than 1.
        """
        if frames < 1:
            raise InputError(f"frames: got {frames}, expected at least 1")
        state, done = self.stream(count=count, seed=seed, temperature=temperature, size=size), 0
        while done < frames:
            made, state = self.step(state)
            yield made[:, : frames - done]
            done += made.shape[1]

    def stream(
        self,
        *,
        count: int = 1,
        seed: int = 0,
        temperature: float = 1.0,
        size: tuple[int, int] | None = None,
    ) -> GeneratorState:
        """Return the state at the first frame of endless clips; arguments as `chunks`.

            state = generator.stream(seed=7)
            while True:
                frames, state = generator.step(state)

        Raises:
            InputError: a number out of its range, or a size that is too large, not one of whole cells or not known.
        """
        size = self._size(size)
        check_numbers(count=count, seed=seed, temperature=temperature)
        extent = {"batch": count, "height_px": size[0], "width_px": size[1]}
        prior = None if self._prior is None else self._prior.initial_state(**extent)
        decoder = self._decoder.initial_state(**extent)
        return GeneratorState(
            count=count,
            size=size,
            seed=seed,
            temperature=temperature,
            chunk=0,
            prior=prior,
            decoder=decoder,
        )

    def step(self, state: GeneratorState) -> tuple[Frames, GeneratorState]:
        """Return the frames of the next chunk, uint8 RGB `[count, n, H, W, 3]`, and the next state."""
        latents, state = self.latents(state)
        spec = self._bundle.manifest.spec
        frames, caches = self._decoder.run(latents.reshape(-1, *latents.shape[2:]), state.decoder)
        shown = frames.reshape(state.count, -1, *frames.shape[1:])
        if state.chunk == 1:  # the lead of a clip is filler
            shown = shown[:, spec.lead_frames :]
        return shown, replace(state, decoder=caches)

    def latents(self, state: GeneratorState) -> tuple[Latents, GeneratorState]:
        """Return the latents of the next chunk, float32 `[count, t, C, h, w]`, and the state for the one after it.

        Without a prior they are the noise.
        """
        noise = state.noise(self._decoder.graph)
        following = replace(state, chunk=state.chunk + 1)
        if self._prior is None or state.prior is None:
            return noise, following
        folded, memory = self._prior.run(noise.reshape(-1, *noise.shape[2:]), state.prior)
        return folded.reshape(noise.shape), replace(following, prior=memory)

    def _size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        cell = self._bundle.manifest.spec.spatial_factor
        chosen = self.picture_px if size is None else size
        if chosen is None:
            raise InputError(
                f"{self.name}: the bundle does not say how large its pictures are; give a size, in multiples of {cell}"
            )
        check_size(chosen, cell_px=cell)
        return chosen


def load_generator(
    model: str | os.PathLike[str],
    *,
    plain_normal: bool = False,
    backend: str = "auto",
    device: str = "auto",
    precision: Precision | None = None,
    threads: int | None = None,
    tensorrt: TensorRtOptions | None = None,
) -> Generator:
    """Return the `Generator` of a bundle, its digests and its golden vectors checked.

    Args:
        model: The folder of a bundle, or the name of a shipped model.
        plain_normal: Decode noise as it is though the model is a VAE, with or without a prior: to see what latents of
            a plain normal look like, which are not those that its decoder was trained on.
        backend: As for `load`, like all that follow.
        device: Where.
        precision: Which variant.
        threads: CPU threads for one call.
        tensorrt: Of the TensorRT backends.

    Raises:
        InputError: as `load`, or the bundle is a VAE without a prior and `plain_normal` is not set.
        EdgeVaeError: as `load`.
    """
    opened = open_model(
        model,
        roles=_roles(Bundle.open(locate(model)), plain_normal=plain_normal),
        what="a generator",
        backend=backend,
        device=device,
        precision=precision,
        threads=threads,
        tensorrt=tensorrt,
    )
    decoder, *prior = opened.sessions
    return Generator(opened.bundle, decoder, prior[0] if prior else None)


def _roles(bundle: Bundle, *, plain_normal: bool) -> tuple[Role, ...]:
    """Return the graphs that make pictures of noise."""
    if plain_normal:
        return ("decoder",)
    if "encoder" in bundle.roles and "prior" not in bundle.roles:
        raise InputError(
            f"{bundle.path}: has no prior, which a VAE needs to generate; train one (edgevae train --model prior), or "
            "ask for latents of a plain normal (plain_normal, --plain-normal), which its decoder has never seen"
        )
    return ("decoder", "prior") if "prior" in bundle.roles else ("decoder",)
