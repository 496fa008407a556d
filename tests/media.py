"""Small clips and pictures of every kind, made with PyAV alone, the same bytes of pixels every time.

Every frame carries its own number as eight dark or bright cells along its top (`number_of` reads it back at any scale),
over fine texture that moves with the frame number. Planar YUV and gray frames are written as code values, so that a test
may know what is stored; RGB ones are made in 8 bits. Clips are 96x64, 12 frames, 25 per second, Matroska unless asked.

    path = clip(tmp_path, audio=["aac", Track("opus", "deu")], subtitles=["subrip"], chapters=2, suffix="mkv")
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.stream import Disposition

from misr.machine import scheduling_kept

BITS = 8  # cells that hold a frame's number
DARK, BRIGHT = 0.15, 0.85  # of a cell, as shares of the luma range
SOUND_RATE = 48_000
TOP_FIELD_FIRST = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
HDR10 = {
    "x265-params": "log-level=none:hdr10=1:repeat-headers=1:max-cll=1000,400:master-display="
    "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
}
BT709, BT601, BT2020_PQ, BT2020_HLG = (1, 1, 1, 1), (6, 1, 6, 6), (9, 1, 9, 16), (9, 1, 9, 18)
QUIET = {"libx265": {"x265-params": "log-level=none"}, "libsvtav1": {"preset": "12"}}
NO_DISPOSITION = Disposition(0)
MUXERS = {"mkv": "matroska", "ts": "mpegts", "y4m": "yuv4mpegpipe"}


@dataclass(frozen=True, slots=True)
class Track:
    """A sound or subtitle stream: its codec, language and what players are told of it."""

    codec: str
    language: str = "eng"
    title: str = ""
    disposition: Disposition = NO_DISPOSITION


# ---------------------------------------------------------------- pixels


def texture(t: float, width: int, height: int) -> np.ndarray:
    """Moving detail (h, w) in [0, 1], different for every t."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    x = x + 1.25 * t
    y = y + 0.5 * t
    lines = np.sin(0.9 * x + 0.35 * y) + np.sin(0.25 * x - 0.8 * y) + 0.7 * np.sin(0.06 * x * 2) * np.cos(0.11 * y)
    checks = 0.5 * np.sign(np.sin(x / 3.1) * np.sin(y / 3.7))
    return np.clip(0.5 + 0.14 * (lines + checks), 0, 1)


def cells(width: int, height: int) -> tuple[int, int]:
    """(width, height) of one cell of the number, in pixels; (0, 0) where the picture is too small to hold one."""
    across, down = width // BITS, min(8, height // 4)
    return (across, down) if across and down else (0, 0)


def luma(n: int, width: int, height: int, *, interlaced: bool = False) -> np.ndarray:
    """Frame n as (h, w) in [0, 1]. Interlaced: the even lines are of time n, the odd ones of n + 1/2."""
    picture = texture(n, width, height)
    if interlaced:
        picture[1::2] = texture(n + 0.5, width, height)[1::2]
    across, down = cells(width, height)
    for k in range(BITS if across else 0):
        picture[:down, k * across : (k + 1) * across] = BRIGHT if n >> k & 1 else DARK
    return picture


def number_of(frame: av.VideoFrame) -> int:
    """The number written in a frame, at any scale, depth, range or format."""
    gray = frame.to_ndarray(format="gray").astype(np.float64)
    h, w = gray.shape
    number = 0
    down = max(1, round(min(8 * h / 64, h // 4)) // 2)
    for k in range(BITS):
        left, right = k * w / BITS, (k + 1) * w / BITS
        inner = gray[:down, int(left + (right - left) * 0.3) : int(right - (right - left) * 0.3) + 1]
        number |= int(inner.mean() > 127) << k
    return number


def frame(
    n: int, pix_fmt: str = "yuv420p", width: int = 96, height: int = 64, *, full: bool = False, interlaced: bool = False
) -> av.VideoFrame:
    """Frame n in a pixel format, without time or colour tags."""
    form = av.VideoFormat(pix_fmt, width, height)
    planar = len({c.plane for c in form.components}) == len(form.components)
    if form.is_rgb or not planar or any(c.bits > 16 for c in form.components):
        shown = rgb_frame(n, width, height, alpha=any(c.is_alpha for c in form.components))
        return shown.reformat(
            format=pix_fmt, threads=1
        )  # more threads: now and then a few pixels go missing (PyAV 18.1)
    out = av.VideoFrame(width, height, pix_fmt)
    full = full or pix_fmt.startswith("yuvj")
    light = luma(n, width, height, interlaced=interlaced)
    for i, part in enumerate(form.components):
        shape = out.planes[part.plane].height, out.planes[part.plane].width
        step = 2 ** (part.bits - 8)
        low, high = (0, 2**part.bits - 1) if full or part.is_alpha else (16 * step, 235 * step)
        if part.is_alpha:
            share = np.linspace(0, 1, shape[1])[None] * np.ones(shape)
        elif i == 0:
            share = light
        else:
            low, high = (low, high) if full else (16 * step, 240 * step)
            across, down = np.linspace(0, 5, shape[1])[None], np.linspace(0, 3, shape[0])[:, None]
            share = 0.5 + 0.3 * np.sin(across + down * i + n / 9)
        word = np.dtype(np.uint8 if part.bits <= 8 else ">u2" if pix_fmt.endswith("be") else "<u2")
        fill(out.planes[part.plane], np.round(low + share * (high - low)).astype(word))
    return out


def fill(plane: Any, codes: np.ndarray) -> None:
    """Write codes (h, w) into a plane, line padding and byte order minded."""
    width = plane.line_size // codes.itemsize
    np.frombuffer(plane, codes.dtype).reshape(plane.height, width)[:, : codes.shape[1]] = codes


def rgb_frame(n: int, width: int, height: int, *, alpha: bool = False) -> av.VideoFrame:
    """Frame n as rgb24 or rgba: tinted texture, see-through towards the left."""
    light = luma(n, width, height)
    across = np.linspace(-0.12, 0.12, width)[None]
    rgb = np.stack([light + across, light, light - across], -1)
    rgb = np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    if alpha:
        veil = np.round(np.linspace(0, 255, width)[None] * np.ones((height, 1))).astype(np.uint8)
        rgb = np.concatenate([rgb, veil[..., None]], -1)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgba" if alpha else "rgb24")


# ---------------------------------------------------------------- clips


def clip(
    folder: Path,
    *,
    name: str = "clip",
    suffix: str = "mkv",
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (96, 64),
    frames: int = 12,
    fps: int | Fraction = 25,
    options: dict[str, str] | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    start_s: Fraction | float = 0,
    audio: Iterable[str | Track] = (),
    subtitles: Iterable[str | Track] = (),
    fonts: int = 0,
    chapters: int = 0,
    metadata: dict[str, str] | None = None,
    video_metadata: dict[str, str] | None = None,
    cover: bool = False,
    second_video: bool = False,
    color: tuple[int, int, int, int] | None = None,
    interlaced: bool = False,
    rotation: int = 0,
    sar: Fraction | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a clip and return its path.

    size       (width, height)
    pts        one time per frame in ticks of `time_base` (1 / fps unless given): a variable frame rate
    start_s    added to the times of every stream, seconds
    color      (matrix, range, primaries, transfer), H.273 numbers and 1 limited, 2 full; None leaves the clip untagged
    fonts, chapters   how many; second_video adds a 32x32 stream, cover a PNG as attached picture
    """
    path = folder / f"{name}.{suffix}"
    clock = time_base or 1 / Fraction(fps)
    with av.open(str(path), "w", format=MUXERS.get(suffix), options=container_options or {}) as out:
        out.metadata.update(metadata or {})
        told = {**QUIET.get(codec, {}), **(options or {})}
        video = video_stream(out, codec, pix_fmt, size, fps, clock, told, color, sar)
        video.metadata.update(video_metadata or {})
        if rotation:
            video.set_display_rotation(rotation)
        small = video_stream(out, "mpeg4", "yuv420p", (32, 32), fps, clock, {}, None, None) if second_video else None
        packets = []
        tracks = [track if isinstance(track, Track) else Track(track) for track in audio]
        sounds = [(sound_stream(out, track), track) for track in tracks]
        duration_s = (Fraction(pts[-1]) * clock + 1 / Fraction(fps)) if pts else frames / Fraction(fps)
        texts = [t if isinstance(t, Track) else Track(t, ("eng", "deu", "jpn")[i % 3]) for i, t in enumerate(subtitles)]
        packets += [p for t in texts for p in subtitle_packets(out, t, duration_s)]
        for k in range(fonts):
            out.add_attachment(f"font{k}.ttf", "application/x-truetype-font", FONT)
        packets += cover_packets(out, path.suffix) if cover else []
        if chapters:
            out.set_chapters(chapter_list(chapters, duration_s, Fraction(start_s)))
        ticks = list(pts) if pts is not None else [round(n / Fraction(fps) / clock) for n in range(frames)]
        full = bool(color and color[1] == 2)
        shown = (frame(n, pix_fmt, *size, full=full, interlaced=interlaced) for n in range(len(ticks)))
        packets += encode(video, shown, ticks, clock, color)
        if small is not None:
            packets += encode(small, (frame(n, "yuv420p", 32, 32) for n in range(len(ticks))), ticks, clock, None)
        for k, (stream, _) in enumerate(sounds):
            packets += sound_packets(stream, duration_s, 220 * (k + 1))
        mux(out, packets, Fraction(start_s))
    return path


def video_stream(
    out: Any,
    codec: str,
    pix_fmt: str,
    size: tuple[int, int],
    fps: int | Fraction,
    clock: Fraction,
    options: dict[str, str],
    color: tuple[int, int, int, int] | None,
    sar: Fraction | None,
) -> Any:
    """A video stream, tagged, not yet opened."""
    stream = out.add_stream(codec, rate=fps, options={"threads": "1", **options})
    stream.width, stream.height = size
    stream.pix_fmt = pix_fmt
    context = stream.codec_context
    context.time_base = stream.time_base = clock
    if sar:
        context.sample_aspect_ratio = sar
    if color:
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = color
    return stream


def encode(
    stream: Any,
    frames: Iterable[av.VideoFrame],
    ticks: Sequence[int],
    clock: Fraction,
    color: tuple[int, int, int, int] | None,
) -> list[av.Packet]:
    """The packets of frames shown at `ticks`."""
    packets = []
    with scheduling_kept():
        stream.codec_context.open(strict=False)
    for picture, tick in zip(frames, ticks, strict=True):
        picture.pts, picture.time_base = tick, clock
        if color:
            picture.colorspace, picture.color_range, picture.color_primaries, picture.color_trc = color
        packets += stream.encode(picture)
    return packets + stream.encode(None)


def sound_stream(out: Any, track: Track) -> Any:
    """A stereo sound stream."""
    codec = {"opus": "libopus", "mp3": "libmp3lame"}.get(track.codec, track.codec)
    stream = out.add_stream(codec, rate=SOUND_RATE, layout="stereo", options={"strict": "-2"})  # vorbis asks for that
    label(stream, track)
    return stream


def sound_packets(stream: Any, duration_s: Fraction, pitch_hz: float) -> list[av.Packet]:
    """A sine of that pitch, as long as the clip."""
    t = np.arange(int(duration_s * SOUND_RATE)) / SOUND_RATE
    wave = (0.2 * np.sin(2 * np.pi * pitch_hz * t)).astype(np.float32)
    packets, step = [], stream.codec_context.frame_size or 1024
    for start in range(0, len(t), step):
        piece = np.ascontiguousarray(np.stack([wave[start : start + step]] * 2))
        sound = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
        sound.sample_rate, sound.pts, sound.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
        packets += stream.encode(sound)
    return packets + stream.encode(None)


def subtitle_packets(out: Any, track: Track, duration_s: Fraction) -> list[av.Packet]:
    """Three cues in a new subtitle stream; .ass brings its header along."""
    ms = int(duration_s * 1000)
    spans = [(ms * k // 3 + 10, ms * (k + 1) // 3 - 10) for k in range(3)]
    texts = [f"{track.language} line {k + 1}" for k in range(3)]
    if track.codec in ("ass", "ssa"):
        source = av.open(io.BytesIO(ass_file(spans, texts)), format="ass")
        stream = out.add_stream_from_template(source.streams[0])
        bodies = [bytes(p) for p in source.demux() if p.size]
        source.close()
    else:
        stream = out.add_mux_stream(track.codec)
        bodies = [text.encode() for text in texts]
        bodies = [struct.pack(">H", len(b)) + b for b in bodies] if track.codec == "mov_text" else bodies
    stream.time_base = Fraction(1, 1000)
    label(stream, track)
    packets = []
    for (begin, end), body in zip(spans, bodies, strict=True):
        packet = av.Packet(body)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = begin
        packet.duration, packet.is_keyframe = end - begin, True
        packets.append(packet)
    return packets


def ass_file(spans: Sequence[tuple[int, int]], texts: Sequence[str]) -> bytes:
    """An .ass file with a style of its own."""

    def clock(ms: int) -> str:
        return f"0:{ms // 60000:02d}:{ms // 1000 % 60:02d}.{ms % 1000 // 10:02d}"

    lines = [
        "[Script Info]",
        "ScriptType: v4.00+",
        "PlayResX: 96",
        "PlayResY: 64",
        "",
        "[V4+ Styles]",
        "Format: Name, Fontname, Fontsize, PrimaryColour, Bold, Alignment, Encoding",
        "Style: Fancy,font0,9,&H0000FFFF,1,2,1",
        "",
        "[Events]",
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text",
    ]
    cues = zip(spans, texts, strict=True)
    lines += [f"Dialogue: 0,{clock(a)},{clock(b)},Fancy,,0,0,0,,{text}" for (a, b), text in cues]
    return ("\n".join(lines) + "\n").encode()


def cover_packets(out: Any, suffix: str) -> list[av.Packet]:
    """A PNG as attached picture: an attachment in Matroska, a one-packet stream elsewhere."""
    png = png_bytes()
    if suffix in (".mkv", ".webm"):
        out.add_attachment("cover.png", "image/png", png)
        return []
    source = av.open(io.BytesIO(png))
    stream = out.add_stream_from_template(source.streams.video[0])
    stream.disposition = Disposition.attached_pic
    packet = av.Packet(png)
    packet.stream, packet.time_base, packet.pts, packet.dts, packet.is_keyframe = stream, Fraction(1, 25), 0, 0, True
    return [packet]


def chapter_list(count: int, duration_s: Fraction, start_s: Fraction) -> Any:
    """`count` chapters of equal length."""
    at = [round((start_s + duration_s * k / count) * 1000) for k in range(count + 1)]
    return [
        {
            "id": k + 1,
            "start": at[k],
            "end": at[k + 1],
            "time_base": Fraction(1, 1000),
            "metadata": {"title": f"Chapter {k + 1}"},
        }
        for k in range(count)
    ]


def label(stream: Any, track: Track) -> None:
    """Language, title and disposition of a stream."""
    stream.metadata["language"] = track.language
    if track.title:
        stream.metadata["title"] = track.title
    stream.disposition = track.disposition


def mux(out: Any, packets: list[av.Packet], start_s: Fraction) -> None:
    """Write packets of all streams in the order of their decoding times, moved by start_s."""
    out.start_encoding()

    def when(packet: av.Packet) -> Fraction:
        tick = packet.dts if packet.dts is not None else packet.pts or 0
        return tick * Fraction(packet.time_base)

    for packet in sorted(packets, key=when):
        shift = round(start_s / Fraction(packet.time_base))
        packet.pts = packet.pts + shift if packet.pts is not None else None
        packet.dts = packet.dts + shift if packet.dts is not None else None
        out.mux(packet)


FONT = b"\x00\x01\x00\x00" + bytes(range(60))  # begins as TrueType does; that is all a muxer looks at


# ---------------------------------------------------------------- pictures


def picture(
    folder: Path,
    suffix: str = "png",
    *,
    name: str = "picture",
    n: int = 5,
    pix_fmt: str | None = None,
    size: tuple[int, int] = (96, 64),
) -> Path:
    """One still picture: png (rgb24, rgba, rgb48be, gray, gray16be ...), jpg, webp, avif, bmp, tiff."""
    codec, usual = {
        "png": ("png", "rgb24"),
        "jpg": ("mjpeg", "yuvj420p"),
        "webp": ("libwebp", "yuv420p"),
        "bmp": ("bmp", "bgr24"),
        "avif": ("libsvtav1", "yuv420p"),
        "tiff": ("tiff", "rgb24"),
    }[suffix]
    pix_fmt = pix_fmt or usual
    path = folder / f"{name}.{suffix}"
    muxer = {"webp": "webp", "avif": "avif"}.get(suffix, "image2")
    with av.open(str(path), "w", format=muxer, options={"update": "1"} if muxer == "image2" else {}) as out:
        still = video_stream(out, codec, pix_fmt, size, 25, Fraction(1, 25), QUIET.get(codec, {}), None, None)
        out.mux(encode(still, [frame(n, pix_fmt, *size)], [0], Fraction(1, 25), None))
    return path


def photos(folder: Path, size: tuple[int, int] = (128, 96)) -> None:
    """Three pictures to learn from, photoa.png to photoc.png, of different things."""
    for n, letter in enumerate("abc"):
        picture(folder, "png", name=f"photo{letter}", n=n, size=size)


def animation(
    folder: Path,
    suffix: Literal["gif", "apng", "webp"],
    *,
    name: str = "animation",
    frames: int = 6,
    fps: int = 10,
    size: tuple[int, int] = (64, 48),
) -> Path:
    """A moving picture; GIF in the web palette, APNG with alpha."""
    codec, pix_fmt = {"gif": ("gif", "rgb8"), "apng": ("apng", "rgba"), "webp": ("libwebp_anim", "yuv420p")}[suffix]
    path = folder / f"{name}.{suffix}"
    options = {"plays": "0"} if suffix == "apng" else {}
    with av.open(str(path), "w", format=suffix, options=options) as out:
        stream = video_stream(out, codec, pix_fmt, size, fps, Fraction(1, fps), {}, None, None)
        shown = (frame(n, pix_fmt, *size) for n in range(frames))
        out.mux(encode(stream, shown, range(frames), Fraction(1, fps), None))
    return path


def sequence(
    folder: Path,
    *,
    name: str = "shot",
    first: int = 1,
    frames: int = 5,
    pix_fmt: str = "rgb24",
    size: tuple[int, int] = (64, 48),
) -> Path:
    """Numbered PNG files shot00001.png ... in a new folder, which is returned."""
    place = folder / name
    place.mkdir()
    for k in range(frames):
        picture(place, "png", name=f"{name}{first + k:05d}", n=k, pix_fmt=pix_fmt, size=size)
    return place


def png_bytes(n: int = 3, size: tuple[int, int] = (32, 32)) -> bytes:
    """A PNG file's bytes."""
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt, context.time_base = *size, "rgb24", Fraction(1, 25)
    shown = frame(n, "rgb24", *size)
    shown.pts = 0
    return b"".join(bytes(p) for p in [*context.encode(shown), *context.encode(None)])


def pipe_bytes(folder: Path, kind: Literal["y4m", "nut", "mkv"] = "mkv", **options: Any) -> bytes:
    """What a neighbouring program would send: raw frames in y4m, nut or Matroska."""
    return clip(folder, name="pipe", suffix=kind, codec="rawvideo", **options).read_bytes()


def cut_short(path: Path, share: float) -> Path:
    """A copy that ends after that share of the bytes, as a broken download does."""
    short = path.with_name(f"{path.stem}.short{path.suffix}")
    short.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return short


# ---------------------------------------------------------------- reading back


def read(path: Path) -> list[av.VideoFrame]:
    """All frames of the main video stream, the decoder drained."""
    with av.open(str(path)) as source:
        return list(source.decode(source.streams.video[0]))


def numbers(path: Path) -> list[int]:
    """The numbers written in the frames of a clip, in the order shown."""
    return [number_of(f) for f in read(path)]


def times_s(path: Path) -> list[Fraction]:
    """When each frame is shown, seconds."""
    return [f.pts * Fraction(f.time_base) for f in read(path)]
