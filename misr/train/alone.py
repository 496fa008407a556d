"""Pictures and clips at the size in which users want them enlarged, with no sharp side: read as they are, never shrunk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from misr.errors import InputError
from misr.train.data import busiest
from misr.train.degrade import Plane
from misr.train.features import EACH
from misr.train.footage import load_pack, sources

ANY = 1 << 62  # bytes: as large as it is


@dataclass(frozen=True, slots=True)
class Alone:
    """Planes (h, w), uint8 luma 16-235, of how many sources; and what a user should know of how they were taken."""

    planes: tuple[Plane, ...] = ()
    sources: int = 0
    notes: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """How much there is, in one line."""
        size = sum(p.nbytes for p in self.planes)
        return f"{len(self.planes)} pictures without a sharp side from {self.sources} sources; {size / 2**20:.0f} MiB"


def gather(
    option: str,
    paths: Sequence[str | Path],
    *,
    crop: int,
    most_bytes: int,
    say: Callable[[str], None] = lambda line: None,
) -> Alone:
    """Read all that the paths of an option mean: pictures, every eighth frame of clips and of packs.

    crop          pixels along a side of what is learned from; InputError where nothing is as large
    most_bytes    pixels in memory; every source gets an equal part, and gives of each picture what varies most beyond that
    """
    packs, clips, pictures = sources(paths)
    each = most_bytes // max(1, len(packs) + len(clips) + len(pictures))
    planes: list[Plane] = []
    notes: list[str] = []
    for path in clips:
        say(f"reading {path}")
        found, told = frames(path, each)
        planes += found
        notes += told
    for path in pictures:
        planes += still(path, each)
    for path in packs:
        it = load_pack(path)
        planes += [*it.stills, *it.valid_stills, *(f for c in (*it.clips, *it.valid_clips) for f in c[::EACH])]
    large = [p for p in planes if min(p.shape) >= crop]
    if not large:
        sizes = sorted({f"{p.shape[1]}x{p.shape[0]}" for p in planes})
        there = f"nothing is larger than {sizes[-1]}" if sizes else "nothing in it is a picture or a clip of 48 pixels"
        raise InputError(
            f"{option} {', '.join(map(str, paths))}: {there}, and crops are {crop}x{crop}; give a smaller --crop, or larger ones"
        )
    if left := len(planes) - len(large):
        notes.append(f"{option}: {left} of {len(planes)} pictures are smaller than {crop}x{crop}; left out")
    return Alone(tuple(large), len(packs) + len(clips) + len(pictures), tuple(notes))


def frames(path: str, most_bytes: int) -> tuple[list[Plane], list[str]]:
    """Every eighth frame of a clip, and what was left out; all pictures of a folder of numbered ones."""
    from misr.train.takes import is_still, runs  # here, for packs are read also where no decoder is

    if Path(path).is_dir():
        files = [p for p in sorted(Path(path).iterdir()) if is_still(p)]
        return [plane for p in files for plane in still(str(p), most_bytes // len(files))], []
    stacks, notes = runs(path, most_bytes, halve=False)
    return [frame for stack in stacks for frame in stack[::EACH]], notes


def still(path: str, most_bytes: int) -> list[Plane]:
    """A picture at its size, or the part of it that varies most; nothing where it is tiny."""
    from misr.train.takes import picture

    return [p if p.nbytes <= most_bytes else busiest(p[None], int(most_bytes**0.5))[0] for p in picture(path, ANY)[:1]]
