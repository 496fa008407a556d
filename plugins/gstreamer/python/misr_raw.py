"""Raw video of GStreamer as misr's planes, and back.

GStreamer tells of a format where each component lies: its plane, its first byte, the bytes from sample to sample, the bits below
it. One rule reads and writes them all; FORMATS are those whose samples begin at whole bytes and have one depth.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo  # noqa: E402

FORMATS = (
    "I420, YV12, NV12, NV21, Y42B, NV16, NV61, YUY2, UYVY, YVYU, VYUY, Y444, NV24, v308, IYU2, Y41B, YUV9, YVU9, "
    "A420, AV12, AYUV, VUYA, I420_10LE, I422_10LE, Y444_10LE, P010_10LE, A420_10LE, A422_10LE, A444_10LE, "
    "I420_12LE, I422_12LE, Y444_12LE, P012_LE, P016_LE, v216, Y444_16LE, AYUV64, GRAY8, GRAY16_LE, RGB, BGR, RGBx, "
    "BGRx, xRGB, xBGR, RGBA, BGRA, ARGB, ABGR, GBR, GBRA, RGBP, BGRP, GBR_10LE, GBRA_10LE, GBR_12LE, GBRA_12LE, "
    "RGBA64_LE, BGRA64_LE, ARGB64_LE, ABGR64_LE, ARGB64"
)
SITING = {"jpeg": 2, "none": 2, "mpeg2": 1, "v-cosited": 4, "cosited": 3, "dv": 3}  # names of caps -> H.273 type + 1
BEYOND_SIZE = (  # metas that speak of places in the picture: on a larger one they would be wrong
    GstVideo.video_crop_meta_api_get_type(),
    GstVideo.video_region_of_interest_meta_api_get_type(),
    GstVideo.video_overlay_composition_meta_api_get_type(),
)
OUTSIDE = Gst.BufferCopyFlags.FLAGS | Gst.BufferCopyFlags.TIMESTAMPS | Gst.BufferCopyFlags.META
WHOLE = 2**64 - 1


class Raw:
    """How buffers of fixed caps hold their samples; ValueError for caps that misr cannot take."""

    def __init__(self, caps: Gst.Caps) -> None:
        try:
            self.info = GstVideo.VideoInfo.new_from_caps(caps)
        except TypeError:  # how the bindings say that there is none
            self.info = None
        if self.info is None or self.info.finfo.name not in FORMATS.split(", "):
            raise ValueError(
                f"{caps.to_string()} is not raw video that misr takes; put videoconvert before misrupscale"
            )
        modes = GstVideo.VideoInterlaceMode
        if self.info.interlace_mode not in (modes.PROGRESSIVE, modes.MIXED):  # mixed: each buffer says what it is
            raise ValueError("the video is interlaced; put deinterlace before misrupscale")
        self.format, self.width, self.height = self.info.finfo, self.info.width, self.info.height
        self.stride, self.offset, self.bytes = list(self.info.stride), list(self.info.offset), self.info.size
        self.fps = Fraction(self.info.fps_n, self.info.fps_d)  # 0 where it varies or is not known
        self.site = caps.get_structure(0).get_string("chroma-site")

    @cached_property
    def color(self) -> Any:
        """The misr.Color: as the caps say, and for what they leave out as GStreamer reads such a size and format."""
        import misr

        f, told, flag = self.format, self.info.colorimetry, GstVideo.VideoFormatFlags
        return misr.Color(
            "rgb" if f.flags & flag.RGB else "gray" if f.flags & flag.GRAY else "yuv",
            depth=f.depth[0],
            subsampling=(1 << f.w_sub[1], 1 << f.h_sub[1]) if f.n_components > 1 else (1, 1),
            alpha=f.n_components == 4,
            matrix=GstVideo.video_color_matrix_to_iso(told.matrix),
            range={1: 2, 2: 1}.get(int(told.range), 0),  # GStreamer: 1 full, 2 limited
            primaries=GstVideo.video_color_primaries_to_iso(told.primaries),
            transfer=GstVideo.video_transfer_function_to_iso(told.transfer),
            siting=SITING.get(self.site, 0),  # of the caps: VideoInfo of 1.22 goes by height, whatever they say
        )

    def read(self, buffer: Gst.Buffer) -> Any:
        """The buffer's picture as a misr.Frame of arrays of its own; ValueError for a field or too few bytes."""
        import misr

        if int(buffer.get_flags()) & int(GstVideo.VideoBufferFlags.INTERLACED):
            raise ValueError("the video is interlaced here; put deinterlace before misrupscale")
        meta = GstVideo.buffer_get_video_meta(buffer)  # rows of another length than the caps have by themselves
        stride, offset = (list(meta.stride), list(meta.offset)) if meta else (self.stride, self.offset)
        try:
            with buffer.map(Gst.MapFlags.READ) as memory:
                views = list(self.components(memory.data, stride, offset))
                planes = tuple(view >> shift for view, shift in views)
                del views  # arrays upon the memory, which is to be unmapped
        except (ValueError, TypeError):  # numpy's word for rows beyond the memory
            size = f"{self.width}x{self.height} {self.format.name}"
            raise ValueError(
                f"a buffer of {buffer.get_size()} bytes is too small for {size}; look at what comes before misrupscale"
            ) from None
        return misr.Frame(planes, self.color)

    def write(self, frame: Any, shell: Gst.Buffer) -> Gst.Buffer:
        """A new buffer with a misr.Frame of this size, and with the times, flags and metas of the shell."""
        import numpy as np

        buffer = Gst.Buffer.new_allocate(None, self.bytes, None)
        with buffer.map(Gst.MapFlags.WRITE) as memory:
            np.ndarray(self.bytes, np.uint8, memory.data).fill(255)  # the x of RGBx: opaque, should one take it for A
            parts = self.components(memory.data, self.stride, self.offset)
            for (view, shift), plane in zip(parts, frame.planes, strict=True):
                np.left_shift(plane, shift, out=view)
            del view, parts
        buffer.copy_into(shell, OUTSIDE, 0, WHOLE)
        return buffer

    def components(self, data: memoryview, stride: list[int], offset: list[int]) -> Iterator[tuple[Any, int]]:
        """Each component as an array (h, w) upon the memory, and how many unused bits lie below its samples."""
        import numpy as np

        f = self.format
        for i in range(f.n_components):
            wide = f.depth[i] > 8
            within = f.poffset[i] << (wide and f.poffset[i] % 2)  # of P010 and its kin GStreamer gives it in samples
            shape = -(-self.height >> f.h_sub[i]), -(-self.width >> f.w_sub[i])
            start, steps = offset[f.plane[i]] + within, (stride[f.plane[i]], f.pixel_stride[i])
            yield np.ndarray(shape, "<u2" if wide else np.uint8, data, start, steps), f.shift[i]


def shell_of(buffer: Gst.Buffer) -> Gst.Buffer:
    """The buffer without its memory, which goes back to its owner while the picture waits for its neighbours."""
    shell = Gst.Buffer.new()
    shell.copy_into(buffer, OUTSIDE, 0, WHOLE)
    for kind in BEYOND_SIZE:
        while (meta := shell.get_meta(kind)) and shell.remove_meta(meta):
            pass
    return shell
