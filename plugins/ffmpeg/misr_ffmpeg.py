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
from pathlib import Path
from typing import IO

from misr_ffmpeg_progress import Progress, kind_of
from misr_ffmpeg_words import USAGE, CommandError, parse, part_of, stages


class Failed(Exception):
    """One of the three processes failed: what it said is the message."""


def run(words: list[list[str]], progress: Progress) -> None:
    """The three processes, each reading what the one before writes; Failed tells the one that began it. None is left behind."""
    with (
        tempfile.TemporaryFile("w+") as first,
        tempfile.TemporaryFile("w+") as second,
        tempfile.TemporaryFile("w+") as third,
    ):
        said: list[IO[str]] = [first, second, third]
        live = "-stats" in words[2] and sys.stderr.isatty()  # ffmpeg's own line, where it was asked for
        running: list[subprocess.Popen[bytes]] = []
        try:
            a = subprocess.Popen(words[0], stdout=subprocess.PIPE, stderr=first)
            running.append(a)
            b = subprocess.Popen(words[1], stdin=a.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            running.append(b)
            c = subprocess.Popen(words[2], stdin=b.stdout, stderr=None if live else third)
            running.append(c)
            for end in (a.stdout, b.stdout):
                assert end is not None
                end.close()  # ours: else a process would not notice that its reader is gone
            assert b.stderr is not None
            with b.stderr:
                progress.follow(b.stderr, second)
            codes = [p.wait() for p in (c, b, a)][::-1]
        finally:
            for p in running:
                if p.poll() is None:
                    p.terminate()
            for p in running:
                p.wait()
        texts = [text_of(file) for file in said]
    enough = codes[2] == 0 and "closed it" in texts[1]  # the writer was told to end early, by -t or -frames:v
    if any(codes) and not enough:
        raise Failed(blame(codes, texts))
    texts[0] = "" if enough else texts[0]
    texts[1] = "\n".join(line for line in texts[1].splitlines() if line.startswith("note"))
    if told := "\n".join(text for text in texts if text):  # what ffmpeg made do with, as a damaged frame
        print(told, file=sys.stderr)


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
        with Progress(kind_of(command.filter), command.source, command.target) as progress:
            run(words, progress)
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
