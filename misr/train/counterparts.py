"""Pairs of a user's own: small pictures as they are, beside the sharp ones that belong to them, in place of shrinking.

Both are found by name and must show the same: sharp pixel q lies at small pixel p with q = s * p + (s - 1) / 2, as
everywhere; misr moves nothing. Where there are few pairs, a part of each picture judges, which no training sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from misr.errors import InputError
from misr.nets import Interpolate
from misr.train import footage, relations, valid
from misr.train.data import Material, Sampler, Twin, pair
from misr.train.footage import Footage, split
from misr.train.lessons import Lesson, summed
from misr.train.loop import Run, Source
from misr.train.losses import Kind
from misr.train.sources import Crops
from misr.train.video import supervised

if TYPE_CHECKING:
    from misr.train.fit import Training

ENOUGH = 5  # pairs from which on whole ones judge
SHARE = 0.2  # of them that judge
PART = 4  # of fewer, one part in so many of each picture judges
LEAST, MOST = 8, 256  # small pixels along a side of what judges
NAMED = 5  # names in a sentence


def check(wanted: Training) -> None:
    """Refuse what contradicts --small, or wants it."""
    if wanted.small is None:
        if wanted.auxiliary:
            raise InputError(
                f"--auxiliary {wanted.auxiliary[0]}: clean pictures help real pairs; give --small too, or them as DATA"
            )
        return
    if wanted.labels != "hr":
        raise InputError(
            f"--small, --labels {wanted.labels}: pairs have sharp pictures as labels; leave one of them out"
        )
    if wanted.degradation != "bi":
        raise InputError(
            f"--small, --degradation {wanted.degradation}: nothing is shrunk where small pictures are given; leave one out"
        )


def gather(wanted: Training, net: nn.Module, say: Callable[[str], None]) -> Footage:
    """The pairs that DATA and --small are, read and split; InputError for what is no pair of this scale."""
    if hasattr(net, "unroll") or getattr(net, "bursts", False):
        raise InputError(
            "--small: the net fuses several views, and pairs are single pictures; choose a net of one view"
        )
    assert wanted.small is not None
    scale, cell = int(net.scale), max(1, int(net.cell))  # type: ignore[arg-type]
    paths, notes = matched(wanted.data, wanted.small)
    say(f"reading {len(paths)} pair{'s' if len(paths) > 1 else ''}")
    twins = [read(one, other, scale, 2 * cell) for one, other in paths]
    if (size := sum(t.small.nbytes + t.sharp.nbytes for t in twins)) > wanted.memory * 2**30:
        raise InputError(
            f"the pairs take {size / 2**30:.1f} GiB, --memory is {wanted.memory:g}; give more, or fewer pairs"
        )
    learn, judge = dealt(twins, scale, 2 * cell)
    if len(twins) < ENOUGH:
        notes.append(f"fewer than {ENOUGH} pairs: the last quarter of each picture is kept for validation")
    if not judge:
        raise InputError(
            f"the pairs are too small to keep a part of them for validation; give larger ones, or {ENOUGH}"
        )
    both = tuple(learn), tuple(judge)
    if wanted.auxiliary:
        lent = footage.gather(wanted.auxiliary, most_bytes=int(wanted.memory * 2**30), say=say)
        return replace(lent, notes=(*notes, *lent.notes), twins=both)
    return Footage(
        Material([t.sharp for t in learn], [t.sharp for t in judge], [], []), (), (), tuple(notes), twins=both
    )


def matched(sharp: Iterable[str], small: str) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Sharp and small pictures of one name each, endings aside, sorted, and what was left out, in words.

    InputError for clips and packs, for names that stand there twice, and for sharp pictures without a small one.
    """
    if not Path(small).is_dir():
        raise InputError(
            f"--small {small}: a folder is wanted, with a small picture for each sharp one, named as it is"
        )
    ours, theirs = named(sharp, "DATA"), named([small], "--small")
    if alone := [name for name in ours if name not in theirs]:
        raise InputError(
            f"--small {small}: {listed(alone)} of DATA {'have' if len(alone) > 1 else 'has'} no small picture "
            "of the same name there; add it, or leave the sharp one out"
        )
    notes = (
        [f"{small}: {listed(over)} left out, for want of a sharp one"] if (over := sorted({*theirs} - {*ours})) else []
    )
    return [(ours[name], theirs[name]) for name in sorted(ours)], notes


def named(paths: Iterable[str], what: str) -> dict[str, Path]:
    """The pictures that paths mean, by their names without the ending; InputError for what is none, and for a name twice."""
    from misr.train.takes import is_still

    found: dict[str, Path] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path}: no such file or folder to train from")
        inside = [p for p in sorted(path.rglob("*")) if is_still(p) and not p.name.startswith(".")]
        if not path.is_dir() and not is_still(path):
            raise InputError(f"{path}: not a picture; with --small, DATA are pictures and folders of them")
        for one in inside if path.is_dir() else [path]:
            if (other := found.setdefault(one.stem, one)).resolve() != one.resolve():
                raise InputError(
                    f"{what}: {other} and {one} have the same name; pairs are found by name, so rename one"
                )
    if not found:
        raise InputError(f"{what}: no picture there; give pictures, or folders of them")
    return found


def listed(names: Sequence[str]) -> str:
    """Names in a sentence, the first few of many."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def read(sharp: Path, small: Path, scale: int, multiple: int) -> Twin:
    """A pair, its small sides cut to multiples; InputError where one is not `scale` times the other."""
    from misr.train.takes import still

    large, little = still(str(sharp)), still(str(small))
    (high, wide), (h, w) = large.shape, little.shape
    if (high, wide) != (scale * h, scale * w):
        raise InputError(
            f"{small} is {w}x{h} and {sharp} is {wide}x{high}; x{scale} wants {scale * w}x{scale * h}, showing just the same"
        )
    h, w = h // multiple * multiple, w // multiple * multiple
    return Twin(sharp.stem, little[:h, :w], large[: scale * h, : scale * w])


def dealt(twins: Sequence[Twin], scale: int, multiple: int) -> tuple[list[Twin], list[Twin]]:
    """Pairs to learn from, and to judge by: whole ones where there are enough, else a part of each."""
    if len(twins) >= ENOUGH:
        by_name = {t.name: t for t in twins}
        ours, theirs = split(sorted(by_name), SHARE)
        return [by_name[name] for name in ours], [by_name[name] for name in theirs if fit(by_name[name])]
    both = [parted(t, scale, multiple) for t in twins]
    return [one for one, _ in both], [other for _, other in both if fit(other)]


def fit(twin: Twin) -> bool:
    """Whether a pair is large enough to judge by."""
    return min(twin.small.shape) >= LEAST


def parted(twin: Twin, scale: int, multiple: int) -> tuple[Twin, Twin]:
    """A pair without the last quarter of its longer side, and that quarter."""
    axis = 0 if twin.small.shape[0] > twin.small.shape[1] else 1
    n = twin.small.shape[axis]
    at = n - n // PART // multiple * multiple
    first, last = (slice(None, at), slice(at, None))
    cut = lambda part: (part, slice(None)) if axis == 0 else (slice(None), part)  # noqa: E731
    grown = lambda part: slice(*(None if x is None else scale * x for x in (part.start, part.stop)))  # noqa: E731
    one, other = (replace(twin, small=twin.small[cut(p)], sharp=twin.sharp[cut(grown(p))]) for p in (first, last))
    return one, other


def lesson(
    wanted: Training, run: Run, found: Footage, *, seed: int, kind: Kind, say: Callable[[str], None] = lambda line: None
) -> Lesson:
    """What it is to learn from pairs: crops of them, and made ones that are like them; their loss; dB on those kept aside."""
    net, device = run.net, run.device
    scale, cell = int(net.scale), max(1, int(net.cell))  # type: ignore[arg-type]
    learn, judge = found.twins
    source: Source = crops(wanted, learn, scale, cell, device, seed)
    note = ""
    if wanted.auxiliary:
        planes = relations.clean(found.material, scale, wanted.crop)
        shares = relations.shares(found, run.folder, seed=wanted.seed, say=say)
        made = relations.Auxiliary(planes, shares, scale, wanted.crop, wanted.frames or 16, device, seed)
        source, note = relations.Transfer(made, source, lambda: run.done), relations.words(shares)
        say(note)
    those = trials(judge, device)
    study = Lesson(
        source,
        partial(supervised, kind=kind, done=lambda: run.done),
        lambda it: valid.psnr_db(it, those),
        valid.psnr_db(Interpolate(scale=scale), those),
        "bicubic",
        those[0].views[..., :64, :64],
    )
    study = summed(study, kind, those, wanted, device, lambda: run.done)
    return replace(study, note="; ".join(x for x in (note, study.note) if x))


def crops(wanted: Training, twins: Sequence[Twin], scale: int, cell: int, device: torch.device, seed: int) -> Source:
    """Crops of the pairs, where the small side has detail; InputError where none is large enough."""
    made = [pair(t.sharp, t.small, scale * cell, wanted.crop // cell) for t in twins]
    if not (made := [p for p in made if len(p.corners)]):
        raise InputError(
            f"no small picture has {wanted.crop} pixels with detail along its short side to learn from; give a smaller --crop"
        )
    return Crops(Sampler(made, wanted.crop // cell, seed=seed), wanted.frames or 16, device)


def trials(judge: Sequence[Twin], device: torch.device) -> list[valid.Trial]:
    """The pairs that judge, the middles of large ones, evenly spread where there are many."""
    made = []
    for twin in valid.spread(judge, valid.MOST_STILLS):
        scale = twin.sharp.shape[0] // twin.small.shape[0]
        (y, x), (h, w) = (
            tuple(max(0, n - MOST) // 2 for n in twin.small.shape),
            (min(n, MOST) for n in twin.small.shape),
        )
        small, sharp = twin.small[y : y + h, x : x + w], twin.sharp[scale * y :, scale * x :][: scale * h, : scale * w]
        view = torch.from_numpy(small.copy()).to(device)[None, None, None].float() / 255
        made.append(valid.Trial(view, torch.from_numpy(sharp.copy()).to(device)[None].float()))
    return made
