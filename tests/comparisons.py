"""Clips to compare, and what a page of comparison holds, read back."""

import base64
import json
import re
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

import misr
from misr.evaluation.measure import eight_bit_rgb
from tests import media

MS = Fraction(1, 1000)


def clip(
    folder: Path, name: str, numbers=range(8), *, size=(64, 48), start_ms=0, step_ms=40, pix_fmt="yuv420p"
) -> Path:
    """A lossless clip that shows media's frames of those numbers at number * step_ms."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.mkv"
    with media.av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=1000 // step_ms)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.time_base = MS
        for n in numbers:
            frame = media.frame(n, pix_fmt, *size)
            frame.pts, frame.time_base = start_ms + n * step_ms, MS
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def told(page: Path) -> dict:
    """What a page tells."""
    return json.loads(re.search(r'id="facts">(.*?)</script>', page.read_text())[1])


def pictures(page: Path) -> dict[tuple[int, int], np.ndarray]:
    """R'G'B' (h, w, 3) by (input, moment), as a browser decodes them."""
    found = re.findall(r'id="p(\d+)-(\d+)">([^<]*)<', page.read_text())
    data = {(int(i), int(n)): np.frombuffer(base64.b64decode(text), np.uint8) for i, n, text in found}
    return {key: cv2.imdecode(codes, cv2.IMREAD_COLOR)[..., ::-1] for key, codes in data.items()}


def rgb(path: Path) -> list[np.ndarray]:
    """What a clip's frames are as R'G'B' of 8 bits."""
    return [eight_bit_rgb(f).movedim(0, -1).numpy().astype(np.uint8) for f in misr.open(path, upright=True)]
