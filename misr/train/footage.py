"""What a user gives to learn from: clips, pictures, folders of both, packs; read into memory once, split by source.

A source is one clip, one picture or one folder of numbered pictures. What validates comes from sources that no training
sees; a clip that is the only one gives its end instead.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from misr.errors import InputError
from misr.train.data import Material, Twin, load_scenes
from misr.train.degrade import Plane
from misr.train.revisits import Place

SHORTEST = 4  # frames that can validate


@dataclass(frozen=True, slots=True)
class Footage:
    """Pixels of both sides, the sources on each, and what a user should know of how they were taken.

    places    pieces of bursts, where those are what is learned from
    twins     pairs of small and sharp pictures to learn from, and to judge by, where those are
    alone     small pictures that have no sharp side
    """

    material: Material
    train: tuple[str, ...]
    valid: tuple[str, ...]
    notes: tuple[str, ...]
    places: tuple[Place, ...] = ()
    twins: tuple[tuple[Twin, ...], tuple[Twin, ...]] = ((), ())
    alone: tuple[Plane, ...] = ()

    @property
    def used(self) -> str:
        """What was learned from, for a card."""
        if self.places:
            return f"{self.bursts}, views hidden from the net"
        if self.pairs:
            n = len(self.train)
            known = self.pairs + (f", and made ones of {n} clean source{'s' if n > 1 else ''}" if n else "")
        else:
            known = (
                f"{len(self.train)} sources, {len(self.material.stills)} stills and {len(self.material.clips)} shots"
            )
        return known + (f", and {len(self.alone)} small pictures without pairs" if self.alone else "")

    @property
    def bursts(self) -> str:
        """How many bursts there are."""
        return f"{len(self.train)} burst{'s' if len(self.train) > 1 else ''}"

    @property
    def pairs(self) -> str:
        """How many pairs of small and sharp pictures are learned from; nothing where none are."""
        n = len(self.twins[0])
        return f"{n} pair{'s' if n > 1 else ''} of small and sharp pictures" if n else ""

    @property
    def told(self) -> str:
        """How much there is, in one line."""
        it = self.material
        if self.places:
            return f"{len(self.places)} pieces of {self.bursts}; a quarter of the views of each judges"
        if self.pairs:
            return f"{self.pairs} to learn from; {len(self.twins[1])} to judge by"
        size = sum(p.nbytes for p in (*it.stills, *it.valid_stills, *it.clips, *it.valid_clips))
        others = f"{len(self.valid)} others" if self.valid else "the packs' own, or their end"
        return (
            f"{len(it.stills)} stills and {sum(map(len, it.clips))} frames in {len(it.clips)} shots from {len(self.train)} "
            f"sources; for validation {len(it.valid_stills)} stills and {sum(map(len, it.valid_clips))} frames from "
            f"{others}; {size / 2**20:.0f} MiB"
        )


def gather(
    paths: Sequence[str | Path],
    *,
    share: float = 0.1,
    most_bytes: int = 2 << 30,
    halve: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Footage:
    """Read all that the paths mean.

    share         of the sources of each kind that are held out
    most_bytes    pixels in memory; every source gets an equal part, and gives spread-out runs where it has more
    halve         shrink frames of lossy codecs from 720 lines on by 2, where less of the codec shows
    """
    packs, clips, pictures = sources(paths)
    (clips_kept, clips_out), (stills_kept, stills_out) = split(clips, share), split(pictures, share)
    each = most_bytes // max(1, len(clips) + len(pictures))
    notes: list[str] = []
    train_clips, valid_clips = (read_clips(part, each, halve, notes, say) for part in (clips_kept, clips_out))
    if train_clips and not valid_clips:
        train_clips, valid_clips = parted(train_clips, clips_kept[0])
        notes.append(f"{clips_kept[0]} is the only clip: its end is kept for validation")
    train, valid = (read_stills(part, each) for part in (stills_kept, stills_out))
    material = Material(train, valid, train_clips, valid_clips)
    for path in packs:
        material = joined(material, load_pack(path))
    check(material, paths)
    return Footage(material, (*clips_kept, *stills_kept, *packs), (*clips_out, *stills_out), tuple(notes))


def read_clips(
    paths: Sequence[str], most_bytes: int, halve: bool, notes: list[str], say: Callable[[str], None]
) -> list[Plane]:
    """The stacks of clips; what was left out goes to the notes."""
    found: list[Plane] = []
    for path in paths:
        from misr.train.takes import runs  # here, for packs are read also where no decoder is

        say(f"reading {path}")
        stacks, note = runs(path, most_bytes, halve=halve)
        found += stacks
        notes += note
    return found


def read_stills(paths: Sequence[str], most_bytes: int) -> list[Plane]:
    """The planes of pictures."""
    if not paths:
        return []
    from misr.train.takes import picture

    return [plane for path in paths for plane in picture(path, most_bytes)]


def load_pack(path: str) -> Material:
    """A pack's pixels; InputError for another npz."""
    try:
        return load_scenes(Path(path))
    except (KeyError, ValueError, OSError) as e:
        raise InputError(
            f"{path}: not a pack of training pixels ({e}); misr.train.data.pack_scenes makes one"
        ) from None


def check(material: Material, paths: Sequence[str | Path]) -> None:
    """InputError where there is nothing to learn from, or nothing to judge by."""
    asked = ", ".join(str(p) for p in paths) or "nothing"
    if not material.stills and not material.clips:
        raise InputError(f"{asked}: no clip and no picture in it; give clips, pictures, or folders of them")
    if not material.valid_stills and not material.valid_clips:
        raise InputError(f"{asked}: a single picture is too little, as some must be held out; add pictures or a clip")


def sources(paths: Sequence[str | Path]) -> tuple[list[str], list[str], list[str]]:
    """Packs, clips (folders of numbered pictures too) and pictures that paths mean, each once, sorted."""
    packs, clips, pictures = set[str](), set[str](), set[str]()
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder to train from")
        if path.suffix == ".npz":
            packs.add(str(path.resolve()))
            continue
        from misr.train.takes import is_still, walked

        for found in walked(path.resolve()) if path.is_dir() else [path.resolve()]:
            (pictures if is_still(found) else clips).add(str(found))
    return sorted(packs), sorted(clips), sorted(pictures)


def split(paths: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """Those to train from and those held out, evenly spread; of a single one nothing is held out."""
    if len(paths) < 2:
        return list(paths), []
    k = min(len(paths) - 1, max(1, round(share * len(paths))))
    out = {round((i + 0.5) * len(paths) / k - 0.5) for i in range(k)}
    return [p for i, p in enumerate(paths) if i not in out], [p for i, p in enumerate(paths) if i in out]


def parted(stacks: list[Plane], path: str) -> tuple[list[Plane], list[Plane]]:
    """Stacks of one clip, and its last ones: a sixth, or a third of a lone stack."""
    if len(stacks) > 1:
        k = max(1, len(stacks) // 6)
        return stacks[:-k], stacks[-k:]
    (stack,) = stacks
    k = len(stack) // 3
    if k < SHORTEST:
        raise InputError(
            f"{path}: {len(stack)} frames are too few to learn from and to judge by; add clips or pictures"
        )
    return [stack[:-k]], [stack[-k:]]


def joined(one: Material, other: Material) -> Material:
    """Both."""
    return Material(
        [*one.stills, *other.stills],
        [*one.valid_stills, *other.valid_stills],
        [*one.clips, *other.clips],
        [*one.valid_clips, *other.valid_clips],
    )
