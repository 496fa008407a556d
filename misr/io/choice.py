"""Which encoder, which pixel format, which settings, for a clip and a container."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction

import av

from misr.errors import OutputError
from misr.frame import CENTER, FULL, LIMITED, Color
from misr.io.encoder import SITED, Encoding, check_options, find_encoder
from misr.io.planes import best_format, color_of, planar_name
from misr.io.reader import ClipInfo

DEFAULTS: dict[str, dict[str, str]] = {  # visually lossless settings; -crf, -preset and `--` override them
    "libx264": {"crf": "17"},
    "libx264rgb": {"crf": "12"},
    "libx265": {"crf": "19"},
    "libsvtav1": {"crf": "25", "preset": "7"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"},
    "libvpx": {"crf": "10", "b": "8M"},
    "mpeg4": {"qscale": "2"},
    "mpeg2video": {"qscale": "2"},
    "mjpeg": {"qscale": "2"},
    "ffv1": {"level": "3", "slicecrc": "1"},
    "libwebp_anim": {"quality": "90"},
    "libwebp": {"quality": "92"},
}
INTERMEDIATE = {
    "prores": "prores_ks",
    "dnxhd": "dnxhd",
    "ffv1": "ffv1",
    "utvideo": "utvideo",
    "huffyuv": "huffyuv",
    "ffvhuff": "ffvhuff",
    "magicyuv": "magicyuv",
    "cfhd": "cfhd",
    "qtrle": "qtrle",
}  # kept, where the container takes them
TAKES = {  # of those, what each container holds
    "mov": {"prores_ks", "dnxhd", "cfhd", "qtrle"},
    "matroska": {"prores_ks", "ffv1"},
    "nut": {"ffv1", "utvideo", "huffyuv", "ffvhuff", "magicyuv", "cfhd"},
    "avi": {"ffv1", "utvideo", "huffyuv", "ffvhuff", "magicyuv", "cfhd"},
}
ALPHA_CODEC = {  # also for intermediates that the container does not hold
    "mov": "prores_ks",
    "matroska": "ffv1",
    "webm": "libvpx-vp9",
    "nut": "ffv1",
    "avi": "ffv1",
}
FIXED_CODEC = {
    "gif": "gif",
    "apng": "apng",
    "webp": "libwebp_anim",
    "yuv4mpegpipe": "rawvideo",
    "avif": "libsvtav1",
    "mpeg": "mpeg2video",
    "vob": "mpeg2video",
    "dvd": "mpeg2video",
    "svcd": "mpeg2video",
}
PICTURE_SOURCES = {"gif", "apng", "png", "webp", "bmp", "tiff", "ppm", "targa", "exr"}
EVEN_CODECS = {
    "libx264",
    "libx265",
    "mpeg2video",
    "h264_nvenc",
    "hevc_nvenc",
    "av1_nvenc",
    "h264_qsv",
    "hevc_qsv",
    "h264_amf",
    "hevc_amf",
}
KEEPS_SAR = {"mp4", "mov", "3gp"}  # containers that are told the pixel aspect; PyAV 18 tells no other,
TELLS_SAR = {
    "libx264",
    "libx264rgb",
    "libx265",
    "mpeg4",
    "mpeg2video",
    "mpeg1video",
    "mjpeg",
    "png",
    "h264_nvenc",
    "hevc_nvenc",
    "h264_qsv",
    "hevc_qsv",
    "h264_amf",
    "hevc_amf",
}  # but these say it in their own streams
REFUSED = {
    f"libvpx-vp9 {name}" for name in ("gbrap", "yuva422p", "yuva444p")
}  # listed by FFmpeg, refused by the encoder
FINEST_TICK = 1_000_000  # encoders and MP4 choke on nanoseconds


def default_codec(container: str, source: ClipInfo, color: Color) -> str:
    """The encoder when none is asked for: the source's own if it is an intermediate, else by container, depth and alpha."""
    if container in FIXED_CODEC:
        return FIXED_CODEC[container]
    own = INTERMEDIATE.get(source.codec, "")
    if own in TAKES.get(container, ()) and (not color.alpha or own in ("prores_ks", "ffv1", "qtrle")):
        return own
    if container in ALPHA_CODEC and (color.alpha or own and container != "webm"):
        return ALPHA_CODEC[container]
    if container == "webm":
        return (
            "libsvtav1" if color.model == "yuv" and color.subsampling == (2, 2) and color.depth <= 10 else "libvpx-vp9"
        )
    if container == "nut":
        return "rawvideo"
    if container == "avi":  # it has no order but decoding order, which H.264 readers stumble over
        if source.codec == "mjpeg":
            return "mjpeg"
        return "mpeg4" if color.depth == 8 and color.model != "rgb" and color.subsampling == (2, 2) else "ffv1"
    if color.depth > 12 and container in ("matroska", "nut", "avi"):
        return "ffv1"
    if color.model == "rgb":
        return "libx264rgb" if color.depth == 8 else "libx265"
    if container == "mxf":
        return "mpeg2video"
    return "libx264" if color.depth == 8 else "libx265"


def plan_encoding(
    source: ClipInfo,
    container: str,
    size: tuple[int, int],
    *,
    codec: str | None,
    pix_fmt: str | None,
    options: dict[str, str],
    bit_rate: int = 0,
    threads: int = 0,
    sar: Fraction | None = None,
) -> Encoding:
    """Settings for a clip that becomes `size` (width, height), in a container named as FFmpeg names it."""
    notes = []
    name = codec or default_codec(container, source, source.color)
    it = find_encoder(name)
    color = replace(source.color, range=source.color.range)
    formats = (
        ["pal8"] if name == "gif" else [f.name for f in it.video_formats or [] if f"{name} {f.name}" not in REFUSED]
    )
    if playable := plain_video(source, container, codec, pix_fmt):
        name, pix_fmt = playable
        it, formats = find_encoder(name), [pix_fmt]
    why = "what players show" if playable else "asked" if pix_fmt else f"the closest {name} has"
    chosen = pix_fmt or (best_format(formats, color) if formats else planar_name(replace(color, range=0)))
    carrier = color_of(chosen)
    if carrier is None or formats and chosen not in formats:
        raise OutputError(f"{name} does not take pixel format {chosen}; it takes {', '.join(formats[:12])}")
    sited = hasattr(av.VideoFrame, "chroma_location") or name == "rawvideo" and container in SITED
    color = restated(color, carrier, name, sited=sited)
    if layout(color) != layout(source.color):
        notes.append(f"pixels: {source.pix_fmt} becomes {chosen} ({why})")
    if source.color.alpha and not carrier.alpha:
        notes.append(f"alpha is dropped: {name} cannot hold it; .mov (ProRes 4444), .mkv (FFV1) and .webm (VP9) can")
    fixed = (
        {"bf": "0"} if container == "avi" and name.startswith("libx26") else {}
    )  # AVI has no order but decoding order
    own = special(name, chosen, color, source, size)
    options = {
        k: f"{own[k]}:{v}" if k.endswith("-params") and k in own else v for k, v in options.items()
    }  # of two, the last counts
    merged = {**DEFAULTS.get(name, {}), **fixed, **own, **options}
    if bit_rate:
        merged = {k: v for k, v in merged.items() if k not in ("crf", "qscale") or k in options}
    check_options(it, merged)
    tick = source.time_base if source.time_base.denominator <= FINEST_TICK else Fraction(1, FINEST_TICK)
    if name in ("mpeg4", "mpeg2video"):  # 16 bit of clock in the bitstream
        tick = 1 / source.rate if name == "mpeg2video" else tick if tick.denominator < 65536 else Fraction(1, 60000)
    rate = (
        min(source.rate, Fraction(240)) if name == "libsvtav1" else source.rate
    )  # more it refuses; a wild clip may claim 600
    return Encoding(
        codec=name,
        pix_fmt=chosen,
        color=color,
        width=size[0],
        height=size[1],
        time_base=tick,
        rate=rate,
        sar=source.sar if sar is None else sar,
        options=tuple(sorted(merged.items())),
        bit_rate=bit_rate,
        threads=threads,
        notes=tuple(notes),
    )


def layout(color: Color) -> tuple[object, ...]:
    """What of a colour is lost or changed by another pixel format."""
    return color.model, color.depth, color.subsampling, color.alpha


def plain_video(source: ClipInfo, container: str, codec: str | None, pix_fmt: str | None) -> tuple[str, str] | None:
    """Pictures and RGB clips that become a video for players, not for editing, go to 4:2:0: hardly a player shows RGB H.264."""
    for_players = container in ("mp4", "webm", "mpegts", "flv", "3gp", "m4v")
    keeps = source.color.model != "rgb" or codec or pix_fmt or source.color.alpha and container == "webm"
    if keeps or not (for_players or container in ("matroska", "mov", "avi") and source.codec in PICTURE_SOURCES):
        return None
    deep = source.color.depth > 8
    name = "libsvtav1" if container == "webm" else "libx265" if deep else "libx264"
    return name, "yuv420p10le" if deep else "yuv420p"


def restated(source: Color, carrier: Color, codec: str, *, sited: bool) -> Color:
    """The colour of the output: the source's tags on the carrier's model, depth and sampling.

    sited   it can say where chroma sits
    """
    color = replace(
        source, model=carrier.model, depth=carrier.depth, subsampling=carrier.subsampling, alpha=carrier.alpha
    )
    if carrier.model == "rgb":
        return color if source.model == "rgb" else replace(color, matrix=0, range=FULL, siting=0)
    if codec == "mjpeg":  # JFIF: BT.601, full range, chroma centred
        return replace(color, matrix=5, range=FULL, siting=CENTER)
    if source.model == "rgb":  # RGB has no matrix to keep; HD's is what players expect, and it is tagged
        return replace(color, matrix=1, range=carrier.range or LIMITED, siting=0)
    if codec in ("libwebp", "libwebp_anim", "mpeg1video"):
        siting = CENTER
    else:  # where PyAV 18 cannot write the tag, an encoder's reader takes chroma for left-sited
        siting = 0 if color.siting == CENTER and not sited else color.siting
    return replace(color, range=carrier.range or color.range, siting=siting)


def special(name: str, pix_fmt: str, color: Color, source: ClipInfo, size: tuple[int, int]) -> dict[str, str]:
    """Settings that follow from the pictures: profiles, HDR metadata, slices."""
    if name == "prores_ks":
        return {"profile": "4444" if "444" in pix_fmt else "hq", "vendor": "apl0"} | (
            {"alpha_bits": "16"} if color.alpha else {}
        )
    if name == "dnxhd":
        return {
            "profile": "dnxhr_444"
            if "444" in pix_fmt or "gbr" in pix_fmt
            else "dnxhr_hqx"
            if color.depth > 8
            else "dnxhr_hq"
        }
    if name == "libx265":
        narrow = (
            ["cutree=0"] if size[0] < 64 else []
        )  # from 33 to 48 wide, x265 writes past its memory and dies (measured)
        return {"x265-params": ":".join(["log-level=error", *narrow, *x265_hdr(source)])}
    if name == "ffv1":
        return {"slices": str(ffv1_slices(size, color))}
    if name == "libx264":
        params = x264_hdr(source)
        return {"x264-params": ":".join(params)} if params else {}
    if name == "libsvtav1":
        params = svt_hdr(source)
        return {"svtav1-params": ":".join(params)} if params else {}
    return {}


def ffv1_slices(size: tuple[int, int], color: Color) -> int:
    """The least number of slices from 4 up that FFV1 version 3 takes for this size, else the most; odd sides do not take all."""
    takes = [1]
    least = 2 if size[0] > 352 or size[1] > 288 else 1
    for down in range(least, 12):
        for across in range(down, 2 * down):
            cuts = list(zip(size, (across, down), color.subsampling if color.model == "yuv" else (1, 1), strict=True))
            if all(
                n <= -(-side // f) and not (side % f and (side - side * (n - 1) // n) % f == 0) for side, n, f in cuts
            ):
                takes.append(across * down)
    return min((n for n in takes if n >= 4), default=max(takes))


def hdr_numbers(source: ClipInfo) -> tuple[list[float] | None, tuple[int, int] | None]:
    """Mastering display (r, g, b, white as x, y; min, max cd/m2) and content light (max, average), as FFmpeg packs them."""
    data = dict(source.hdr)
    display, light = None, None
    if (raw := data.get("MASTERING_DISPLAY_METADATA")) and len(raw) >= 88:
        v = struct.unpack("<20i2i", raw[:88])
        if v[20] and v[21]:
            display = [v[i] / (v[i + 1] or 1) for i in range(0, 20, 2)]
    if (raw := data.get("CONTENT_LIGHT_LEVEL")) and len(raw) >= 8:
        light = struct.unpack("<2I", raw[:8])
    return display, light


def x265_hdr(source: ClipInfo) -> list[str]:
    """HDR10 metadata in x265's units: 0.00002 for chromaticity, 0.0001 cd/m2 for luminance."""
    display, light = hdr_numbers(source)
    out = ["hdr10=1", "repeat-headers=1"] if display or light else []
    if display:
        x = [round(v * 50000) for v in display[:8]]
        out.append(
            f"master-display=G({x[2]},{x[3]})B({x[4]},{x[5]})R({x[0]},{x[1]})WP({x[6]},{x[7]})"
            f"L({round(display[9] * 10000)},{round(display[8] * 10000)})"
        )
    return out + ([f"max-cll={light[0]},{light[1]}"] if light else [])


def x264_hdr(source: ClipInfo) -> list[str]:
    """The same for x264."""
    return [
        p.replace("master-display", "mastering-display").replace("max-cll", "cll")
        for p in x265_hdr(source)
        if p.startswith(("master-display", "max-cll"))
    ]


def svt_hdr(source: ClipInfo) -> list[str]:
    """The same for SVT-AV1, in plain units."""
    display, light = hdr_numbers(source)
    out = []
    if display:
        r, g, b, w = (f"({display[i]:.5f},{display[i + 1]:.5f})" for i in (0, 2, 4, 6))
        out.append(f"mastering-display=G{g}B{b}R{r}WP{w}L({display[9]:.4f},{display[8]:.4f})")
    return out + ([f"content-light={light[0]},{light[1]}"] if light else [])


def encodes_odd(codec: str, color: Color) -> bool:
    """Whether odd sizes work: x264 and x265 refuse them where chroma is subsampled."""
    return codec not in EVEN_CODECS or color.model != "yuv" or color.subsampling == (1, 1)


def squared(it: Encoding, container: str, *, fixed: bool) -> Encoding:
    """Square pixels, the display aspect kept, where no one can be told a pixel's shape; just a note when the size is fixed."""
    if it.sar == 1 or container in KEEPS_SAR or it.codec in TELLS_SAR:
        return it
    if fixed:
        note = f"pixel aspect {it.sar} is lost: {it.codec} in {container} cannot say it; .mp4 and .mov can"
        return replace(it, notes=(*it.notes, note))
    w, h = (round(it.width * it.sar), it.height) if it.sar > 1 else (it.width, round(it.height / it.sar))
    note = f"pixels of aspect {it.sar} become square, {w}x{h}: {it.codec} in {container} cannot say another; .mp4 and .mov can"
    return replace(it, width=w, height=h, sar=Fraction(1), notes=(*it.notes, note))
