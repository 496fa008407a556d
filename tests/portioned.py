"""Parts of clips, rendered for tests: in this process, in others, and in others that are held still."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import av
import pytest

from misr.journal import journal_path
from tests.command import (
    in_child,
    short_segments_slowly,
    up,
)


def parts(source: Path, out: Path, order: list[int], of: int, *more: str | Path) -> None:
    """Render these parts, one after the other."""
    for nth in order:
        assert up(source, out, "--part", f"{nth}/{of}", *more) == 0, nth


def stored(out: Path) -> dict[str, bytes]:
    """The segments beside an output that is not there yet."""
    return {p.name: p.read_bytes() for p in sorted(journal_path(str(out)).glob("*.seg"))}


def last_line(said: pytest.CaptureFixture[str]) -> str:
    """What was said last."""
    return said.readouterr().err.strip().splitlines()[-1]


def others(path: Path) -> list[tuple[str, list[tuple[Any, bytes]]]]:
    """Every stream that is no picture: its codec, and its packets with their times."""
    with av.open(str(path)) as c:
        return [
            (s.codec_context.name, [(p.pts * p.time_base, bytes(p)) for p in packets])
            for s in c.streams
            if s.type != "video" and (packets := read(path, s.index))
        ]


def read(path: Path, index: int) -> list[av.Packet]:
    """A stream's packets."""
    with av.open(str(path)) as c:
        return [p for p in c.demux(c.streams[index]) if p.size]


def room(folder: Path, name: str) -> Path:
    """A folder for the streams of a child beside another."""
    (folder / name).mkdir()
    (folder / name / "said.txt").touch()
    return folder / name


def until(true: Any, process: Any) -> None:
    """Wait for something, as long as a child lives."""
    while not true() and process.is_alive():
        time.sleep(0.002)


def held(folder: Path, *command: str | Path, meanwhile: Any) -> tuple[int, str]:
    """A child that is stopped once a segment is stored, and goes on after `meanwhile()`."""

    def stop(process: Any) -> None:
        until(lambda: stored(Path(command[1])), process)
        os.kill(process.pid, signal.SIGSTOP)
        meanwhile()
        os.kill(process.pid, signal.SIGCONT)

    return in_child(folder, *command, before=short_segments_slowly, meanwhile=stop)


def logging(log: str) -> None:
    """Short segments, slowly; every one that is stored is a line of a file."""
    import misr.pipeline as p

    short_segments_slowly()
    write = p.write_segment

    def told_of(path: Path, first: int, *args: Any) -> None:
        with open(log, "a") as f:
            f.write(f"{first}\n")
        write(path, first, *args)

    p.write_segment = told_of
