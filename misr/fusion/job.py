"""From what a user says to a Job: views open and placed, the method chosen; everything that can fail early is found here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd, lcm
from pathlib import Path
from typing import Any

from misr import __version__
from misr.adapting import Adapted
from misr.burst import Ready, ready
from misr.errors import InputError, OutputError
from misr.fusion import adapting
from misr.fusion.choose import Method, checked, method
from misr.fusion.identity import files_of, fingerprint, rounded
from misr.fusion.settings import Fusing
from misr.io.burst import Burst, open_burst
from misr.io.canvas import fitting
from misr.io.product import TIFF, Output, beside, want

TILE = 256  # LR pixels, at least: memory, and what is computed twice in the halo, are in balance there
ALIGN = 16  # LR pixels: windows begin at multiples of it, so that holes are filled alike in all of them
SMALLEST = 8  # pixels along a side of a view
Progress = Callable[[str, int, int], None]  # what is being done, steps done, steps in all
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """A plan, ready to run.

    views, out   as the user named them
    told         what there is to say about the views (Ready.told())
    tile         LR pixels of a square tile
    adapting     what --adapt will do, as the report has it; adapted: what came of it
    """

    views: tuple[str, ...]
    out: str
    how: Fusing
    burst: Burst
    ready: Ready
    method: Method
    told: dict[str, Any]
    tile: int
    adapting: dict[str, Any] | None = None
    adapted: Adapted | None = None

    @property
    def multiple(self) -> int:
        """LR pixels at whose multiples windows begin."""
        return lcm(ALIGN, self.method.card.multiple)

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the pixels: a journal of another identity is begun anew."""
        return {
            "version": __version__,
            "inputs": fingerprint((*self.views, *self.how.masks)),
            **self.how.deciding,
            "method": [self.method.name, self.method.card.sha256, self.method.precision, self.method.device.type],
            "tile": self.tile,
            "burst": rounded(self.told),
        }

    def close(self) -> None:
        """Let go of the views."""
        self.burst.close()


def plan(
    views: Sequence[str | Path],
    out: str | Path,
    how: Fusing,
    *,
    progress: Progress | None = None,
) -> Job:
    """Open the views, place them, choose the method; nothing is written. InputError, OutputError or ModelError in a sentence."""
    names = tuple(str(v) for v in views)
    if not names:
        raise InputError("no views: name files, a folder, or a video and a time")
    check_target(names, str(out), how)
    check_report(how.report)
    preparing = how.preparing
    if how.method:
        checked(how.method, how.scale)
    adapting.check(how, [Path(name) for name in names])
    burst = open_burst(names, masks=how.masks, at=how.at, count=how.views, exposures=how.exposures, nodata=how.nodata)
    try:
        check_size(burst)
        check_kind(burst, Path(out), how)
        got = ready(burst, preparing, progress=progress)
        wish = adapting.dealt_out(got, how)
        chosen = method(how.method, len(got.order), how.scale, device=how.device, precision=how.precision)
        tile = how.tile or tile_for(chosen.scale)
        return Job(names, str(out), how, burst, got, chosen, got.told(chosen.scale), tile, wish)
    except BaseException:
        burst.close()
        raise


def tile_for(scale: int) -> int:
    """LR pixels of a tile that fills whole blocks of the output."""
    step = Output.block // gcd(Output.block, scale)
    return -(-TILE // step) * step


def check_target(views: Sequence[str], out: str, how: Fusing) -> None:
    """Refuse what would lose something, or has nowhere to go."""
    path = Path(out)
    if not path.parent.is_dir():
        raise OutputError(f"{path.parent}: no such folder; make it first")
    if path.is_dir():
        raise OutputError(f"{out} is a folder; one burst becomes one picture, name a file such as {path / 'fused.tif'}")
    for made in (path, *([beside(path)] if how.sigma else [])):
        if made.exists() and any(made.samefile(v) for v in files_of(views)):
            raise OutputError(f"{made} is one of the views; give the output another name")
        if made.exists() and not how.overwrite:
            raise OutputError(f"{made} exists; -y overwrites it")


def check_size(burst: Burst) -> None:
    """InputError for views too small to tell where they lie."""
    for view in burst.views:
        if min(view.width, view.height) < SMALLEST:
            raise InputError(
                f"{view.name}: {view.width}x{view.height} pixels; fusing wants {SMALLEST} at least on a side"
            )


def check_kind(burst: Burst, path: Path, how: Fusing) -> None:
    """OutputError where a file of this name cannot hold the picture."""
    wanted = want(path, burst, 0, 1, None, None, how.dtype or "", how.cog)
    if path.suffix.lower() not in TIFF:
        fitting(path, wanted.dtype, len(wanted.names))


def check_report(report: str | None) -> None:
    """OutputError where a report has nowhere to go."""
    if report and (not Path(report).parent.is_dir() or Path(report).is_dir()):
        raise OutputError(f"{report}: not a place for a report; name a file in a folder that exists")


def silent(line: str) -> None:
    """Say nothing."""
