"""Frames through an encoder, with nothing around it: what it makes of them, packet by packet."""

import hashlib
import sys
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from misr.frame import Color, Frame
from misr.io.encoder import Encoder, Encoding
from misr.io.repeatable import repeatable

W, H, N = 160, 208, 8  # high enough for x264 to slice
QUICK = {
    "libx264": ("preset", "veryfast"),
    "libx264rgb": ("preset", "veryfast"),
    "libx265": ("preset", "ultrafast"),
    "libsvtav1": ("preset", "12"),
    "libvpx-vp9": ("cpu-used", "8"),
    "libvpx": ("cpu-used", "8"),
    "ffv1": ("slices", "4"),
    "mpeg4": ("qscale", "2"),
    "mpeg2video": ("qscale", "2"),
    "mjpeg": ("qscale", "2"),
}
FORMATS = {
    "libx264rgb": "rgb24",
    "prores_ks": "yuv422p10le",
    "cfhd": "yuv422p10le",
    "huffyuv": "yuv422p",
    "mjpeg": "yuvj420p",
    "png": "rgb24",
    "qtrle": "rgb24",
    "h263p": "yuv420p",
}


def encoding(codec: str, threads: int = 0, size: tuple[int, int] = (W, H)) -> Encoding:
    """An encoder's settings at 25 frames a second, quick ones."""
    pix_fmt = FORMATS.get(codec, "yuv420p")
    rgb, depth = "rgb" in pix_fmt, 10 if "10" in pix_fmt else 8
    subsampling = (1, 1) if rgb else (2, 1) if "422" in pix_fmt else (2, 2)
    full = 1 if pix_fmt == "yuv420p" else 2
    color = Color("rgb" if rgb else "yuv", depth, subsampling, matrix=0 if rgb else 1, range=full)
    tick = Fraction(1, 25)
    own = (QUICK[codec],) if codec in QUICK else ()
    return Encoding(
        codec, pix_fmt, color, *size, time_base=tick, rate=1 / tick, sar=Fraction(1), options=own, threads=threads
    )


def frames(it: Encoding, n: int = N) -> Iterator[Frame]:
    """Coarse blocks that move, with noise."""
    rng = np.random.default_rng(3)
    top, kind = (1 << it.color.depth) - 1, np.uint8 if it.color.depth == 8 else np.uint16
    blocks = rng.integers(0, top * 3 // 4, (it.height // 8 + n, it.width // 8 + n)).repeat(8, 0).repeat(8, 1)
    for k in range(n):
        noisy = blocks[k : k + it.height, 2 * k : 2 * k + it.width] + rng.integers(0, top // 8, (it.height, it.width))
        luma = np.ascontiguousarray(noisy, kind)
        across, down = it.color.subsampling
        chroma = np.ascontiguousarray(luma[::down, ::across])
        yield Frame((luma, chroma, chroma), it.color, k * it.time_base, it.time_base)


def packets(it: Encoding, n: int = N) -> list[bytes]:
    """All that an encoder makes of the frames, its header first."""
    encoder = Encoder(it)
    made = [p for frame in frames(it, n) for p in encoder.push(frame)] + encoder.flush()
    return [encoder.extradata, *(bytes(p) for p in made)]


def digest(it: Encoding, n: int) -> str:
    """Of the packets of n frames."""
    return hashlib.sha256(b"".join(packets(it, n))).hexdigest()


if (
    __name__ == "__main__"
):  # ENCODER ...: digests of clips that are long enough to be looked ahead in, as a child says them
    for name in sys.argv[1:]:
        print(digest(repeatable(encoding(name, size=(322, 242))), 30))
