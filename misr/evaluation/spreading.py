"""The questions of an evaluation, answered by a crew: the report is that of one process, row for row and number for number."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from misr.errors import InputError, MisrError
from misr.evaluation.asked import Line, Question, expected_of
from misr.evaluation.scores import Item, Row
from misr.io.pictures import is_picture, is_sequence, numbered
from misr.journal import signature
from misr.spread.crew import Crew, Held, Outcome, Seat, let_go

TOGETHER = 8  # pictures of a task: one alone takes less than handing it over may
Progress = Callable[[int, int], None]  # frames measured so far, of how many; 0: not known


@dataclass(frozen=True, slots=True)
class Files:
    """A file, or the pictures of a sequence, as bytes for a worker that does not see them.

    name      of the file, of the folder, or the pattern
    folder    it is that of a folder, which the files are in
    """

    name: str
    folder: bool
    files: tuple[tuple[str, bytes], ...]

    @staticmethod
    def of(path: str) -> Files:
        """What stands at a path that items() found; OSError where it cannot be read."""
        files = numbered(path) if is_sequence(path) else [Path(path)]
        name = Path(path).resolve().name if Path(path).is_dir() else Path(path).name
        return Files(name or "pictures", Path(path).is_dir(), tuple((f.name, f.read_bytes()) for f in files))

    def put(self, place: Path) -> str:
        """Written into a folder that is made for them; the path that means there what the sender's path means."""
        inside = place / self.name if self.folder else place
        inside.mkdir(parents=True)
        for name, data in self.files:
            (inside / name).write_bytes(data)
        return str(place / self.name)


@dataclass(frozen=True, slots=True)
class Source:
    """A path on its way to a worker.

    path     as the user said it, and as messages do
    place    the same from the root on
    sign     what tells the file from others (misr.journal.signature); empty: the worker sees what the driver sees
    files    its bytes, where the worker may not see it
    """

    path: str
    place: str = ""
    sign: tuple[tuple[str, object], ...] = ()
    files: Files | None = None

    @staticmethod
    def of(path: str, *, elsewhere: bool, carried: bool) -> Source:
        """The path for a worker, which may be elsewhere; InputError where it cannot be read."""
        if not elsewhere:
            return Source(path)
        try:
            sign = tuple(signature(path).items())
            return Source(path, str(Path(path).absolute()), sign, Files.of(path) if carried else None)
        except OSError as e:
            raise InputError(f"{path}: cannot be read ({e.strerror}); workers need all of it") from None

    def found(self, folder: Path) -> str | None:
        """Where this process has it: here as there, or put into `folder`; None where it sees nothing, or another file."""
        try:
            if self.files is not None:
                return self.files.put(folder)
        except OSError as e:
            raise InputError(
                f"{self.path}: a worker has no room for its copy ({e.strerror}); give its temporary folder more"
            ) from None
        if not self.place:
            return self.path
        try:
            return self.place if self.sign and tuple(signature(self.place).items()) == self.sign else None
        except (OSError, InputError):
            return None


@dataclass(frozen=True, slots=True)
class Unseen:
    """What a worker answers that does not see the files: they have to be given to it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One clip of a row, or a few pictures. number: its place among all, in the order of the report."""

    number: int
    question: Held[Question]
    clips: tuple[tuple[str, tuple[Source, ...]], ...]

    @property
    def name(self) -> str:
        """For a message."""
        more = f" and {len(self.clips) - 1} more" if len(self.clips) > 1 else ""
        return self.clips[0][1][0].path + more

    def run(self, seat: Seat, tell: Callable[[int], None]) -> tuple[Item, ...] | Unseen:
        """Measure them; tell(frames so far). Errors name paths as the user did."""
        question = self.question.value()
        items, done = [], 0
        with tempfile.TemporaryDirectory(prefix="misr-") as folder:
            for n, (name, sources) in enumerate(self.clips):
                places = [source.found(Path(folder) / f"{n}-{k}") for k, source in enumerate(sources)]
                seen = [place for place in places if place is not None]
                if len(seen) < len(sources):
                    return Unseen()
                frames = []
                try:
                    for scores in question.scores(seat, seen):
                        frames.append(scores)
                        done += 1
                        tell(done)
                except MisrError as e:
                    e.args = tuple(said(a, seen, sources) for a in e.args)
                    raise
                items.append(Item(name, tuple(frames)))
        return tuple(items)


def said(text: object, places: Sequence[str], sources: Sequence[Source]) -> object:
    """A message with the paths that the user knows instead of the worker's."""
    if isinstance(text, str):
        for place, source in zip(places, sources, strict=True):
            text = text.replace(place, source.path)
    return text


def spread(lines: Sequence[Line], crew: Crew, progress: Progress | None = None) -> tuple[Row, ...]:
    """All lines, measured by a crew. What would have ended a plain run ends this one, and no piece is given after it."""
    board = Board(lines, crew, progress)
    outcomes = crew.give(board.next_task, board.tell)
    try:
        for outcome in outcomes:
            board.take(outcome)
    finally:
        let_go(outcomes)
    board.check()
    return board.rows()


class Board:
    """Which pieces there are, which were given, and what came of them."""

    def __init__(self, lines: Sequence[Line], crew: Crew, progress: Progress | None) -> None:
        self.lines, self.crew, self.progress = lines, crew, progress
        self.pieces = [
            (row, part) for row, line in enumerate(lines) for part in grouped(line.clips, crew.slots, len(lines))
        ]
        self.todo = deque(range(len(self.pieces)))
        self.carried = False  # a worker did not see a file: all bring theirs along from now on
        self.held: tuple[int, Held[Question] | None] = (-1, None)  # the row that was given last, and its question
        self.found: dict[int, tuple[Item, ...]] = {}
        self.failed: tuple[int, MisrError] | None = None  # the first piece, in the report's order, that failed
        self.frames: dict[int, int] = {}  # measured so far, by piece
        self.total, self.expected = 0, expected_of(lines) if progress else 0

    def next_task(self) -> Piece | None:
        """The first piece that is left; none after one that failed."""
        while self.todo:
            number = self.todo.popleft()
            if self.failed and number > self.failed[0]:
                continue
            try:
                return self.piece(number)
            except MisrError as e:
                self.fail(number, e)
        return None

    def piece(self, number: int) -> Piece:
        """A piece as a task, with its files where workers do not see them."""
        row, clips = self.pieces[number]
        if self.held[0] != row or self.held[1] is None:
            self.held = row, self.crew.hold(self.lines[row].question)
        question = self.held[1]
        assert question is not None
        elsewhere, carried = self.crew.elsewhere, self.carried
        sources = [
            (name, tuple(Source.of(p, elsewhere=elsewhere, carried=carried) for p in paths)) for name, paths in clips
        ]
        return Piece(number, question, tuple(sources))

    def tell(self, piece: Piece, frames: int) -> None:
        """Frames of a piece that are measured so far; fewer than before where its worker died and it begins again."""
        self.total += frames - self.frames.get(piece.number, 0)
        self.frames[piece.number] = frames
        if self.progress:
            self.progress(self.total, self.expected)

    def take(self, outcome: Outcome) -> None:
        """What came of a piece. Raises the first error in the report's order, once all before it are measured."""
        number, result = outcome.task.number, outcome.result
        if outcome.error is not None:
            self.fail(number, outcome.error)
        elif isinstance(result, Unseen):
            self.carried = True
            self.todo.appendleft(number)
        else:
            self.found[number] = result
            self.tell(outcome.task, sum(len(item.frames) for item in result))
        self.check()

    def fail(self, number: int, error: MisrError) -> None:
        """A piece failed; what comes before it is still done, as it may fail too."""
        if self.failed is None or number < self.failed[0]:
            self.failed = number, error

    def check(self) -> None:
        """Raise the error that is the first, once that is certain."""
        if self.failed and all(n in self.found for n in range(self.failed[0])):
            raise self.failed[1]

    def rows(self) -> tuple[Row, ...]:
        """The report's rows, all being measured."""
        items: list[list[Item]] = [[] for _ in self.lines]
        for number, (row, _) in enumerate(self.pieces):
            items[row] += self.found[number]
        return tuple(Row(line.name, tuple(found)) for line, found in zip(self.lines, items, strict=True))


Clips = tuple[tuple[str, tuple[str, ...]], ...]  # names and paths


def grouped(clips: Clips, slots: int, rows: int) -> Iterator[Clips]:
    """A row's clips one by one, and neighbours that are pictures several at once, but so that every worker has some."""
    for pictures, run in groupby(clips, key=lambda clip: all(is_picture(p) and not is_sequence(p) for p in clip[1])):
        found = tuple(run)
        size = max(1, min(TOGETHER, len(found) * rows // (2 * slots))) if pictures else 1
        for begin in range(0, len(found), size):
            yield found[begin : begin + size]
