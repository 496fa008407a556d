"""Stills, numbered sequences, folders and animations: pictures in, pictures out, each file whole or not there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from misr.errors import InputError, OutputError
from misr.frame import Color, Frame
from misr.io.encoder import Encoder, Encoding, configure
from misr.io.opening import reason
from misr.io.planes import Repacker, from_frame, planar_name
from misr.io.reader import ClipInfo, Reader
from misr.machine import scheduling_kept

PICTURE_CODEC = {
    ".png": "png",
    ".jpg": "mjpeg",
    ".jpeg": "mjpeg",
    ".webp": "libwebp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".bmp": "bmp",
    ".ppm": "ppm",
    ".pgm": "pgm",
    ".exr": "exr",
    ".avif": "libsvtav1",
    ".tga": "targa",
    ".jp2": "jpeg2000",
}
READ_ONLY = {".heic", ".heif", ".gif", ".apng"}
SEQUENCE_RATE = Fraction(25)


def is_picture(path: str) -> bool:
    """Whether a name is that of a still (or of pictures in one file that FFmpeg reads as stills)."""
    return Path(path).suffix.lower() in PICTURE_CODEC


def is_sequence(path: str) -> bool:
    """Whether a path is a folder or a %05d pattern."""
    return Path(path).is_dir() or bool(re.search(r"%0?\d*d", path))


def numbered(path: str) -> list[Path]:
    """The files of a sequence in order of their numbers, wherever it starts."""
    if Path(path).is_dir():
        found = [p for p in Path(path).iterdir() if is_picture(p.name) and not p.name.startswith(".")]
        return sorted(found, key=natural)
    pattern = Path(path)
    rule = re.compile(re.sub(r"%0?\d*d", r"(\\d+)", re.escape(pattern.name).replace("\\%", "%"), count=1) + r"\Z")
    if not pattern.parent.is_dir():
        raise InputError(f"{path}: no such folder")
    matches = [(int(m[1]), p) for p in pattern.parent.iterdir() if (m := rule.match(p.name))]
    return [p for _, p in sorted(matches)]


def natural(path: Path) -> list[Any]:
    """Sort key that puts 2 before 10."""
    return [(0, int(t), "") if t.isdigit() else (1, 0, t.lower()) for t in re.split(r"(\d+)", path.name) if t]


class SequenceReader:
    """Numbered pictures as a clip of `rate` frames per second; the same face as Reader."""

    def __init__(
        self, path: str, *, start: Fraction | None = None, end: Fraction | None = None, rate: Fraction = SEQUENCE_RATE
    ) -> None:
        self.path, self.start, self.end, self.rate = path, start, end, rate
        self.files = numbered(path)
        if not self.files:
            raise InputError(f"{path}: no picture in it ({' '.join(sorted(PICTURE_CODEC))})")
        self.damaged: list[Fraction] = []
        first = Reader(self.files[0], upright=True)
        first.close()
        self.info = replace(
            first.info,
            path=path,
            container="image2",
            time_base=1 / rate,
            rate=rate,
            frames=len(self.files),
            duration=len(self.files) / rate,
            start=Fraction(0),
            interlaced="",
        )

    def frames(self, after: Fraction | None = None) -> Iterator[Frame]:
        """Every picture, shown for 1 / rate seconds; from the one at `after` seconds where given."""
        for n, file in enumerate(self.files):
            time = n / self.rate
            if (after is not None and time < after) or (self.start is not None and time < self.start):
                continue
            if self.end is not None and time >= self.end:
                return
            with_one = Reader(file, upright=True)
            frame = next(iter(with_one), None)
            if frame is None:
                raise InputError(f"{file}: not one picture decodes; repair or remove it")
            if (frame.width, frame.height) != (self.info.width, self.info.height):
                raise InputError(
                    f"{file} is {frame.width}x{frame.height}, the sequence began at {self.info.width}x{self.info.height}; "
                    "split it at the change"
                )
            yield replace(frame, time=time, duration=1 / self.rate)
            with_one.close()

    __iter__ = frames

    def close(self) -> None:
        """Nothing is held open between pictures."""


class AnimationReader:
    """Pictures that FFmpeg does not read, through OpenCV: animated WebP, multi-page TIFF, CMYK JPEG."""

    def __init__(self, path: str, *, start: Fraction | None = None, end: Fraction | None = None) -> None:
        self.path, self.start, self.end = path, start, end
        self.damaged: list[Fraction] = []
        pictures, durations_ms = load_animation(path)
        self._pictures = pictures
        self._times = [sum(durations_ms[:i], Fraction(0)) / 1000 for i in range(len(pictures) + 1)]
        h, w = pictures[0].shape[:2]
        total = self._times[-1]
        self.info = ClipInfo(
            path=path,
            container="image2",
            codec="webp",
            width=w,
            height=h,
            color=array_color(pictures[0]),
            pix_fmt=planar_name(array_color(pictures[0])),
            time_base=Fraction(1, 1000),
            rate=Fraction(len(pictures)) / total,
            frames=len(pictures),
            duration=total,
            start=Fraction(0),
            sar=Fraction(1),
            rotation=0,
            interlaced="",
            hdr=(),
            side_data=(),
            video_index=0,
            bit_rate=0,
        )

    def frames(self, after: Fraction | None = None) -> Iterator[Frame]:
        """Every picture with its own duration."""
        for i, picture in enumerate(self._pictures):
            time = self._times[i]
            if (after is not None and time < after) or (self.start is not None and time < self.start):
                continue
            if self.end is not None and time >= self.end:
                return
            yield array_frame(picture, self.info.color, time, self._times[i + 1] - time)

    __iter__ = frames

    def close(self) -> None:
        """All pictures are in memory already."""


def load_animation(path: str) -> tuple[list[Any], list[Fraction]]:
    """Pictures (h, w[, c]) in OpenCV's BGR order, and how long each is shown, in milliseconds."""
    if Path(path).suffix.lower() in (".tif", ".tiff"):
        good, pages = cv2.imreadmulti(path, flags=cv2.IMREAD_UNCHANGED)
        if good and pages:
            return list(pages), [1000 / SEQUENCE_RATE] * len(pages)
    elif Path(path).suffix.lower() in (".jpg", ".jpeg"):
        if (picture := cv2.imread(path, cv2.IMREAD_COLOR)) is not None:
            return [picture], [1000 / SEQUENCE_RATE]
    else:
        good, animation = cv2.imreadanimation(path)
        if good and animation.frames:
            return list(animation.frames), [Fraction(int(d) or 100) for d in animation.durations]
    raise InputError(f"{path}: neither FFmpeg nor OpenCV can read it; convert it to PNG first")


def array_color(picture: Any) -> Color:
    """The colour of an OpenCV picture."""
    depth = 8 if picture.dtype == np.uint8 else 16
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    return Color("gray", depth=depth) if channels == 1 else Color("rgb", depth=depth, alpha=channels == 4)


def array_frame(picture: Any, color: Color, time: Fraction, duration: Fraction) -> Frame:
    """An OpenCV picture as a frame."""
    if color.model == "gray":
        return Frame((picture,), color, time, duration)
    b, g, r, *alpha = (np.ascontiguousarray(picture[..., i]) for i in range(picture.shape[2]))
    return Frame((r, g, b, *alpha), color, time, duration)


def write_picture(path: Path, frame: Frame, encoding: Encoding) -> None:
    """One frame as one file, under its name only when it is whole."""
    part = path.with_name(f".{path.name}.part")
    try:
        if path.suffix.lower() == ".avif":
            write_avif(part, frame, encoding)
        else:
            encoder = Encoder(encoding)
            part.write_bytes(
                b"".join(bytes(p) for p in [*encoder.push(replace(frame, time=Fraction(0))), *encoder.flush()])
            )
        os.replace(part, path)
    except (OSError, av.error.FFmpegError) as e:
        raise OutputError(f"{path}: cannot be written ({reason(e)}); choose another place") from e
    finally:
        part.unlink(missing_ok=True)


def write_avif(path: Path, frame: Frame, encoding: Encoding) -> None:
    """One frame as AVIF, which needs a container."""
    with av.open(str(path), "w", format="avif") as out:
        stream = out.add_stream(encoding.codec, rate=1, options=dict(encoding.options))
        configure(stream, encoding)
        picture = from_frame(frame, encoding.pix_fmt, Repacker())
        picture.pts, picture.time_base = 0, encoding.time_base
        with scheduling_kept():
            packets = [*stream.encode(picture), *stream.encode(None)]
        for packet in packets:
            out.mux(packet)


def picture_suffix(target: str, files: list[Path]) -> str:
    """The extension that pictures get: the target's own, else that of the source's files if it can be written, else .png."""
    suffix = Path(target).suffix.lower()
    if suffix in PICTURE_CODEC:
        return suffix
    first = files[0].suffix.lower() if files else ""
    return first if first in PICTURE_CODEC else ".png"


def sequence_name(target: str, source: list[Path], n: int, suffix: str) -> Path:
    """Where the nth picture of a sequence goes: by the target's pattern, or by the source's own names in a folder."""
    if re.search(r"%0?\d*d", target):
        return Path(target % (number_of(source[n]) if n < len(source) else n + 1))
    return Path(target) / (f"{source[n].stem}{suffix}" if n < len(source) else f"{n + 1:05d}{suffix}")


def number_of(path: Path) -> int:
    """The last number in a file's name."""
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else 1
