"""What raters saved, read with suspicion, and what it comes to: opinion scores, their intervals, and how methods differ.

Schema 1 of a file of answers, which a page of misr.rating_page makes: format "misr mos"; test, which page it was; rater;
contents, methods, reference (one of methods, or null); ratings: for each content by each method an object of content, method
and score, 1 to 5.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from misr.errors import InputError
from misr.metrics.opinion import LEVEL, Estimate, chance, differential, estimate, holm, unlike

Array = np.ndarray[Any, np.dtype[Any]]
FORMAT, SCHEMA = "misr mos", 1
MOST_BYTES = 20_000_000  # a page of 10,000 ratings saves 2 MB
KEYS = {"test": str, "rater": str, "contents": list, "methods": list, "ratings": list}


@dataclass(frozen=True, slots=True)
class Answers:
    """One rater's file: votes (contents, methods), categories 1 to 5."""

    path: str
    test: str
    rater: str
    contents: tuple[str, ...]
    methods: tuple[str, ...]
    reference: str | None
    votes: Array


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much raters put `method` above `other`, and p of no difference, corrected for all that are asked (Holm 1979)."""

    method: str
    other: str
    by: Estimate
    p: float | None


@dataclass(frozen=True, slots=True)
class Opinions:
    """What raters think of methods.

    raters          whose votes count; left_out: whose do not, as BT.500 screens them
    methods         mean opinion score of each, and its 95 % interval by Student's t over raters' means
    differential    the same against the hidden reference, 5 being as good as it; {} without one
    by_content      content -> method -> score, over raters
    differences     of every two methods, paired by rater, the better one first
    """

    raters: tuple[str, ...]
    left_out: tuple[str, ...]
    contents: tuple[str, ...]
    reference: str | None
    methods: dict[str, Estimate]
    differential: dict[str, Estimate]
    by_content: dict[str, dict[str, Estimate]]
    differences: tuple[Difference, ...]

    @property
    def ratings(self) -> int:
        """How many votes count."""
        return len(self.raters) * len(self.contents) * len(self.methods)

    def json(self) -> str:
        """All of it as JSON; a half that is null stands for no interval."""
        told = {"schema": SCHEMA, "level": LEVEL, "ratings": self.ratings} | asdict(self)
        return json.dumps(told, indent=1, ensure_ascii=False) + "\n"

    def table(self) -> str:
        """In plain lines: how many, the scores, the differences."""
        raters, shown = counted(len(self.raters), "rater"), counted(len(self.contents), "content")
        lines = [
            f"{raters}, {shown}, {counted(self.ratings, 'rating')}",
            *([f"left out by BT.500's screening: {', '.join(self.left_out)}"] if self.left_out else []),
            "",
        ]
        heads = ["method", "MOS", "95 % interval", *(["DMOS", "95 % interval"] if self.differential else [])]
        rows = [heads]
        for name, score in sorted(self.methods.items(), key=lambda it: -it[1].mean):
            told = [f"{name} (hidden reference)" if name == self.reference else name, *cells(score)]
            rows.append([*told, *(cells(self.differential[name]) if name in self.differential else [])])
        lines += aligned(rows)
        if self.differences:
            lines += ["", *aligned([["difference", "mean", "95 % interval", "p (Holm)"], *map(row, self.differences)])]
        return "\n".join([*lines, "", f"Intervals: Student's t over the means of {raters}.", ""])


def opinions(paths: Sequence[str | Path], *, everyone: bool = False) -> Opinions:
    """The scores of methods from files that raters of one page saved.

    everyone    leave nobody out; else raters whom BT.500-13 (Annex 2, 2.3.1) finds unlike the others, who are named

    InputError in one sentence for a file that is not such a file, is of another page, or is a rater's second.
    """
    if not paths:
        raise InputError("no ratings; give the files that raters saved: misr mos score A.json B.json")
    found = [read(Path(p)) for p in paths]
    alike(found)
    votes = np.stack([a.votes for a in found])
    out = [False] * len(found) if everyone else unlike(votes.reshape(len(found), -1))
    kept = [a for a, gone in zip(found, out, strict=True) if not gone]
    votes = votes[[not gone for gone in out]]
    first = found[0]
    truth = None if first.reference is None else first.methods.index(first.reference)
    against = None if truth is None else differential(votes, truth)
    return Opinions(
        raters=tuple(a.rater for a in kept),
        left_out=tuple(a.rater for a, gone in zip(found, out, strict=True) if gone),
        contents=first.contents,
        reference=first.reference,
        methods=by_method(votes, first.methods),
        differential={}
        if against is None
        else {k: v for k, v in by_method(against, first.methods).items() if k != first.reference},
        by_content={c: by_method(votes[:, n : n + 1], first.methods) for n, c in enumerate(first.contents)},
        differences=differences(votes.mean(1), first.methods),
    )


def by_method(votes: Array, methods: Sequence[str]) -> dict[str, Estimate]:
    """The score of each method over raters' means; votes (raters, contents, methods)."""
    return {name: estimate(votes[:, :, n].mean(1)) for n, name in enumerate(methods)}


def differences(means: Array, methods: Sequence[str]) -> tuple[Difference, ...]:
    """Every two methods by raters' means (raters, methods), the better first; largest differences first."""
    pairs = []
    for a, b in combinations(range(len(methods)), 2):
        a, b = (a, b) if means[:, a].mean() >= means[:, b].mean() else (b, a)
        pairs.append((methods[a], methods[b], means[:, a] - means[:, b]))
    chances = holm([chance(by) for _, _, by in pairs])
    found = [Difference(a, b, estimate(by), p) for (a, b, by), p in zip(pairs, chances, strict=True)]
    return tuple(sorted(found, key=lambda d: -d.by.mean))


def read(path: Path) -> Answers:
    """One file of answers; InputError in one sentence where it is anything else."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(
                f"{path}: {path.stat().st_size / 1e6:.0f} MB are too many for ratings; give what a rating page saved"
            )
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise InputError(f"{path}: cannot be read ({e.strerror}); give the files that raters saved") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not JSON; give the files that raters saved, as they are") from None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise InputError(f"{path}: not a file of ratings; give what a page of misr mos make saved")
    if told.get("schema") != SCHEMA:
        raise InputError(
            f"{path}: schema {told.get('schema')!r} of ratings, this misr knows {SCHEMA}; use the misr that made the page"
        )
    for key, kind in KEYS.items():
        if not isinstance(told.get(key), kind) or not told[key]:
            raise InputError(f"{path}: its {key} is missing or wrong; give the file as the page saved it")
    names, methods = (texts(path, key, told[key]) for key in ("contents", "methods"))
    truth = told.get("reference")
    if truth is not None and truth not in methods:
        raise InputError(f"{path}: its reference is none of its methods; give the file as the page saved it")
    return Answers(
        str(path), told["test"], told["rater"], names, methods, truth, ballot(path, told["ratings"], names, methods)
    )


def texts(path: Path, key: str, given: list[Any]) -> tuple[str, ...]:
    """A list of names, each once."""
    if not all(isinstance(name, str) and name for name in given) or len(set(given)) < len(given):
        raise InputError(f"{path}: its {key} are not names, each once; give the file as the page saved it")
    return tuple(given)


def ballot(path: Path, ratings: list[Any], names: Sequence[str], methods: Sequence[str]) -> Array:
    """Votes (contents, methods); InputError unless each was rated once, from 1 to 5."""
    votes = np.zeros((len(names), len(methods)))
    for n, one in enumerate(ratings, 1):
        where = f"{path}: rating {n}"
        if not isinstance(one, dict) or one.get("content") not in names or one.get("method") not in methods:
            raise InputError(f"{where} is of no content and method of its page; give the file as the page saved it")
        score = one.get("score")
        if not isinstance(score, int) or isinstance(score, bool) or not 1 <= score <= 5:
            raise InputError(f"{where} is {score!r}; ratings are whole numbers from 1 to 5")
        at = names.index(one["content"]), methods.index(one["method"])
        if votes[at]:
            raise InputError(f"{where} is the second of {one['content']} by {one['method']}; each is rated once")
        votes[at] = score
    if missing := int((votes == 0).sum()):
        raise InputError(f"{path}: {counted(missing, 'rating')} missing; only whole tests count")
    return votes


def alike(found: Sequence[Answers]) -> None:
    """InputError where files are not of one page, or two are one rater's."""
    first = found[0]
    seen: dict[str, str] = {}
    for it in found:
        if (it.test, it.contents, it.methods, it.reference) != (
            first.test,
            first.contents,
            first.methods,
            first.reference,
        ):
            raise InputError(f"{it.path}: of another page than {first.path}; score each page by itself")
        if it.rater in seen:
            raise InputError(
                f"{it.path}: by {it.rater!r}, as is {seen[it.rater]}; each rater counts once, leave one out"
            )
        seen[it.rater] = it.path


def counted(many: int, what: str) -> str:
    """1 rater, 2 raters."""
    return f"{many} {what}{'' if many == 1 else 's'}"


def cells(score: Estimate) -> list[str]:
    """A mean and its interval for a table."""
    if score.half is None:
        return [f"{score.mean:.2f}", "one rater tells none"]
    return [f"{score.mean:.2f}", f"{score.mean - score.half:.2f} to {score.mean + score.half:.2f}"]


def row(it: Difference) -> list[str]:
    """A difference for a table."""
    p = "" if it.p is None else "< 0.001" if it.p < 0.001 else f"{it.p:.3f}"
    return [f"{it.method} - {it.other}", *cells(it.by), p]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of a table with columns as wide as their widest cell."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows_filled(rows), strict=True)]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in rows_filled(rows)
    ]


def rows_filled(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows of one length."""
    most = max(len(line) for line in rows)
    return [[*line, *[""] * (most - len(line))] for line in rows]
