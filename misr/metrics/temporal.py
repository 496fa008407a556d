"""How steady a clip is beside its reference: warping error along the reference's motion, and flicker where nothing moves.

Frames are planes (c, h, w) in code values 0-255; motion is found on the mean of the reference's planes. Both measures see
two consecutive frames; the caller leaves out pairs across a cut.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from torch import Tensor

STILL = 2.0  # code values; a pixel is static where nothing within REACH changes by more
REACH = 2  # pixels
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Where the pixels of a frame were in the frame before it.

    flow    (h, w, 2) float32: dx right, dy down, in pixels, from the frame to the one before
    seen    (h, w) bool: the pixel was visible there (flow forward and back agree)
    """

    flow: Array
    seen: Array


def motion(now: Tensor, before: Tensor) -> Motion:
    """Motion of a reference: OpenCV's DIS optical flow (Kroeger et al., ECCV 2016), preset medium, both ways.

    A pixel counts as seen where going there and back misses its start by |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5, the rule of
    Sundaram et al. (ECCV 2010) that Lai et al. use, and lands inside the picture.
    """
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    a, b = gray(now), gray(before)
    flow, back = (finder.calc(p, q, np.zeros((*a.shape, 2), np.float32)) for p, q in ((a, b), (b, a)))
    returned = warped(back, flow)
    miss = np.square(flow + returned).sum(-1)
    length = np.square(flow).sum(-1) + np.square(returned).sum(-1)
    h, w = a.shape
    x, y = np.arange(w) + flow[..., 0], np.arange(h)[:, None] + flow[..., 1]
    inside = (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)
    return Motion(flow, (miss < 0.01 * length + 0.5) & inside)


def warp_error(now: Tensor, before: Tensor, moved: Motion) -> float | None:
    """E_warp of Lai et al. (ECCV 2018) between two frames, times 1000: mean squared difference, white at 1, where seen.

    The frame before is warped onto this one by the reference's motion. Of the reference itself it is what noise, light and the
    flow's own errors leave: a result at that level is as steady as its reference; one below it is smoother. None where
    nothing was seen.
    """
    if not moved.seen.any():
        return None
    difference = host(now) - warped(host(before), moved.flow)
    return float(np.square(difference[moved.seen] / 255).mean() * 1000)


def flicker(result: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor]) -> float | None:
    """Mean absolute change, in code values, of a result's static pixels, less that of the reference's; frames (now, before).

    Static: within 2 pixels nothing of the reference changes by more than 2 code values. 0 for a result as calm as its reference,
    below for a calmer one. None where nothing is static.
    """
    ours, theirs = (np.abs(host(now) - host(before)) for now, before in (reference, result))
    still = cv2.erode((ours.max(-1) <= STILL).astype(np.uint8), np.ones((2 * REACH + 1,) * 2, np.uint8)) > 0
    return float(theirs[still].mean() - ours[still].mean()) if still.any() else None


def gray(frame: Tensor) -> Array:
    """8-bit (h, w) of a frame, for the flow."""
    return np.ascontiguousarray(host(frame).mean(-1).round().clip(0, 255).astype(np.uint8))


def host(frame: Tensor) -> Array:
    """Planes (c, h, w) as an array (h, w, c)."""
    return frame.movedim(0, -1).cpu().double().numpy()


def warped(picture: Array, flow: Array) -> Array:
    """A picture (h, w, c) looked at through a flow: bilinear, edges repeated; float32."""
    h, w = flow.shape[:2]
    at = np.stack(np.meshgrid(np.arange(w), np.arange(h)), -1).astype(np.float32) + flow
    across, down = at[..., 0], at[..., 1]
    found = cv2.remap(picture.astype(np.float32), across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(h, w, -1)
