"""Which streams of an input travel through the pipe, how, and which cannot."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any

from misr_ffmpeg_progress import CUTS, lasting

CARRIED = {"subrip", "ass", "ssa", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "hdmv_text_subtitle"}
AS_SRT = {"mov_text", "text"}  # text that Matroska has no name for
HOLDS_MOV_TEXT = {".mp4", ".m4v", ".mov", ".3gp"}
PRIMING_S = Fraction(1, 10)
HOLDS_ALL = {".mkv", ".mka"}  # attachments and subtitles of every kind


@dataclass(frozen=True, slots=True)
class Carried:
    """What the pipe carries: options for the ffmpeg that reads, what stays behind, its frame rate; the whole input's length."""

    options: tuple[str, ...]
    notes: tuple[str, ...] = ()
    rate: Fraction | None = None
    whole_s: float | None = None

    @property
    def head_start_s(self) -> Fraction:
        """How much later everything is in the pipe: Matroska has no time before zero, where primed sound begins; whole frames."""
        return ceil(PRIMING_S * self.rate) / self.rate if self.rate else PRIMING_S

    def length(self, asked: list[str]) -> list[str]:
        """Options that tell misr how long the stream will be, by which it knows its frames and the time left.

        A Matroska that goes through a pipe says in front what DURATION its streams had; of a cut one that would be wrong.
        """
        left_s = lasting(asked, self.whole_s)
        if left_s:
            hours, rest = divmod(left_s, 3600)
            return ["-metadata:s", f"DURATION={hours:02.0f}:{rest // 60:02.0f}:{rest % 60:06.3f}"]
        return ["-metadata:s", "DURATION="] if CUTS & {*asked} else []


def carried(source: str, before: list[str]) -> Carried:
    """The streams of the one input `source`, opened with the options `before`; of what cannot be looked at, all usual ones.

    The first real picture travels raw, sound and attachments as they are, subtitles as they are or as SubRip. Data streams,
    cover art and closed captions do not travel.
    """
    found, whole_s = probe(source, before)
    if found is None:
        return Carried(("-map", "0:V:0", "-map", "0:a?", "-map", "0:s?", "-map", "0:t?"))
    pictures = [s for s in found if s.get("codec_type") == "video" and not s["disposition"].get("attached_pic")]
    picture = max(pictures, key=prominence, default=None)
    options: list[str] = []
    notes, kinds, rate = [], dict.fromkeys(("video", "subtitle"), 0), None
    for stream in found:
        kind, codec, index = stream.get("codec_type"), stream.get("codec_name", "unknown"), stream["index"]
        what = f"stream {index} ({codec}) is left out"
        if kind == "video" and stream["disposition"].get("attached_pic"):
            notes.append(f"{what}: cover art does not travel; add it with -attach, or as an input of its own")
            continue
        if kind == "video" and stream is not picture:
            notes.append(f"{what}: one picture is upscaled, the default or the largest; -map another before `--`")
            continue
        if kind == "subtitle" and codec not in CARRIED | AS_SRT:
            notes.append(f"{what}: Matroska holds no such subtitles")
            continue
        if kind not in ("video", "audio", "subtitle", "attachment"):
            notes.append(f"{what}: data does not travel")
            continue
        options += ["-map", f"0:{index}"]
        if kind == "video":
            rate = frame_rate(str(stream.get("r_frame_rate")))
        if kind == "subtitle":
            options += [f"-c:s:{kinds['subtitle']}", "srt"] if codec in AS_SRT else []
        if kind in kinds:
            kinds[kind] += 1
    return Carried(tuple(options), tuple(notes), rate, whole_s)


def prominence(stream: dict[str, Any]) -> tuple[int, int, int]:
    """What makes a video stream the picture, as misr sees it: the default one, the largest, the first."""
    return stream["disposition"].get("default", 0), stream.get("width", 0) * stream.get("height", 0), -stream["index"]


def frame_rate(told: str) -> Fraction | None:
    """Frames per second as ffprobe says them; None where that is no rate."""
    try:
        rate = Fraction(told)
    except (ValueError, ZeroDivisionError):
        return None
    return rate if 0 < rate < 999 else None


def probe(source: str, before: list[str]) -> tuple[list[dict[str, Any]] | None, float | None]:
    """What ffprobe says of each stream of a file, and its length in seconds; None for what is no file, or without ffprobe."""
    if not Path(source).is_file() or not shutil.which("ffprobe"):
        return None, None
    named = before[before.index("-f") : before.index("-f") + 2] if "-f" in before else []
    words = ["ffprobe", "-v", "error", *named, "-show_streams", "-show_format", "-of", "json", "-i", source]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        return None, None  # ffmpeg will say what is wrong
    told = json.loads(done.stdout)
    return told["streams"], float(told["format"].get("duration", 0)) or None


def written(target: str, asked: list[str], rate: Fraction | None) -> list[str]:
    """What the ffmpeg that writes is told before the user's own options, which may say otherwise: keep what fits."""
    suffix = Path(target).suffix.lower()
    maps = ["-map", "0"] if suffix in HOLDS_ALL else ["-map", "0:v", "-map", "0:a?", "-map", "0:s?"]
    own = any(word in ("-map", "-filter_complex", "-lavfi") for word in asked)
    text = "mov_text" if suffix in HOLDS_MOV_TEXT else "webvtt" if suffix == ".webm" else "copy"
    sound = [] if {"-c:a", "-codec:a", "-acodec"} & {*asked} else ["-c:a", "copy"]
    words = [] if {"-c:s", "-codec:s", "-scodec"} & {*asked} else ["-c:s", text]
    return [*([] if own else maps), *sound, *words, *timing(asked, rate)]


def timing(asked: list[str], rate: Fraction | None) -> list[str]:
    """Every frame at its own time, unless the user decides on times.

    The pipe counts in milliseconds. Ticks of just over one, that divide the time between two frames, bring even frames back to
    where they were exactly, and move others by less than two ticks.
    """
    if any(word.split(":")[0] in ("-r", "-vsync", "-fps_mode", "-enc_time_base") for word in asked):
        return []
    ticks = rate * max(1, floor(999 / rate)) if rate else Fraction(1000)
    return ["-fps_mode", "passthrough", "-enc_time_base", f"{ticks.denominator}:{ticks.numerator}"]
