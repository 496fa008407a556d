"""From what was typed to the words of three processes: ffmpeg that reads, misr filter, ffmpeg that writes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from misr_ffmpeg_progress import kind_of, told_as
from misr_ffmpeg_streams import Carried, carried, timing, written

USAGE = """misr-ffmpeg READ... [misr's options] -- WRITE... OUT

    misr-ffmpeg -ss 10 -t 5 -i in.mp4 -m fast-x2 -- -c:v libx265 -crf 20 out.mkv
    misr-ffmpeg -i tape.mkv -vf bwdif -s 2 -- -c:v libx264 -vf unsharp out.mkv

READ    ffmpeg's options around its input, filters too; they work on the small pictures
misr's  -m MODEL, -s FACTOR and everything that begins with two dashes; `misr filter --help` lists them
WRITE   ffmpeg's options for its output; filters work on the large pictures. -y overwrites OUT
"""
FLAGS = {"--debug"}  # misr's options without a value
MINE = {"-m", "-s"}
DIRECT = {".m3u8", ".mpd"}  # several files under names of their own


class CommandError(Exception):
    """What cannot be done, in one sentence."""


@dataclass(frozen=True, slots=True)
class Command:
    """What was asked: ffmpeg's words to read and to write, misr's between, the output, whether it may be overwritten."""

    read: list[str]
    filter: list[str]
    write: list[str]
    target: str
    overwrite: bool

    @property
    def source(self) -> str:
        """The last input, as it was typed."""
        return self.read[self._last + 1]

    @property
    def before(self) -> list[str]:
        """Words before that input's -i."""
        return self.read[: self._last]

    @property
    def after(self) -> list[str]:
        """Words after that input."""
        return self.read[self._last + 2 :]

    @property
    def _last(self) -> int:
        return len(self.read) - 1 - self.read[::-1].index("-i")


def parse(args: Sequence[str]) -> Command:
    """The command in its parts; CommandError where one is missing."""
    if "--" not in args or "-i" not in args[: list(args).index("--")]:
        raise CommandError(f"an input with -i, then `--`, then an output are needed:\n\n{USAGE}")
    at = list(args).index("--")
    front, write = list(args[:at]), [w for w in args[at + 1 :] if w not in ("-y", "-n")]
    if not write or (write[-1].startswith("-") and write[-1] != "-"):
        raise CommandError("no output after `--`; name a file, as in: -- -c:v libx265 out.mkv")
    read: list[str] = []
    mine: list[str] = []
    words = iter(front)
    for word in words:
        if word.startswith("--") or word in MINE:
            value = [] if word in FLAGS or "=" in word else [next(words, "")]
            to_ffmpeg = word == "-s" and not is_number(value[0])  # its -s is a size, as raw video has one
            (read if to_ffmpeg else mine).extend([word, *value])
        else:
            read.append(word)
    return Command(read, mine, write[:-1], write[-1], "-y" in args)


def is_number(text: str) -> bool:
    """Whether misr takes it for a factor."""
    return text.replace(".", "", 1).isdigit()


def part_of(target: str) -> Path | None:
    """Where an output grows before it gets its name; None for what is no single file."""
    path = Path(target)
    several = "%" in target or path.suffix.lower() in DIRECT
    if several or target == "-" or ":" in target.split("/")[0] or path.is_char_device():
        return None
    return path.with_name(f".{path.stem}.part{path.suffix}")


def stages(command: Command, part: Path | None) -> tuple[list[list[str]], tuple[str, ...]]:
    """The three processes' words, and what the user should know of streams."""
    before, source, after = command.before, command.source, command.after
    chosen = command.read.count("-i") > 1 or any(w in ("-map", "-filter_complex", "-lavfi") for w in after)
    plan = Carried(()) if chosen else carried(source, before)
    later = f"{float(plan.head_start_s):.6f}"
    stdin = [] if source in ("-", "pipe:", "pipe:0") else ["-nostdin"]
    read = ["ffmpeg", "-hide_banner", "-v", "error", "-nostats", *stdin, *before, "-i", source]
    cut = ["-copypriorss", "0"] if "-ss" in before else []  # no sound from before the cut, where there is no picture
    read += ["-c", "copy", *cut, *plan.options, *after, *timing(after, None), *plan.length(command.read)]
    read += ["-c:V", "rawvideo", "-strict", "-1"]
    read += ["-avoid_negative_ts", "disabled", "-output_ts_offset", later, "-f", "matroska", "pipe:1"]
    told = written(command.target, command.write, plan.rate)
    write = ["ffmpeg", "-hide_banner", "-v", "warning", "-nostats", "-copyts", "-i", "pipe:0", *told, *command.write]
    write += ["-output_ts_offset", f"-{later}", "-y", str(part or command.target)]
    mine = [*command.filter, *told_as(kind_of(command.filter))]
    return [read, [sys.executable, "-m", "misr", "filter", *mine], write], plan.notes
