"""Put a frame of a clip, enlarged by bicubic, beside the same frame of the upscaled clip.

beside.py CLIP UPSCALED PICTURE.png

Takes the frame a fifth into the clip, and of it the square with most fine detail, shown at twice the upscaled clip's size.
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

SIDE, ZOOM, LABEL = 320, 2, 34  # pixels of the upscaled clip across a crop; magnification; height of the captions


def pictures(path: str) -> tuple[av.container.InputContainer, av.VideoStream]:
    """The clip, opened, and its main video stream."""
    clip = av.open(path)
    if not clip.streams.video:
        sys.exit(f"beside: {path} has no pictures")
    clip.streams.video[0].thread_type = "AUTO"
    return clip, clip.streams.video[0]


def frame_at(path: str, number: int) -> np.ndarray:
    """Frame `number` (the last one, when there are fewer), as BGR (h, w, 3)."""
    clip, stream = pictures(path)
    last = None
    with clip:
        for n, frame in enumerate(clip.decode(stream)):
            last = frame
            if n == number:
                break
        if last is None:
            sys.exit(f"beside: {path}: not one frame decodes")
        flags = "BICUBIC", "ACCURATE_RND", "FULL_CHR_H_INT"
        colorspace = 1 if last.colorspace == 2 and last.height >= 720 else None
        return (
            VideoReformatter()
            .reformat(last, format="bgr24", src_colorspace=colorspace, interpolation=interpolation(flags), threads=1)
            .to_ndarray()
        )


def interpolation(names: tuple[str, ...]) -> int:
    """swscale's flags by name."""
    from av.video.reformatter import Interpolation

    return sum(int(Interpolation[name]) for name in names if name in Interpolation.__members__)


def count(path: str) -> int:
    """How many pictures the clip has, without decoding them."""
    clip, stream = pictures(path)
    with clip:
        return sum(1 for packet in clip.demux(stream) if packet.size)


def busiest(picture: np.ndarray, side: int) -> tuple[int, int]:
    """Top and left of the square with most fine detail."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    detail = np.abs(cv2.Laplacian(grey, cv2.CV_32F, ksize=3))
    h, w = grey.shape
    density = cv2.boxFilter(np.minimum(detail, 40), -1, (side, side), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    inside = density[: max(1, h - side + 1), : max(1, w - side + 1)]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    return int(top), int(left)


def captioned(crop: np.ndarray, caption: str) -> np.ndarray:
    """The crop, magnified, with its caption above."""
    shown = cv2.resize(crop, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_NEAREST)
    strip = np.full((LABEL, shown.shape[1], 3), 24, np.uint8)
    cv2.putText(strip, caption, (10, LABEL - 11), cv2.FONT_HERSHEY_DUPLEX, 0.6, (235, 235, 235), 1, cv2.LINE_AA)
    return np.concatenate([strip, shown])


def main(clip: str, upscaled: str, target: str) -> None:
    """Write the picture."""
    number = count(upscaled) // 5
    sharp, plain = frame_at(upscaled, number), frame_at(clip, number)
    h, w = sharp.shape[:2]
    plain = cv2.resize(plain, (w, h), interpolation=cv2.INTER_CUBIC)
    side = min(SIDE, h, w)
    top, left = busiest(sharp, side)
    box = np.s_[top : top + side, left : left + side]
    both = np.concatenate([captioned(plain[box], "bicubic"), captioned(sharp[box], "misr")], axis=1)
    if not cv2.imwrite(target, both):
        sys.exit(f"beside: {target} cannot be written")


if __name__ == "__main__":
    if len(sys.argv) != 4 or Path(sys.argv[3]).suffix.lower() != ".png":
        sys.exit(__doc__)
    main(*sys.argv[1:])
