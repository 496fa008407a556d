"""Between PyAV's frames and ours, without touching a sample: planar formats are viewed, packed ones are unpacked exactly."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import numpy as np

from misr.errors import InputError, OutputError
from misr.frame import CENTER, FULL, TOPLEFT, Color, Frame, Plane

PLANAR = re.compile(
    r"^(?:yuv(?P<j>j)?(?P<a>a)?(?P<sub>4\d\d)p|(?P<gray>gray)|gbr(?P<ga>a)?p)(?P<float>f32)?(?P<depth>\d+)?(?:le)?$"
)
SUBSAMPLING = {"444": (1, 1), "440": (1, 2), "422": (2, 1), "420": (2, 2), "411": (4, 1), "410": (4, 4)}
UNPACKED = {  # packed or semi-planar format -> planar format with the same samples
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "nv42": "yuv444p",
    "nv20le": "yuv422p10le",
    "p010le": "yuv420p10le",
    "p012le": "yuv420p12le",
    "p016le": "yuv420p16le",
    "p210le": "yuv422p10le",
    "p216le": "yuv422p16le",
    "p410le": "yuv444p10le",
    "p416le": "yuv444p16le",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yvyu422": "yuv422p",
    "y210le": "yuv422p10le",
    "y212le": "yuv422p12le",
    "xv30le": "yuv444p10le",
    "xv36le": "yuv444p12le",
    "vuyx": "yuv444p",
    "vuya": "yuva444p",
    "ayuv": "yuva444p",
    "ayuv64le": "yuva444p16le",
    "vyu444": "yuv444p",
    "rgb24": "gbrp",
    "bgr24": "gbrp",
    "rgb0": "gbrp",
    "bgr0": "gbrp",
    "0rgb": "gbrp",
    "0bgr": "gbrp",
    "rgb8": "gbrp",
    "bgr8": "gbrp",
    "rgb565le": "gbrp",
    "rgb555le": "gbrp",
    "bgr565le": "gbrp",
    "bgr555le": "gbrp",
    "rgb4_byte": "gbrp",
    "bgr4_byte": "gbrp",
    "rgba": "gbrap",
    "bgra": "gbrap",
    "argb": "gbrap",
    "abgr": "gbrap",
    "pal8": "gbrap",
    "x2rgb10le": "gbrp10le",
    "x2bgr10le": "gbrp10le",
    "rgb48le": "gbrp16le",
    "bgr48le": "gbrp16le",
    "rgb48be": "gbrp16le",
    "bgr48be": "gbrp16le",
    "rgba64le": "gbrap16le",
    "bgra64le": "gbrap16le",
    "rgba64be": "gbrap16le",
    "bgra64be": "gbrap16le",
    "monow": "gray",
    "monob": "gray",
}
INTERLEAVED = {"ya8": (8, np.uint8), "ya16le": (16, np.uint16)}  # gray with alpha has no planar form


COARSE = {
    "pal8",
    "rgb8",
    "bgr8",
    "rgb4_byte",
    "bgr4_byte",
    "rgb565le",
    "rgb555le",
    "bgr565le",
    "bgr555le",
    "monow",
    "monob",
}  # lose colours


STILLS = {"mjpeg", "tiff", "bmp", "pgm", "pam", "targa", "jpeg2000", "webp"}


def unpacked(pix_fmt: str) -> str:
    """The planar little-endian format that holds the same samples."""
    if pix_fmt.endswith("be") and pix_fmt not in UNPACKED:
        pix_fmt = pix_fmt[:-2] + "le"
    return UNPACKED.get(pix_fmt, pix_fmt)


def color_of(pix_fmt: str) -> Color | None:
    """Model, depth, subsampling and alpha of a pixel format (as its planar form); None when misr cannot hold it."""
    if pix_fmt.removesuffix("be").removesuffix("le") in ("ya8", "ya16"):
        return Color("gray", depth=16 if "16" in pix_fmt else 8, alpha=True)
    m = PLANAR.match(unpacked(pix_fmt))
    if not m or m["depth"] == "32":  # 32-bit integers: FFmpeg has the names, and nothing that converts them
        return None
    depth = 32 if m["float"] else int(m["depth"] or 8)
    if m["gray"]:
        return Color("gray", depth=depth)
    if not m["sub"]:
        return Color("rgb", depth=depth, alpha=bool(m["ga"]))
    return Color("yuv", depth=depth, subsampling=SUBSAMPLING[m["sub"]], alpha=bool(m["a"]), range=FULL if m["j"] else 0)


def planar_name(color: Color) -> str:
    """The FFmpeg name of the planar format of a colour."""
    if color.model == "gray" and color.alpha:
        return "ya8" if color.depth == 8 else "ya16le"
    if color.model == "gray":
        stem = "gray"
    elif color.model == "rgb":
        stem = "gbrap" if color.alpha else "gbrp"
    else:
        sub = next(k for k, v in SUBSAMPLING.items() if v == color.subsampling)
        stem = f"yuv{'a' if color.alpha else ''}{sub}p"
    return stem + ("f32le" if color.depth == 32 else "" if color.depth == 8 else f"{color.depth}le")


def read_color(frame: av.VideoFrame, codec: str = "") -> Color:
    """The colour of a decoded frame, tags included; InputError for formats outside YUV, gray and RGB of 8 to 16 bit or float."""
    color = color_of(frame.format.name)
    if color is None or not (8 <= color.depth <= 16 or color.depth == 32):
        raise InputError(
            f"pixel format {frame.format.name} is not one misr reads; convert it first (ffmpeg -pix_fmt yuv444p16le)"
        )
    tagged = int(frame.color_range)
    if not tagged and color.model == "gray" and (color.depth == 32 or codec in STILLS):
        tagged = FULL  # floats go from 0 to 1, so their integers use the whole range; so do photographs
    color = replace(
        color,
        matrix=int(frame.colorspace),
        range=color.range or tagged,
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
    )
    return replace(color, siting=siting_of(frame, color, codec))


def siting_of(frame: av.VideoFrame, color: Color, codec: str) -> int:
    """Chroma location: as tagged (PyAV 19), else what the standards of codec and colour say: JPEG centre, BT.2100 top left."""
    told = int(getattr(frame, "chroma_location", 0) or 0)
    if told or color.subsampling == (1, 1) or color.model != "yuv":
        return told
    if codec in ("mjpeg", "jpeg", "webp", "mpeg1video"):
        return CENTER
    return TOPLEFT if color.matrix == 9 and color.transfer in (16, 18) and color.subsampling == (2, 2) else 0


class Repacker:
    """One shared software scaler, on one thread.

    PyAV 18 keeps a context per frame otherwise, which costs memory; and with threads of its own, swscale got 26 of
    8,400 repackings of packed formats wrong at the border of two slices (none of 8,400 on one thread).
    """

    def __init__(self) -> None:
        self._scaler = av.video.reformatter.VideoReformatter()

    def __call__(self, frame: av.VideoFrame, pix_fmt: str, size: tuple[int, int] | None = None) -> av.VideoFrame:
        """The frame in another packing of the same samples, or (with size) a carrier of its side data of that size."""
        w, h = size or (frame.width, frame.height)
        return self._scaler.reformat(frame, w, h, pix_fmt, interpolation="POINT", threads=1)


def to_frame(frame: av.VideoFrame, color: Color, time: Fraction, duration: Fraction, repack: Repacker) -> Frame:
    """A decoded frame as planes that view its memory; packed formats are unpacked into a new one."""
    name = frame.format.name
    keep = frame if side_data_names(frame) else None
    if unpacked(name) in INTERLEAVED:
        frame = frame if name in INTERLEAVED else repack(frame, unpacked(name))
        both = samples(frame.planes[0], INTERLEAVED[unpacked(name)][1], frame.width * 2, frame.height)
        return Frame((both[:, ::2].copy(), both[:, 1::2].copy()), color, time, duration, keep)
    if name[3:6] in ("555", "565"):
        frame = repack(frame, "rgb24")  # widens 31 to 255; straight to planes it would be 248
    planar = planar_name(replace(color, range=0))
    if unpacked(name) != name or name.replace("yuvj", "yuv") != planar:
        frame = repack(frame, planar if not name.startswith("yuvj") else name)
    dtype: Any = np.uint8 if color.depth == 8 else np.float32 if color.depth == 32 else np.uint16
    planes: list[Plane] = []
    for i, plane in enumerate(frame.planes):
        chroma = color.model == "yuv" and i in (1, 2)
        w = -(-frame.width // color.subsampling[0]) if chroma else frame.width
        h = -(-frame.height // color.subsampling[1]) if chroma else frame.height
        planes.append(samples(plane, dtype, w, h))
    if color.model == "rgb":
        planes = [planes[2], planes[0], planes[1], *planes[3:]]  # G, B, R in memory
    return Frame(tuple(planes), color, time, duration, keep)


def samples(plane: av.video.plane.VideoPlane, dtype: Any, w: int, h: int) -> Plane:
    """A view (h, w) of a plane's memory, line padding cut off."""
    line = plane.line_size // np.dtype(dtype).itemsize
    return np.frombuffer(plane, dtype)[: line * h].reshape(h, line)[:, :w]


def from_frame(frame: Frame, pix_fmt: str, repack: Repacker) -> av.VideoFrame:
    """Our frame as a PyAV frame of pix_fmt, colour tags set; side data of the source frame rides along."""
    color, planar = frame.color, planar_name(frame.color)
    if frame.source is not None:
        out = repack(frame.source, planar, (frame.width, frame.height))
        out.make_writable()
    else:
        out = av.VideoFrame(frame.width, frame.height, planar)
    planes = frame.planes
    if color.model == "rgb":
        planes = (planes[1], planes[2], planes[0], *planes[3:])
    if color.model == "gray" and color.alpha:
        planes = (np.stack(planes, -1).reshape(frame.height, -1),)
    for plane, source in zip(out.planes, planes, strict=True):
        samples(plane, source.dtype, source.shape[1], source.shape[0])[...] = source
    if pix_fmt != planar:
        out.colorspace, out.color_range = color.matrix, color.range
        out = repack(out, pix_fmt)
    tag(out, color)
    return out


def tag(frame: av.VideoFrame, color: Color) -> None:
    """Write the colour tags of a frame."""
    frame.colorspace, frame.color_range = color.matrix, color.range
    frame.color_primaries, frame.color_trc = color.primaries, color.transfer
    if color.siting and hasattr(frame, "chroma_location"):
        frame.chroma_location = color.siting


def side_data_names(frame: av.VideoFrame) -> list[str]:
    """Names of a frame's side data; PyAV 18 iterates items, 19 iterates types. OTHER where PyAV cannot name a kind (EXIF)."""
    try:
        kinds = [getattr(item, "type", item) for item in frame.side_data]
    except ValueError:
        return ["OTHER"]
    return [str(getattr(kind, "name", kind)) for kind in kinds]


def side_data(frame: av.VideoFrame, kind: str) -> bytes | None:
    """One kind of side data as bytes, None when absent."""
    try:
        item = frame.side_data.get(kind)
    except ValueError:
        return None
    return None if item is None else bytes(item)


def best_format(formats: list[str], color: Color) -> str:
    """The format of an encoder that keeps most of a colour: model, then depth, subsampling, alpha; least excess after that."""

    def loss(name: str) -> tuple[int, ...]:
        c = color_of(name)
        if c is None or c.depth == 32 and color.depth != 32:
            return (9,)
        lost_colour = int(color.model != "gray" and c.model == "gray")
        gray = color.model == "gray"  # at home in YUV, where its codes stay as they are; any chroma will do
        other_model = int(c.model != color.model) + int(gray and c.model == "rgb")
        chroma = (
            list(zip(c.subsampling, (2, 2) if gray else color.subsampling, strict=True)) if c.model == "yuv" else []
        )
        coarser, finer = sum(max(0, a - b) for a, b in chroma), sum(max(0, b - a) for a, b in chroma)
        packed = int(unpacked(name) != name) + int("yuvj" in name)
        return (
            lost_colour,
            int(name in COARSE),
            int(color.alpha and not c.alpha),
            max(0, color.depth - c.depth),
            other_model,
            coarser,
            abs(c.depth - color.depth),
            int(c.alpha and not color.alpha),
            finer,
            packed,
        )

    best = min(formats, key=loss, default=None)
    if best is None or loss(best) == (9,):
        raise OutputError(f"no pixel format of this encoder can hold {planar_name(color)}; choose another -c:v")
    return best
