"""Several bursts, a folder each: a picture each, named for its folder; or the submission of a PROBA-V test set, a zip."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from misr import __version__
from misr.errors import InputError, MisrError, OutputError
from misr.fusion.identity import fingerprint
from misr.fusion.job import Progress, Say, silent
from misr.fusion.render import Fusion, fuse
from misr.fusion.settings import Fusing
from misr.io.probav import Submission, is_imgset, plane
from misr.journal import Journal, journal_path
from misr.spread.crew import Crew

SUFFIX = {
    ".tif": ".tif",
    ".tiff": ".tif",
    ".npy": ".npy",
    ".npz": ".npz",
}  # of a folder's files, and of its picture; else .png


def bursts_in(views: Sequence[str | Path]) -> list[Path]:
    """The folders, where the views named are several bursts: several folders, or one that holds nothing but folders."""
    paths = [Path(v) for v in views]
    if len(paths) == 1 and paths[0].is_dir():
        inside = sorted(p for p in paths[0].iterdir() if not p.name.startswith("."))
        return inside if inside and all(p.is_dir() for p in inside) else []
    return paths if len(paths) > 1 and all(p.is_dir() for p in paths) else []


def fuse_folders(
    folders: Sequence[str | Path],
    out: str | Path,
    how: Fusing | None = None,
    *,
    skip: bool = False,
    progress: Progress | None = None,
    say: Say | None = None,
    crew: Crew | None = None,
) -> list[Fusion]:
    """Each folder's views into out/<folder's name>, or out.zip of PROBA-V scenes; what was made.

    A burst that fails does not stop the others; failures are told together at the end, as InputError. A report goes
    into the folder it names, one for each burst, and so does an adapted model: each is learned from its burst alone.

    skip    leave out pictures that are there already
    crew    does the tiles of each burst in turn, where there is one: see misr.fuse
    """
    how, say, place, paths = how or Fusing(), say or silent, Path(out), [Path(f) for f in folders]
    if not place.parent.is_dir():
        raise OutputError(f"{place.parent}: no such folder; make it first")
    names = [path.name for path in paths]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise InputError(f"{out} cannot hold two pictures named {twice[0]}; fuse them one by one")
    if place.suffix.lower() == ".zip":
        return submission(paths, place, how, progress, say, crew)
    if place.exists() and not place.is_dir():
        raise OutputError(f"{out}: several bursts need a folder to go to")
    place.mkdir(exist_ok=True)
    return each(paths, place, how, progress, say, crew, skip=skip)


def each(
    folders: list[Path],
    place: Path,
    how: Fusing,
    progress: Progress | None,
    say: Say,
    crew: Crew | None,
    *,
    skip: bool,
) -> list[Fusion]:
    """A picture in `place` for each folder."""
    made, failed = [], []
    for place_of, what in ((how.report, "reports"), (how.adapt, "models")):
        if place_of:
            folder_for(Path(place_of), what)
    for folder in folders:
        target = place / (folder.name + suffix_for(folder))
        if skip and target.exists():
            say(f"{target} exists, skipped")
            continue
        one = replace(how, report=within(how.report, folder), adapt=within(how.adapt, folder))
        try:
            made.append(fuse([folder], target, one, progress=progress, crew=crew))
            say(
                f"{target}: {made[-1].report['views_used']} of {made[-1].report['views_given']} views, {made[-1].method}"
            )
        except MisrError as e:
            failed.append(f"{folder.name}: {e}")
            say(f"failed: {e}")
    if failed:
        raise InputError(f"{len(failed)} of {len(folders)} bursts failed, the others are done: " + "; ".join(failed))
    return made


def within(place: str | None, folder: Path) -> str | None:
    """What is made of a burst besides its picture, in a place that is common to all."""
    return str(Path(place) / folder.name) if place else None


def folder_for(path: Path, what: str) -> None:
    """A folder, made where it is missing."""
    try:
        path.mkdir(exist_ok=True)
    except OSError as e:
        raise OutputError(f"{path}: no folder for {what} ({e.strerror}); name one that can be made") from None


def submission(
    folders: list[Path], target: Path, how: Fusing, progress: Progress | None, say: Say, crew: Crew | None
) -> list[Fusion]:
    """All scenes into a zip; the pictures wait in a journal beside it, so that a stopped run goes on."""
    if strange := [folder for folder in folders if not is_imgset(folder)]:
        raise InputError(f"{strange[0]}: no PROBA-V scene (LR000.png ...); a .zip takes nothing else")
    if target.exists() and not how.overwrite:
        raise OutputError(f"{target} exists; -y overwrites it")
    inputs = fingerprint([str(f) for f in folders])
    with closing(
        Journal(journal_path(str(target)), {"version": __version__, "inputs": inputs, **how.deciding})
    ) as journal:
        journal.open(say)
        made = each(folders, journal.path, how, progress, say, crew, skip=True)
        with Submission(target) as out:
            for folder in folders:
                out.add(folder.name, plane(journal.path / f"{folder.name}.png"))
        journal.remove()
    return made


def suffix_for(folder: Path) -> str:
    """What kind of picture becomes of a folder's views: as they are, where that is kept; else PNG."""
    kinds = (SUFFIX.get(p.suffix.lower()) for p in sorted(folder.rglob("*")) if p.is_file())
    return next((kind for kind in kinds if kind), ".png")
