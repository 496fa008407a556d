"""misr run as a user runs it: in this process, or in one of its own that can be sabotaged; and what it made, read back."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch

from tests import media

STEPS_MS = [40, 20, 90, 33, 7, 250]  # a wild variable frame rate
FORKS = multiprocessing.get_context("forkserver")  # children that have torch and PyAV loaded already
FORKS.set_forkserver_preload(["misr.plan", "misr.pipeline", "misr.cli", "misr.cli.progress", "misr.nets"])


def clip(path: Path, n: int = 24, *, vfr: bool = False, start_ms: int = 0, rich: bool = False, **more: Any) -> Path:
    """A small clip of n frames, 25 per second or wild; `rich`: with sound and subtitles."""
    steps = STEPS_MS if vfr else [40]
    pts = [start_ms + sum(steps[k % len(steps)] for k in range(i)) for i in range(n)]
    tracks: Any = {"audio": ["pcm_s16le"], "subtitles": ["subrip"]} if rich else {}
    quick = {"preset": "ultrafast"} if more.get("codec", "libx264") == "libx264" else {}
    usual: Any = {"pts": pts, "time_base": Fraction(1, 1000), "size": (64, 48), "options": quick}
    return media.clip(path.parent, name=path.stem, suffix=path.suffix[1:], **(usual | tracks | more))


def corrupt(path: Path, *which: int) -> Path:
    """A copy in which the packets numbered `which`, in file order, begin with zeros: their pictures do not decode."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as c:
        packets = [bytes(p) for p in c.demux(c.streams.video[0]) if p.size]
    for n in which:
        at = data.find(packets[n])
        assert at >= 0
        data[at : at + len(packets[n])] = bytes(len(packets[n]))
    bad = path.with_name(f"bad{path.suffix}")
    bad.write_bytes(data)
    return bad


def decoded(path: Path) -> list[tuple[Fraction, bytes]]:
    """Time and samples of every frame."""
    rgb = {"bgr0": "rgb24", "rgba": "rgba"}
    return [
        (f.pts * Fraction(f.time_base), f.to_ndarray(format=rgb.get(f.format.name)).tobytes()) for f in media.read(path)
    ]


def misr(*args: str | Path) -> int:
    """The command line in this process; its exit code. One thread: two that wait for each other are slow beside other work."""
    from misr.cli import main

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return main([str(a) for a in args])
    except SystemExit as e:
        return int(e.code or 0)
    finally:
        torch.set_num_threads(threads)


def up(source: str | Path, target: str | Path, *more: str | Path) -> int:
    """`misr upscale` with the cheapest model."""
    return misr("upscale", source, target, *([] if "-m" in more else ["-m", "bilinear"]), "--progress", "none", *more)


def child(args: list[str], folder: str, before: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    """What runs in a forked process: its streams are files of a folder, `before` arms it, then it is misr."""
    (Path(folder) / "sent").touch()
    for fd, name in ((0, "sent"), (1, "got"), (2, "said.txt")):
        os.dup2(os.open(Path(folder) / name, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if fd else 0)), fd)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if before:
        before(*given)
    sys.exit(misr(*args))


def in_child(
    folder: Path,
    *args: str | Path,
    before: Callable[..., None] | None = None,
    given: tuple[Any, ...] = (),
    meanwhile: Callable[[Any], None] | None = None,
    command: str = "upscale",
) -> tuple[int, str]:
    """`misr COMMAND` in a process that `before(*given)` may sabotage: exit code (-9: killed) and what it said.

    Its standard input is the file `sent` of the folder, its standard output the file `got`.
    """
    words = [command, *(str(a) for a in args), *([] if "-m" in args else ["-m", "bilinear"])]
    p: Any = FORKS.Process(target=child, args=([*words, "--progress", "none"], str(folder), before, given))
    p.start()
    try:
        if meanwhile:
            meanwhile(p)
        p.join(60)
        assert p.exitcode is not None, "misr hangs"
    finally:
        p.kill()
    return p.exitcode, (folder / "said.txt").read_text()


def short_segments(seconds: float = 0.4) -> None:
    """Make segments short enough for clips of a second or two."""
    import misr.pipeline

    misr.pipeline.SEGMENT_S = seconds  # type: ignore[assignment]


def short_segments_slowly() -> None:
    """The same, no faster than 50 frames a second, so that whoever waits for one of them is never too late."""
    from misr.io.encoder import Encoder

    short_segments()
    push = Encoder.push

    def slow(*args: Any, **options: Any) -> Any:
        time.sleep(0.02)
        return push(*args, **options)

    Encoder.push = slow  # type: ignore[method-assign]


def one_sentence(text: str) -> str:
    """The last line, which must be misr's message, with no traceback before it."""
    assert "Traceback" not in text, text
    assert "Exception ignored" not in text, text
    last = text.strip().splitlines()[-1]
    assert last.startswith(("misr: ", "Error: ")), text
    return last
