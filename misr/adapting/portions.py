"""A clip in three portions that share no frame: to learn from, to watch while learning, and to judge by at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from misr.errors import InputError
from misr.train.degrade import Plane
from misr.train.footage import split
from misr.train.proxy import VIEWS

USUAL = 8  # frames of a block; VIEWS, the fewest that can judge, where the clip is short
SHARE = 1 / 6  # of the blocks that watch, and of those that judge


@dataclass(frozen=True, slots=True)
class Portions:
    """Stacks (t, h, w) of consecutive frames, uint8 luma."""

    learn: list[Plane]
    watch: list[Plane]
    judge: list[Plane]

    @property
    def told(self) -> str:
        """How many frames each has."""
        learn, watch, judge = (sum(map(len, part)) for part in (self.learn, self.watch, self.judge))
        return f"{learn} frames to learn from, {watch} to watch, {judge} to judge by"


def portions(stacks: Sequence[Plane], path: str) -> Portions:
    """Blocks of the shots, dealt out evenly over the clip; InputError where there are fewer than three blocks.

    A shot too short for a block can still teach. Neighbouring blocks of learning are one stack again.
    """
    size = USUAL if sum(len(s) // USUAL for s in stacks) >= 3 else VIEWS
    blocks = [(n, a, b) for n, s in enumerate(stacks) for a, b in cuts(len(s), size)]
    whole = [str(k) for k, (_, a, b) in enumerate(blocks) if b - a >= VIEWS]
    if len(whole) < 3:
        raise InputError(
            f"{path}: too short to adapt to; {3 * VIEWS} frames without a cut are the least (to learn, to watch, to judge)"
        )
    others, judge = split(whole, SHARE)
    _, watch = split(others, SHARE)
    kept: list[tuple[int, int, int]] = []
    for k, (n, a, b) in enumerate(blocks):
        if str(k) in judge or str(k) in watch:
            continue
        if kept and kept[-1][0] == n and kept[-1][2] == a:
            kept[-1] = (n, kept[-1][1], b)
        else:
            kept.append((n, a, b))

    def taken(names: Sequence[str]) -> list[Plane]:
        return [stacks[n][a:b] for n, a, b in (blocks[int(k)] for k in names)]

    return Portions([stacks[n][a:b] for n, a, b in kept], taken(watch), taken(judge))


def cuts(frames: int, size: int) -> list[tuple[int, int]]:
    """A shot as blocks of `size` frames or a little more; a shot that is shorter as one."""
    k = max(1, frames // size)
    return [(i * frames // k, (i + 1) * frames // k) for i in range(k)]
