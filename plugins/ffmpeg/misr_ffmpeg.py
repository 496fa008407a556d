"""ffmpeg with misr in its middle: `misr-ffmpeg -i IN [ffmpeg's and misr's options] -- [ffmpeg's options] OUT`.

Three processes and two pipes, no shell:   ffmpeg -i IN -> misr filter -> ffmpeg OUT
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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


class Failed(Exception):
    """One of the three processes failed: what it said is the message."""


@dataclass(frozen=True, slots=True)
class Command:
    """What was asked: ffmpeg's words to read and to write, misr's between, the output, whether it may be overwritten."""

    read: list[str]
    filter: list[str]
    write: list[str]
    target: str
    overwrite: bool


def parse(args: Sequence[str]) -> Command:
    """The command in its parts; CommandError where one is missing."""
    if "--" not in args or "-i" not in args[: list(args).index("--")]:
        raise CommandError(f"an input with -i, then `--`, then an output are needed:\n\n{USAGE}")
    at = list(args).index("--")
    front, write = list(args[:at]), [w for w in args[at + 1 :] if w not in ("-y", "-n")]
    if not write or (write[-1].startswith("-") and write[-1] != "-"):
        raise CommandError("no output after `--`; name a file, as in: -- -c:v libx265 out.mkv")
    read, mine = [], []
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
    plain = (
        target != "-" and ":" not in target.split("/")[0] and "%" not in target and path.suffix.lower() not in DIRECT
    )
    return path.with_name(f".{path.stem}.part{path.suffix}") if plain and not path.is_char_device() else None


def stages(command: Command, part: Path | None) -> tuple[list[list[str]], tuple[str, ...]]:
    """The three processes' words, and what the user should know of streams."""
    last = len(command.read) - 1 - command.read[::-1].index("-i")
    before, source, after = command.read[:last], command.read[last + 1], command.read[last + 2 :]
    chosen = command.read.count("-i") > 1 or any(w in ("-map", "-filter_complex", "-lavfi") for w in after)
    plan = Carried(()) if chosen else carried(source, before)
    later = f"{float(plan.head_start_s):.6f}"
    stdin = [] if source in ("-", "pipe:", "pipe:0") else ["-nostdin"]
    read = ["ffmpeg", "-hide_banner", "-v", "error", "-nostats", *stdin, *before, "-i", source]
    cut = (
        ["-copypriorss", "0"] if "-ss" in before else []
    )  # no sound from the keyframe before the cut, which has no picture
    read += ["-c", "copy", *cut, *plan.options, *after, *timing(after, None), "-c:V", "rawvideo", "-strict", "-1"]
    read += ["-avoid_negative_ts", "disabled", "-output_ts_offset", later, "-f", "matroska", "pipe:1"]
    told = written(command.target, command.write, plan.rate)
    write = ["ffmpeg", "-hide_banner", "-v", "warning", "-stats", "-copyts", "-i", "pipe:0", *told, *command.write]
    write += ["-output_ts_offset", f"-{later}", "-y", str(part or command.target)]
    return [read, [sys.executable, "-m", "misr", "filter", *command.filter], write], plan.notes


def run(words: list[list[str]]) -> None:
    """The three processes, each reading what the one before writes; Failed tells the one that began it. None is left behind."""
    with (
        tempfile.TemporaryFile("w+") as first,
        tempfile.TemporaryFile("w+") as second,
        tempfile.TemporaryFile("w+") as third,
    ):
        said: list[IO[str]] = [first, second, third]
        shown = None if sys.stderr.isatty() else third  # the last one has the progress line
        running: list[subprocess.Popen[bytes]] = []
        try:
            a = subprocess.Popen(words[0], stdout=subprocess.PIPE, stderr=first)
            running.append(a)
            b = subprocess.Popen(words[1], stdin=a.stdout, stdout=subprocess.PIPE, stderr=second)
            running.append(b)
            c = subprocess.Popen(words[2], stdin=b.stdout, stderr=shown)
            running.append(c)
            for end in (a.stdout, b.stdout):
                assert end is not None
                end.close()  # ours: else a process would not notice that its reader is gone
            codes = [p.wait() for p in (c, b, a)][::-1]
        finally:
            for p in running:
                if p.poll() is None:
                    p.terminate()
            for p in running:
                p.wait()
        texts = [text_of(file) for file in said]
    if any(codes):
        raise Failed(blame(codes, texts))
    for line in texts[1].splitlines():
        if line.startswith("note"):
            print(line, file=sys.stderr)


def text_of(file: IO[str]) -> str:
    """What a process wrote."""
    file.seek(0)
    return file.read().strip()


def blame(codes: list[int], texts: list[str]) -> str:
    """The message of the stage that failed first; the others only lost their neighbour."""
    names = ("ffmpeg, which reads the input,", "misr", "ffmpeg, which writes the output,")
    last = texts[1].splitlines()[-1:] or [""]
    follows = any(word in last[0] for word in ("standard input", "closed it"))
    if codes[0] and "Broken pipe" not in texts[0] and (codes[1] == 0 or follows):
        at = 0
    elif codes[1] and not (follows and codes[2]) or not codes[2]:
        at = 1 if codes[1] else 0
    else:
        at = 2
    told = last[0].removeprefix("misr: ") if at == 1 else texts[at]
    return f"{names[at]} failed: {told or f'exit code {codes[at]}'}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that nothing is left behind
    part: Path | None = None
    try:
        command = parse(args)
        if not shutil.which("ffmpeg"):
            raise CommandError("no ffmpeg on the PATH; install it, on Debian: apt-get install ffmpeg")
        part = part_of(command.target)
        if part and Path(command.target).exists() and not command.overwrite:
            raise CommandError(f"{command.target} exists; -y overwrites it")
        words, notes = stages(command, part)
        for note in notes:
            print(f"note      {note}", file=sys.stderr)
        run(words)
        if part:
            os.replace(part, command.target)
    except (CommandError, Failed, OSError) as e:
        print(f"misr-ffmpeg: {e}", file=sys.stderr)
        return 2 if isinstance(e, CommandError) else 1
    except KeyboardInterrupt:
        print("misr-ffmpeg: interrupted; nothing was written", file=sys.stderr)
        return 130
    finally:
        if part:
            part.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
