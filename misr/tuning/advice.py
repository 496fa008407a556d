"""From facts of a clip to the way it is upscaled fast, and best. The tables here are all there is to it.

Where the numbers are from: seven training clips of ../shared/data/train/video, shrunk where their own size is not clean, made
smaller by two and then noisy or compressed; the model that came closest to the truth, and at which strength.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from misr.io.reader import ClipInfo
from misr.plan import LOSSY
from misr.tuning.facts import Facts
from misr.zoo import BEST, ROBUST, VIDEO

WORN = 20.0  # H.264's quantiser; from here (-crf 17) fast-robust-x2 is ahead of fast-x2: 0.07 dB, at -crf 23 0.27 dB
NOISY = 1.5  # codes of 255; from here fast-robust-x2 is ahead of fast-x2, at 2 by 0.34 dB; of video-x2 from 1.8 on
# (1.2 to 2.2 by clip; scripts/outlook_all --noise on six training clips)
STRENGTHS = (
    (7.0, 0.25),
    (5.0, 0.5),
    (NOISY, 0.75),
)  # noise from which less of the learned detail is closer to the truth
BLOCKY = 0.1  # of misr.tuning.measures.blocking; clean clips stay below 0.03, -crf 38 makes 0 to 0.15
SOFT = (
    0.42  # cycles/px; a blur of sigma 1 px leaves 0.30 to 0.38, cubic enlarging by 2 0.33 to 0.41, sharp clips have 0.5
)
REPEATS = 0.15  # share of frames; below, it may be chance
SLOWEST = {2: "video-x2", 4: "video-x4-quality"}  # what several frames are best fused with, by scale
QUICK = {"libx264": "veryfast", "libx265": "veryfast", "libsvtav1": "10"}  # presets for who is in a hurry


@dataclass(frozen=True, slots=True)
class Choice:
    """A way of upscaling: a model, how much of its detail, whether fields are parted, and why, in a clause."""

    model: str
    strength: float
    deinterlace: bool
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: which models it names, and when it holds; the first that holds is taken."""

    models: dict[int, str]
    holds: Callable[[Facts, ClipInfo], bool]
    why: str


def worn(facts: Facts, info: ClipInfo) -> bool:
    """Whether compression has taken more than the models for clean pictures can bear; untold counts as yes, as usual."""
    return info.codec in LOSSY if facts.quantiser is None else facts.quantiser >= WORN


def noisy(facts: Facts, info: ClipInfo) -> bool:
    """Whether there is so much noise that it would be sharpened too."""
    return facts.noise is not None and facts.noise >= NOISY


def clean(facts: Facts, info: ClipInfo) -> bool:
    """Neither worn nor noisy."""
    return not worn(facts, info) and not noisy(facts, info)


def rewarding(facts: Facts, info: ClipInfo) -> bool:
    """Whether several frames are worth their time."""
    return clean(facts, info) and facts.helps


def unforetold(facts: Facts, info: ClipInfo) -> bool:
    """Whether the picture is clean and it cannot be told what several frames bring: anything from much to less than nothing."""
    return clean(facts, info) and facts.word == "unknown"


def always(facts: Facts, info: ClipInfo) -> bool:
    """The last row."""
    return True


TABLE_FAST = (
    Row(ROBUST, worn, "learned from compressed pictures, as these are"),
    Row(ROBUST, noisy, "sharpens noise least"),
    Row(BEST, always, "one picture at a time"),
)
TABLE_BEST = (
    Row(SLOWEST, rewarding, "the picture is clean and neighbouring frames add to it"),
    Row(ROBUST, worn, "on pictures as compressed as these it is ahead of models that look at several frames"),
    Row(ROBUST, noisy, "with this much noise it is ahead of models that learned from clean pictures"),
    Row(
        BEST, unforetold, "what neighbouring frames add cannot be foretold here, and one at a time is the safer choice"
    ),
    Row(BEST, clean, "neighbouring frames add nothing here"),
    Row(BEST, always, "several frames gain nothing on worn pictures, and no model is made for them at this scale"),
)


def made_for(scale: float) -> int:
    """The scale of the models that a scale is reached with: the smallest one that reaches it."""
    return min((s for s in BEST if s >= scale), default=max(BEST))


def candidates(scale: float, asked: tuple[str, ...] = ()) -> list[str]:
    """The models that are looked at: all shipped ones for the scale, those named, each once."""
    own = made_for(scale)
    shipped = [table[own] for table in (BEST, ROBUST, VIDEO, SLOWEST) if own in table]
    return list(dict.fromkeys([*shipped, *asked]))


def choose(table: tuple[Row, ...], facts: Facts, info: ClipInfo, scale: float) -> Choice:
    """The first row that holds and has a model for the scale."""
    own = made_for(scale)
    row = next(r for r in table if own in r.models and r.holds(facts, info))
    return Choice(row.models[own], strength(facts), bool(facts.fields) and not info.interlaced, row.why)


def strength(facts: Facts) -> float:
    """How much of the learned detail is best at this noise."""
    return next((share for sigma, share in STRENGTHS if (facts.noise or 0.0) >= sigma), 1.0)
