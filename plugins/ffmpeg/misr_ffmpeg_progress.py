"""What misr tells of its progress, handed on: its lines of JSON to programs, a bar made of them to people; and of how much."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from itertools import pairwise
from math import inf, isnan, nan
from typing import IO, Any

from tqdm import tqdm

CUTS = {"-ss", "-sseof", "-t", "-to", "-frames:v", "-vframes", "-frames", "-fs", "-stream_loop", "-itsscale"}


def kind_of(mine: list[str]) -> str:
    """What misr's options say of progress: bar, json or none; of `--progress` twice the last."""
    kind = "bar"
    for word, after in pairwise([*mine, ""]):
        if word == "--progress" or word.startswith("--progress="):
            kind = word.partition("=")[2] or after
    return kind


def told_as(kind: str) -> list[str]:
    """misr's option for it: a bar is made of lines of JSON, and only where somebody sees it."""
    return ["--progress", "json"] if kind == "bar" and sys.stderr.isatty() else []


class Progress:
    """Hands on what misr tells; kind: `bar` draws on a terminal, `json` prints lines, with the input and output of the whole.

    As a context it ends when all is done, or has failed: misr may have ended well and the writer not, or the other way round.
    """

    def __init__(self, kind: str, source: str, target: str) -> None:
        self.kind, self.paths = kind, {"input": source, "output": target}
        self.last: dict[str, Any] | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        if self.kind != "json" or not self.last:
            return
        why = str(error) if isinstance(error, Exception) else "interrupted; nothing was written"
        how = {"event": "error", "message": why} if error else {"event": "end", "message": None, "eta_s": 0.0}
        print(json.dumps(self.last | how), file=sys.stderr, flush=True)

    def follow(self, lines: Iterable[bytes], rest: IO[str]) -> None:
        """Show lines of JSON as they come, until misr closes its standard error; the others go to `rest`."""
        drawn = 0
        try:
            for line in lines:
                if self.kind not in ("bar", "json") or not line.startswith(b"{"):
                    rest.write(line.decode(errors="replace"))
                    continue
                self.last = row = json.loads(line) | self.paths
                if self.kind == "json" and row["event"] in ("start", "progress"):
                    print(json.dumps(row), file=sys.stderr, flush=True)
                elif self.kind == "bar" and row["event"] != "error":
                    text = bar(row, shutil.get_terminal_size().columns - 1)
                    print(f"\r{text:{drawn}}", end="", file=sys.stderr, flush=True)
                    drawn = len(text)
        finally:
            if drawn:
                print(file=sys.stderr)


def bar(row: dict[str, Any], columns: int) -> str:
    """A line of JSON as misr's own bar: `upscaling:  35%|...| 105/300 frames [00:04<00:08, 24.1 fps]`."""
    eta = "?" if row["eta_s"] is None else tqdm.format_interval(row["eta_s"])
    rate = "?" if row["per_s"] is None else f"{row['per_s']:.1f}"
    known = f"{{percentage:3.0f}}%|{{bar}}| {{n_fmt}}/{{total_fmt}} frames [{{elapsed}}<{eta}, {rate} fps]"
    unknown = f"{{n_fmt}} frames [{{elapsed}}, {rate} fps]"
    shape = f"{row['doing']}: {known if row['total'] else unknown}"
    return str(tqdm.format_meter(row["done"], row["total"], row["elapsed_s"], ncols=columns, bar_format=shape))


def lasting(asked: list[str], whole_s: float | None) -> float | None:
    """Seconds that ffmpeg will read of `whole_s` with the options `asked`; None where that cannot be known."""
    if asked.count("-i") > 1 or CUTS & {*asked} - {"-ss", "-t", "-to"}:
        return None
    said = [(word, clock_s(value)) for word, value in pairwise(asked) if word in CUTS]
    begin_s = sum(s for word, s in said if word == "-ss")
    ends_s = [s if word == "-t" else s - begin_s for word, s in said if word in ("-t", "-to")]
    left_s = min([*ends_s, inf if whole_s is None else whole_s - begin_s])
    readable = not any(isnan(s) for _, s in said)
    return left_s if readable and 0 < left_s < inf else None


def clock_s(text: str) -> float:
    """ffmpeg's [[hh:]mm:]ss[.fff], with or without s, ms or us behind it; not a number where it is something else."""
    unit = next((u for u in ("us", "ms", "s") if text.endswith(u)), "")
    try:
        parts = [float(part) for part in text.removesuffix(unit).split(":")]
    except ValueError:
        return nan
    return sum(part * 60**n for n, part in enumerate(reversed(parts))) * {"us": 1e-6, "ms": 1e-3}.get(unit, 1)
