"""Write `frames.safetensors`, the real frames that every export is checked on, from the clip that the package ships.

    python -m edgevae_export.make_frames

Eight frames, every sixth of the clip, 96 x 128 pixels, cut so that the moving flower is in them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevae_export.samples import FRAMES

CLIP = Path(__file__).parents[2] / "edgevae" / "clips" / "flower.mp4"


def main() -> None:
    """Write the file beside this module."""
    import av
    from safetensors.numpy import save_file

    with av.open(str(CLIP)) as container:
        frames = [
            f.to_ndarray(width=240, height=136, format="rgb24") for f in container.decode(video=0)
        ]
    save_file({"frames": np.ascontiguousarray(np.stack(frames[::6])[:, 24:120, 64:192])}, FRAMES)


if __name__ == "__main__":
    main()
