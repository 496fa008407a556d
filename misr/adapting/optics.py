"""The camera of a clip, told from its own frames: shrunk through the right one, they are as sharp as they were.

What the world shows looks alike at every scale, so a frame seen through the camera once more, at a scale as coarse, must reach
as far towards Nyquist as the frame itself does. The frame is already soft: of its Gaussian a share 1 / scale is left on the
coarser grid, and the camera's is sigma = fitted / sqrt(1 - 1 / scale^2). On clips of ../shared/data/train made x2 smaller by
0.5 and 0.8 this gives 0.46 and 0.75 on average, 0.15 off at times; antialiased bicubic looks like 0.3. A camera believed
softer than it is makes pictures too sharp, and every measure that rests on it praises that: on a clip made by bicubic and
taken for 0.43 hidden frames said 1.2 dB better, the truth 1.5 dB worse. So a Gaussian is meant only where it is far from bicubic.

And only where it is asked for: contents that are soft themselves look just like it. An old film made smaller by bicubic was
taken for 0.64; hidden frames said 1.1 dB better, and the film shrunk once more 1.2, the truth 3.5 dB worse.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from misr.registration import aliasing
from misr.train.degrade import Plane, imaged, rounded
from misr.train.scenes import detail
from misr.train.valid import spread

TRIED = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # LR pixels
PLAIN = 0.6  # below which a camera is taken for antialiased bicubic, as that of the shipped models: two errors above its 0.3
WIDEST = 0.8  # what is softer was enlarged, or smoothed by a codec; no camera explains it
MOST = 6  # frames
NOTHING = 0.003  # aliasing of frames without detail


def fitted(clips: Sequence[Plane], scale: int) -> float:
    """Sigma in LR pixels of the camera's Gaussian, 0 for antialiased bicubic, of stacks (t, h, w)."""
    frames = [sharpest(clip) for clip in spread(clips, MOST)]
    own = float(np.mean([aliasing(frame) for frame in frames]))
    if own < NOTHING:
        return 0.0
    again = [float(np.mean([aliasing(shrunk(f, scale, sigma)) for f in frames])) for sigma in TRIED]
    falling = np.minimum.accumulate(again)
    found = float(np.interp(-np.log(own + NOTHING), -np.log(falling + NOTHING), TRIED))
    sigma = min(WIDEST, found / (1 - 1 / scale**2) ** 0.5)
    return 0.0 if sigma < PLAIN else round(sigma, 2)


def sharpest(clip: Plane) -> Plane:
    """The frame (h, w) of a stack that has most detail."""
    return max(clip, key=lambda frame: detail(torch.from_numpy(frame)))


def shrunk(frame: Plane, scale: int, sigma: float) -> Plane:
    """A frame seen through a camera once more."""
    h, w = (n // scale * scale for n in frame.shape)
    sharp = torch.from_numpy(frame[:h, :w].copy())[None, None].float()
    return rounded(imaged(sharp, scale, sigma)[0, 0])


def named(sigma: float) -> str:
    """The camera in words."""
    return f"a Gaussian of {sigma:g} pixels and the pixel's box" if sigma else "antialiased bicubic"


def hint(sigma: float) -> str:
    """What there is to say of a clip that looks as if such a camera had made it."""
    return (
        f"the clip is as soft as {named(sigma)} would make it; if that is its lens, and not what it shows, "
        "--optics fit learns to undo it"
    )
