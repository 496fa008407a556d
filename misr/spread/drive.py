"""The driver of clips: what is missing is given out, what comes back is stored, and only the driver joins, in order.

Several clips share one crew: while the last segments of one are rendered, the first of the next are given out. The journal is
that of a run on one machine, so a driver that was killed goes on where it was, and so does a plain run of the same command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from misr.errors import InputError, MisrError
from misr.pipeline import Job
from misr.plan import Result, Settings
from misr.spread.clip import Done, SegmentTask
from misr.spread.crew import Crew, Outcome, let_go
from misr.spread.ongoing import Ongoing, begun
from misr.spread.pace import Pace
from misr.upscaler import Upscaler

Progress = Callable[[int, int, Pace], None]  # frames done, frames expected, how fast
Say = Callable[[str], None]


def upscale_all(
    pairs: Sequence[tuple[str, str]],
    wanted: Settings,
    crew: Crew,
    *,
    progress: Progress | None = None,
    say: Say | None = None,
    began: Callable[[Job, Upscaler], None] | None = None,
    ended: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Upscale (source, target) pairs with a crew; what was made. Each comes out as of misr.upscale(), and resumes as there.

    A clip that fails does not stop the others: what failed is raised at the end, the error itself where there was one clip, an
    InputError that tells all of them else. began, ended: told of each clip when it is planned, and when its output stands.
    """
    driver = Driver(pairs, wanted, crew, progress, say, began, ended)
    outcomes = crew.give(driver.next_task, driver.tell)
    try:
        for came in outcomes:
            driver.take(came)
    finally:
        let_go(outcomes)
        driver.close()
    if driver.failed and len(pairs) == 1:
        raise driver.failed[0]
    if driver.failed:
        told = "; ".join(f"{pairs[n][0]}: {e}" for n, e in sorted(driver.failed.items()))
        raise InputError(f"{len(driver.failed)} of {len(pairs)} inputs failed, the others are done: {told}")
    return [driver.made[n] for n in sorted(driver.made)]


class Driver:
    """Gives out the segments of one clip after the other, and takes what comes of them, in whatever order."""

    def __init__(
        self,
        pairs: Sequence[tuple[str, str]],
        wanted: Settings,
        crew: Crew,
        progress: Progress | None,
        say: Say | None,
        began: Callable[[Job, Upscaler], None] | None,
        ended: Callable[[Result], None] | None,
    ) -> None:
        self.wanted, self.crew, self.pairs = wanted, crew, pairs
        self.progress = progress or (lambda done, expected, pace: None)
        self.say: Say = say or (lambda line: None)
        self.began, self.ended = began or (lambda job, up: None), ended or (lambda result: None)
        self.waiting = deque(range(len(pairs)))
        self.sizes = [size_of(source) for source, _ in pairs]
        self.clips: dict[int, Ongoing] = {}
        self.made: dict[int, Result] = {}
        self.failed: dict[int, MisrError | OSError] = {}
        self.pace = Pace(crew.slots)

    def next_task(self) -> SegmentTask | None:
        """The next segment of any clip; None while all that is left is with workers."""
        with self.pace.drive():
            while True:
                clip = next((clip for clip in self.clips.values() if clip.todo), None)
                if clip is not None:
                    try:
                        return clip.next_task()
                    except (MisrError, OSError) as e:
                        self.lose(clip, e)
                elif self.waiting:
                    self.begin(self.waiting.popleft())
                else:
                    return None

    def begin(self, number: int) -> None:
        """Plan a clip; one that needs nothing any more is joined at once, one that cannot be begun has failed."""
        source, target = self.pairs[number]
        try:
            clip = begun(number, source, target, self.wanted, self.crew, self.say)
        except (MisrError, OSError) as e:
            self.fail(number, e)
            return
        self.clips[number] = clip
        self.pace.found += sum(clip.counts.values()) if clip.whole else sum(len(s.times) for s in clip.found)
        self.began(clip.job, clip.up)
        self.told()
        self.settle(clip)

    def take(self, came: Outcome) -> None:
        """What came of a segment."""
        clip = self.clips[came.task.clip]
        self.pace.slots = self.crew.slots
        self.pace.worked += came.seconds
        with self.pace.drive():
            if came.error is not None:
                self.say(f"failed: {came.error}")
            if isinstance(came.result, Done):
                self.pace.stages.add(came.result.clock)
            try:
                clip.take(came)
                self.told()
                self.settle(clip)
            except (MisrError, OSError) as e:
                self.lose(clip, e)

    def tell(self, task: SegmentTask, frames: int) -> None:
        """Frames of a segment that are finished."""
        if (clip := self.clips.get(task.clip)) is not None:
            clip.counts[task.share.begin] = frames
            self.told()

    def told(self) -> None:
        """Pass on how far all is; of clips that were not looked at yet, as many frames a byte are expected as of the others."""
        done = sum(r.frames for r in self.made.values()) + sum(sum(c.counts.values()) for c in self.clips.values())
        known = sum(r.frames for r in self.made.values()) + sum(c.frames for c in self.clips.values())
        seen = sum(self.sizes[n] for n in (*self.made, *self.clips))
        left = sum(self.sizes[n] for n in self.waiting)
        self.progress(done, known + (round(known * left / seen) if seen else 0), self.pace)

    def settle(self, clip: Ongoing) -> None:
        """Join a clip whose segments are all there, or let it go with what is stored where some failed."""
        if not clip.over:
            return
        result = None
        try:
            if clip.number not in self.failed and (result := clip.concluded(self.say)) is None:
                return  # it begins again
        except (MisrError, OSError) as e:
            self.fail(clip.number, e)
        self.clips.pop(clip.number).close()
        if result is not None:
            self.made[clip.number] = result
            self.ended(result)

    def lose(self, clip: Ongoing, error: MisrError | OSError) -> None:
        """A clip has failed; what workers still have of it is waited for, as they cannot be told."""
        clip.todo.clear()
        self.fail(clip.number, error)
        self.settle(clip)

    def fail(self, number: int, error: MisrError | OSError) -> None:
        """Tell of a failure while others go on."""
        self.failed.setdefault(number, error)
        if len(self.pairs) > 1:
            self.say(f"failed: {self.pairs[number][0]}: {error}")

    def close(self) -> None:
        """Let go of all that is not over."""
        while self.clips:
            self.clips.popitem()[1].close()


def size_of(source: str) -> int:
    """Bytes of a clip's file; 0 for what is no file."""
    path = Path(source)
    return path.stat().st_size if path.is_file() else 0
