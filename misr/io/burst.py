"""open_burst: pictures of one place, whatever they are stored in, as a Burst of views."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from glob import glob
from importlib.util import find_spec
from math import isfinite
from pathlib import Path

from misr.errors import InputError
from misr.io.opening import CLIP_SUFFIXES
from misr.io.pictures import natural
from misr.io.probav import Imgset, is_imgset
from misr.io.raster import RasterView, rasters
from misr.io.stills import ARRAYS, PICTURES, PLAIN_TIFF, arrays, pictures, span
from misr.io.tags import geo_tagged
from misr.io.view import ToldView, View

RASTERS = {".tif", ".tiff", ".jp2", ".j2k", ".vrt", ".img", ".ntf"}  # through rasterio
WORLD_FILES = (".pgw", ".pngw", ".jgw", ".jpgw", ".wld")
DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?:T(\d\d)(\d\d)(\d\d))?(?!\d)")


@dataclass(frozen=True, slots=True)
class Burst:
    """Views of one place, in the order given or found.

    name    what to call the whole
    views   at least one; all of one dtype and number of bands; of one size unless they say where they lie
    names   of the bands
    notes   what a person should know of how it was opened, a sentence each
    """

    name: str
    views: tuple[View, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def close(self) -> None:
        """Let go of all files."""
        for view in self.views:
            view.close()


def open_burst(
    paths: Sequence[str],
    *,
    masks: Sequence[str] = (),
    at: Fraction | None = None,
    count: int = 0,
    exposures: Sequence[float] | str = (),
    nodata: float | None = None,
    any_size: bool = False,
) -> Burst:
    """The views of files, folders, globs, arrays, PROBA-V scenes, or of a span of one video. InputError in one sentence.

    paths      in the order they are to have; a folder's files in natural order of names. A folder leaves out the few that are
               of another kind (size, bands, dtype) than most of it, with a note; between files named one by one that is an error
    masks      like paths: one for all views, one a view in order, or by name where each view's stem is in one mask's stem;
               nonzero = valid (the first band of a picture or raster; an array of (views, h, w) is a mask a view)
    at, count  seconds from the beginning of a video, and how many frames around that moment (see stills.span)
    exposures  relative, one a view; or a text file with a number, or a name and a number, a line. Otherwise what the files tell
    nodata     the code without data, of all views, whatever the files say
    any_size   views may differ in size though they do not say where they lie
    """
    found: list[View] = []
    notes: list[str] = []
    try:
        for path in paths:
            views, said = opened(path, at, count, nodata)
            notes += said
            if Path(path).is_dir() and not any_size:
                views, said = without_strangers(views, path)
                notes += said
            found += views
        agree(found, any_size)
        notes += one_place(found)
        told = with_words(found, mask_views(masks), exposure_of_each(exposures, found))
    except BaseException:
        for view in found:
            view.close()
        raise
    names = found[0].names or tuple(f"band {i + 1}" for i in range(found[0].bands))
    return Burst(title(paths), tuple(told), names, tuple(notes))


def title(paths: Sequence[str]) -> str:
    """What to call a burst: its one folder or file, or the folder its files are in."""
    first = Path(paths[0])
    if len(paths) == 1 and "*" not in first.name:
        return first.stem if first.is_file() else first.resolve().name
    return first.resolve().parent.name


def opened(path: str, at: Fraction | None, count: int, nodata: float | None) -> tuple[list[View], list[str]]:
    """The views of one thing a user named, and notes."""
    clip = Path(path).suffix.lower() in CLIP_SUFFIXES
    if at is not None or clip:
        if at is None:
            raise InputError(f"{path}: a video; say around which moment views are taken (--at SECONDS)")
        if not clip:
            raise InputError(f"{path}: a moment was given (--at), and this is no video; leave one of them out")
        return [*span(path, at, count)], []
    if is_imgset(path):
        return [*Imgset(Path(path)).views()], []
    files = files_of(path)
    found: list[View] = []
    notes: list[str] = []
    try:
        for file in files:
            views, said = views_of(file, nodata, one=len(files) > 1)
            found += views
            notes += said
    except BaseException:
        for view in found:
            view.close()
        raise
    return found, notes


def files_of(path: str) -> list[str]:
    """The files a name means: itself, a folder's, those a glob matches; in natural order. InputError when there is none."""
    known = RASTERS | PICTURES | ARRAYS
    if Path(path).is_dir():
        found = [p for p in Path(path).iterdir() if p.suffix.lower() in known and not p.name.startswith(".")]
        if not found:
            raise InputError(f"{path}: no picture or raster in this folder ({' '.join(sorted(known))})")
        return [str(p) for p in sorted(found, key=natural)]
    if not Path(path).exists() and re.search(r"[*?\[]", path):
        matched = sorted((Path(p) for p in glob(path, recursive=True)), key=natural)
        if not matched:
            raise InputError(f"{path}: no file matches; check the folder and the spelling")
        return [str(p) for p in matched]
    if not Path(path).exists():
        raise InputError(f"{path}: no such file")
    return [path]


def views_of(path: str, nodata: float | None, *, one: bool = False) -> tuple[list[View], list[str]]:
    """The views of one file, by what its name ends in; plain TIFFs do without rasterio where they must."""
    suffix = Path(path).suffix.lower()
    if suffix in ARRAYS:
        return [*arrays(path, nodata, one=one)], []
    plain = suffix in PLAIN_TIFF and find_spec("rasterio") is None and not geo_tagged(path)
    if plain or suffix in PICTURES and not located(path):
        return [*pictures(path, nodata)], []
    views, notes = rasters(path, nodata)
    return [*views], [*notes]


def located(path: str) -> bool:
    """Whether a world file beside a picture says where it lies."""
    return any(Path(path).with_suffix(s).is_file() for s in WORLD_FILES)


Kind = tuple[str, int, int, int]


def kind(view: View, sized: bool) -> Kind:
    """What views of a burst must have in common: dtype and bands, and the size where it counts."""
    return view.dtype.name, view.bands, *((view.width, view.height) if sized else (0, 0))


def sized(views: Sequence[View]) -> bool:
    """Whether sizes must agree: not where every view says where on the Earth it lies."""
    return not all(v.geo is not None and v.geo.crs for v in views)


def without_strangers(views: list[View], folder: str) -> tuple[list[View], list[str]]:
    """The views that are of the kind more than half of them have, and a note about those left out."""
    by_size = sized(views)
    counts = Counter(kind(v, by_size) for v in views)
    most, number = counts.most_common(1)[0]
    if number == len(views) or 2 * number <= len(views):
        return views, []
    left = [v for v in views if kind(v, by_size) != most]
    for view in left:
        view.close()
    names = ", ".join(f"{Path(v.name).name} ({described(v)})" for v in left[:3]) + (", ..." if len(left) > 3 else "")
    kept = [v for v in views if kind(v, by_size) == most]
    return kept, [f"{folder}: left out {names}: not of the kind of the other {number} ({described(kept[0])})"]


def described(view: View) -> str:
    """Size, bands and dtype of a view in words."""
    return f"{view.width}x{view.height}, {view.bands} {'band' if view.bands == 1 else 'bands'}, {view.dtype.name}"


def agree(views: Sequence[View], any_size: bool) -> None:
    """InputError naming the first two views that cannot be fused as they are."""
    if not views:
        raise InputError("no view at all; name files, a folder or a video")
    by_size = sized(views) and not any_size
    for view in views[1:]:
        if kind(view, False) != kind(views[0], False):
            what_now = "convert them to the same, or leave one out"
        elif by_size and kind(view, True) != kind(views[0], True):
            what_now = "crop them to the same ground, or leave one out"
        else:
            continue
        raise InputError(f"{views[0].name} is {described(views[0])}, {view.name} is {described(view)}; {what_now}")


def one_place(views: Sequence[View]) -> list[str]:
    """Make equal coordinate systems read alike; InputError where two differ, a note where some views have none."""
    lying = [v for v in views if isinstance(v, RasterView) and v.geo is not None and v.geo.crs]
    for view in lying[1:]:
        ours, theirs = lying[0].geo, view.geo
        assert ours is not None and theirs is not None
        if ours.crs != theirs.crs and not same_system(ours.crs, theirs.crs):
            raise InputError(
                f"{lying[0].name} and {view.name} are in different coordinate systems; bring them into one "
                "(gdalwarp -t_srs), or leave one out"
            )
        view.geo = replace(theirs, crs=ours.crs)
    if lying and len(lying) < len(views):
        lost = next(v for v in views if v.geo is None or not v.geo.crs)
        return [f"{lost.name}: no coordinate system, {lying[0].name} has one; it is placed by its content alone"]
    return []


def same_system(a: str, b: str) -> bool:
    """Whether two WKTs mean one coordinate system."""
    from rasterio.crs import CRS

    return bool(CRS.from_wkt(a) == CRS.from_wkt(b))


def mask_views(paths: Sequence[str]) -> list[View]:
    """Masks as views, in order."""
    found: list[View] = []
    for path in paths:
        files = files_of(path)
        found += [v for f in files for v in views_of(f, None)[0]]
    return found


def mask_of_each(masks: Sequence[View], views: Sequence[View]) -> list[View | None]:
    """The mask of every view: by name where every view has one of its own, else the only one, else in order."""
    if not masks:
        return [None] * len(views)
    by_name = [[m for m in masks if stem(v) in stem(m)] for v in views]
    if all(len(m) == 1 for m in by_name) and len({id(m[0]) for m in by_name}) == len(views):
        return [m[0] for m in by_name]
    if len(masks) not in (1, len(views)):
        raise InputError(
            f"{masks[0].name}: {len(masks)} masks for {len(views)} views; give one for all, or one a view in their order"
        )
    return [*(masks if len(masks) == len(views) else [masks[0]] * len(views))]


def stem(view: View) -> str:
    """The name of a view's file without folder and suffix, with its number in the file."""
    file, _, number = Path(view.name).name.partition("#")
    return f"{Path(file).stem}#{number}" if number else Path(file).stem


def exposure_of_each(given: Sequence[float] | str, views: Sequence[View]) -> list[float | None]:
    """The exposure of every view as the user gives it, else as its file tells it; InputError when they do not match."""
    if isinstance(given, str):
        given = read_exposures(given, views)
    if not given:
        return [v.exposure for v in views]
    if len(given) != len(views):
        raise InputError(f"{len(given)} exposures for {len(views)} views; give one a view, in their order")
    if not all(isfinite(e) and e > 0 for e in given):
        raise InputError(f"exposures {', '.join(f'{e:g}' for e in given)}: each must be a number above 0")
    return [float(e) for e in given]


def read_exposures(path: str, views: Sequence[View]) -> list[float]:
    """A number a line, in the views' order, or a view's name and a number a line, in any; # begins a remark."""
    try:
        lines = [line.split("#")[0].replace(",", " ").split() for line in Path(path).read_text().splitlines()]
        lines = [line for line in lines if line]
        numbers = [float(line[-1]) for line in lines]
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: not exposures, a number a line ({e})") from None
    if any(len(line) == 1 for line in lines):
        return numbers
    by_name = {Path(line[0]).name: value for line, value in zip(lines, numbers, strict=True)}
    missing = [v.name for v in views if Path(v.name).name not in by_name and stem(v) not in by_name]
    if missing:
        raise InputError(f"{path}: no exposure for {missing[0]}; add a line with its name and a number")
    return [by_name.get(Path(v.name).name, by_name.get(stem(v), 0.0)) for v in views]


def with_words(views: Sequence[View], masks: Sequence[View], exposures: Sequence[float | None]) -> list[View]:
    """Views with their masks, exposures, and the date in their name where the file does not tell one."""
    told: list[View] = []
    for view, mask, exposure in zip(views, mask_of_each(masks, views), exposures, strict=True):
        time = view.time or named_time(Path(view.name).name)
        plain = mask is None and exposure == view.exposure and time == view.time
        told.append(view if plain else ToldView(view, mask, exposure, time))
    return told


def named_time(name: str) -> str:
    """The first date in a name, with its time of day where it has one, as ISO 8601."""
    found = DATE.search(name)
    if not found:
        return ""
    date, clock = "-".join(found.groups()[:3]), ":".join(g for g in found.groups()[3:] if g)
    return f"{date}T{clock}" if clock else date
