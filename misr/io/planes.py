"""Between PyAV's frames and ours, without touching a sample: planar formats are viewed, packed ones are unpacked exactly."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
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


CORNER, CARRIERS = 16, 8  # pixels of a picture that a carrier of its side data is made of; sizes a thread keeps ready
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


class Repacker(threading.local):
    """One software scaler for all frames of a thread, itself on one thread.

    PyAV 18 keeps a context per frame otherwise, which costs memory; and with threads of its own, swscale got 26 of
    8,400 repackings of packed formats wrong at the border of two slices (none of 8,400 on one thread).
    """

    def __init__(self) -> None:
        self._scaler = av.video.reformatter.VideoReformatter()
        self._carriers: dict[tuple[Any, ...], av.filter.Graph] = {}

    def __call__(self, frame: av.VideoFrame, pix_fmt: str, size: tuple[int, int] | None = None) -> av.VideoFrame:
        """The frame in another packing of the same samples, or another size of it."""
        w, h = size or (frame.width, frame.height)
        return self._scaler.reformat(frame, w, h, pix_fmt, interpolation="POINT", threads=1)

    def carrier(self, frame: av.VideoFrame, pix_fmt: str, size: tuple[int, int]) -> av.VideoFrame:
        """A writable frame of that format and size with all that belongs to `frame` but its samples.

        That is side data, metadata, flags and the shape of pixels, which PyAV shows to nobody: FFmpeg's filters carry
        it, and change it where pixels change shape. A corner padded to the size takes a tenth of scaling the picture.
        """
        key = (frame.format.name, frame.width, frame.height, pix_fmt, *size)
        if key not in self._carriers:
            if len(self._carriers) >= CARRIERS:
                self._carriers.clear()
            self._carriers[key] = carrier_graph(frame, pix_fmt, size)
        graph = self._carriers[key]
        graph.push(frame)
        out = graph.pull()
        assert isinstance(out, av.VideoFrame)
        out.make_writable()
        return out


def carrier_graph(frame: av.VideoFrame, pix_fmt: str, size: tuple[int, int]) -> av.filter.Graph:
    """Filters that make carriers for frames like this one; see Repacker.carrier."""
    (w, h), color, corner = size, color_of(pix_fmt), min(frame.width, frame.height, *size) >= CORNER
    fx, fy = color.subsampling if color else (1, 1)
    form = ("format", pix_fmt)
    chain = [("scale", f"{w}:{h}:flags=neighbor"), form]
    if corner and w * frame.height == h * frame.width and w % fx == h % fy == 0:
        chain = [("crop", f"{CORNER}:{CORNER}:0:0"), form, ("pad", f"{w}:{h}"), form]  # pad keeps the shape of pixels
    graph = av.filter.Graph()
    graph.threads = 1
    args = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000:pixel_aspect=1/1"
    nodes = [graph.add("buffer", args), *(graph.add(*one) for one in chain), graph.add("buffersink")]
    for a, b in pairwise(nodes):
        a.link_to(b)
    graph.configure()
    return graph


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
    rows = np.frombuffer(plane, dtype)[: abs(line) * h].reshape(h, abs(line))[:, :w]
    return rows if line > 0 else rows[::-1].copy()  # bottom line first (FFmpeg's vflip), which torch cannot view


def from_frame(frame: Frame, pix_fmt: str, repack: Repacker) -> av.VideoFrame:
    """Our frame as a PyAV frame of pix_fmt, colour tags set; side data of the source frame rides along."""
    color, planar = frame.color, planar_name(frame.color)
    if pix_fmt == planar.replace("yuv", "yuvj", 1):
        planar = pix_fmt  # the same planes
    if frame.source is not None:
        out = repack.carrier(frame.source, planar, (frame.width, frame.height))
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
    if pix_fmt in ("p010le", "p012le", "p016le") and frame.width % 2:  # swscale forgets the last column of chroma
        last = np.stack([p[:, -1] for p in frame.planes[1:3]], 1)
        samples(out.planes[1], np.uint16, frame.width + 1, last.shape[0])[:, -2:] = last << (16 - color.depth)
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
