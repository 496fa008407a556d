"""Render the demo's clip: five seconds of fine moving detail with sound, subtitles in two languages and chapters.

sample.py OUTPUT.mkv

480x270, 24 frames per second. A camera drifts, turns and zooms over a drawn poster (text of many sizes, gratings, a
zone plate, leaves of noise) while a spoked wheel turns in front of it. Drawn at twice the size and averaged down, so
that the clip has detail up to its limit and no more than its limit.
"""

from __future__ import annotations

import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

WIDTH, HEIGHT, RATE, FRAMES, SOUND = 480, 270, 24, 120, 48_000
POSTER = 2400, 1500  # width, height of what the camera moves over
CHAPTERS = ("Text", "Leaves", "Gratings")
LINES = {
    "eng": ("Fine print first.", "Leaves: detail without edges.", "And lines, close to the limit."),
    "deu": ("Zuerst das Kleingedruckte.", "Laub: Einzelheiten ohne Kanten.", "Und Linien, nahe an der Grenze."),
}


def clouds(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Noise of many octaves (h, w) in [0, 1]: what foliage and stone look like to an upscaler."""
    h, w = shape
    total = np.zeros(shape, np.float32)
    for cell in (2, 4, 8, 16, 32, 64, 128):
        small = rng.standard_normal((h // cell + 2, w // cell + 2)).astype(np.float32)
        total += cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC) * cell**0.3
    return np.clip(0.5 + 0.17 * total / total.std(), 0, 1)


def poster() -> np.ndarray:
    """The scene (h, w, 3), uint8 RGB."""
    w, h = POSTER
    rng = np.random.default_rng(7)
    texture = clouds((h, w), rng)[..., None]
    sheet = (0.25 + 0.75 * texture) * np.array([0.45, 0.62, 0.33], np.float32) + 0.08
    sheet = np.ascontiguousarray(np.clip(sheet * 255, 0, 255), np.uint8)
    cv2.rectangle(sheet, (150, 130), (1150, 1330), (237, 232, 217), -1)
    words = "a window of frames", "knows more than one", "sharper, not other", "the quick brown fox", "0123456789 %&@#?"
    for column in (0, 1):
        y = 180
        for row in range(24):
            size = (1.25, 0.85)[column] - 0.02 * row
            ink, thick = ((25, 25, 30), (150, 25, 25), (20, 50, 128))[row % 3], max(1, round(size * 1.6))
            text = words[(row + column) % 5]
            cv2.putText(sheet, text, (180 + 560 * column, y), cv2.FONT_HERSHEY_COMPLEX, size, ink, thick, cv2.LINE_AA)
            y += round(18 + 30 * size)
    yy, xx = np.mgrid[0:420, 0:420].astype(np.float32)
    plate = 0.5 + 0.45 * np.cos(((xx - 210) ** 2 + (yy - 210) ** 2) / 260)
    sheet[180:600, 1300:1720] = (plate * 255)[..., None]
    for i in range(24):  # fans of lines that converge
        angle = np.pi * i / 24
        tip = (int(2050 + 300 * np.cos(angle)), int(400 + 300 * np.sin(angle)))
        cv2.line(sheet, (2050, 400), tip, (242, 230, 76), 3, cv2.LINE_AA)
    for i in range(60):  # bricks
        x, top = 1300 + 100 * (i % 10) + 50 * (i // 10 % 2), 760 + 60 * (i // 10)
        shade = float(rng.uniform(0.6, 1.0))
        cv2.rectangle(sheet, (x, top), (x + 92, top + 52), (184 * shade, 92 * shade, 69 * shade), -1, cv2.LINE_AA)
    return sheet


def wheel(picture: np.ndarray, centre: tuple[float, float], angle: float) -> None:
    """Draw a turning spoked wheel onto the picture (h, w, 3), in place."""
    at = (round(centre[0] * 16), round(centre[1] * 16))
    for radius, colour, thick in ((104, (30, 30, 36), 7), (96, (190, 190, 200), 2), (15, (180, 64, 30), -1)):
        cv2.circle(picture, at, radius * 16, colour, thick, cv2.LINE_AA, 4)
    for k in range(18):
        turn = angle + 2 * np.pi * k / 18
        tip = (round(at[0] + 16 * 96 * np.cos(turn)), round(at[1] + 16 * 96 * np.sin(turn)))
        cv2.line(picture, at, tip, (210, 210, 217), 2, cv2.LINE_AA, 4)


def picture(scene: np.ndarray, n: int) -> np.ndarray:
    """Frame n (270, 480, 3), uint8 RGB."""
    t = n / FRAMES
    zoom = 0.86 + 0.22 * np.cos(2 * np.pi * t)
    turn = 0.05 * np.sin(2 * np.pi * t)
    x, y = 620 + 1100 * t + 30 * np.sin(9 * t), 560 + 190 * np.sin(2.6 * np.pi * t)
    c, s = zoom * np.cos(turn), zoom * np.sin(turn)
    size = 2 * WIDTH, 2 * HEIGHT
    to_scene = np.array([[c, -s, x - c * WIDTH + s * HEIGHT], [s, c, y - s * WIDTH - c * HEIGHT]])
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    big = cv2.warpAffine(scene, to_scene, size, flags=how, borderMode=cv2.BORDER_REFLECT)
    wheel(big, (120 + 720 * (1 - t), 410 + 12 * np.sin(20 * t)), 7 * t)
    return np.asarray(cv2.resize(big, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))


def sound() -> np.ndarray:
    """A quiet chord (2, samples), float32, with a tick on every second."""
    t = np.arange(FRAMES * SOUND // RATE) / SOUND
    chord = sum(np.sin(2 * np.pi * f * t) for f in (220.0, 277.18, 329.63)) * 0.06 * np.minimum(1, 5 * (t[-1] - t))
    tick = np.sin(2 * np.pi * 1760 * t) * np.exp(-40 * (t % 1.0)) * 0.2
    return np.stack([chord + tick, chord - 0.5 * tick]).astype(np.float32)


def subtitle_file(language: str, folder: Path) -> Path:
    """The subtitles of one language as an .srt file."""
    step = FRAMES / RATE / len(CHAPTERS)

    def clock(seconds: float) -> str:
        return f"00:00:{int(seconds):02d},{round(seconds % 1 * 1000):03d}"

    spans = [f"{clock(i * step + 0.1)} --> {clock((i + 1) * step - 0.1)}" for i in range(len(CHAPTERS))]
    cues = [f"{i + 1}\n{spans[i]}\n{text}\n" for i, text in enumerate(LINES[language])]
    path = folder / f"{language}.srt"
    path.write_text("\n".join(cues), encoding="utf-8")
    return path


def render(path: Path) -> None:
    """Write the clip. The file appears whole or not at all."""
    part = path.with_name(path.stem + ".part.mkv")
    with tempfile.TemporaryDirectory() as folder, av.open(part, "w", format="matroska") as out:
        out.metadata["title"] = "misr sample"
        video = out.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "medium", "threads": "1"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1
        audio = out.add_stream("aac", rate=SOUND, layout="stereo")
        subtitles = [(av.open(subtitle_file(language, Path(folder))), language) for language in LINES]
        streams = []
        for source, language in subtitles:
            streams.append(out.add_stream_from_template(source.streams[0]))
            streams[-1].metadata["language"] = language
        step = 1000 * FRAMES // RATE // len(CHAPTERS)
        out.set_chapters(
            [
                {
                    "id": i + 1,
                    "start": i * step,
                    "end": (i + 1) * step,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": title},
                }
                for i, title in enumerate(CHAPTERS)
            ]
        )
        for (source, _), stream in zip(subtitles, streams, strict=True):
            for packet in source.demux():
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
            source.close()
        write_sound(out, audio)
        scene = poster()
        for n in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(picture(scene, n), format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation="BICUBIC", threads=1
            )
            frame.pts, frame.time_base = n, Fraction(1, RATE)
            frame.colorspace = frame.color_primaries = frame.color_trc = frame.color_range = 1
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    part.replace(path)


def write_sound(out: av.container.OutputContainer, audio: av.AudioStream) -> None:
    """Encode the sound whole."""
    samples = sound()
    for start in range(0, samples.shape[1], 1024):
        piece = np.ascontiguousarray(samples[:, start : start + 1024])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = SOUND, start, Fraction(1, SOUND)
        out.mux(audio.encode(frame))
    out.mux(audio.encode(None))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    render(Path(sys.argv[1]))
