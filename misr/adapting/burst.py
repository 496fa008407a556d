"""`misr fuse --adapt`: from a burst that was made ready to be fused to a model that suits it better, or to its start, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from misr import zoo
from misr.adapting.burst_exam import BurstExam, exam
from misr.adapting.burst_lesson import study
from misr.adapting.burst_views import Dealt, dealt
from misr.adapting.decide import Verdict, decided
from misr.adapting.judge import gain
from misr.adapting.run import CHECKS, FREE, entered, gentle, learned, put
from misr.adapting.settings import Adapted, Adapting
from misr.adapting.telling import KINDS, moved, told
from misr.adapting.watch import Watch
from misr.burst import Ready
from misr.card import ModelCard
from misr.errors import InputError
from misr.train import burst_lessons, export, revisits
from misr.train.fit import Say, Training, place, silent
from misr.train.loop import Run
from misr.train.revisits import Place
from misr.train.student import student

MINUTES = 2.0
RATE = 3e-4
CROP, FRAMES = 40, 40  # LR pixels of a side of what is learned from, and views a batch: small ones, for more steps
EVERY = 10  # steps from look to look
LEAST_DB = 0.01  # views are noisy labels: 0.01 to 0.02 dB on them were 0.2 dB by the truth
WATCHED, JUDGED = 4, 12  # pieces of the scene, at most
MEMORY = 1 << 30  # bytes of pixels
MEND = "remove it, or name another directory for --adapt"


@dataclass(frozen=True, slots=True)
class Bench:
    """What an adaptation works with: the net as it begins, its card, pieces of the scene, and which views are for what."""

    net: nn.Module
    start: nn.Module
    card: ModelCard
    places: list[Place]
    parts: Dealt
    device: torch.device

    def exam(self, views: tuple[int, ...], most: int) -> BurstExam:
        """Questions about some views."""
        return exam(self.places, views, self.parts, scale=int(self.card.scale), device=self.device, most=most)


def portions(it: Ready) -> Dealt:
    """Which views of a burst would teach, watch and judge, by their places in its stacks; InputError where there are too few."""
    return dealt([it.burst.views[n].time for n in it.order])


def checked(how: Adapting, out: Path, scale: int | None) -> ModelCard:
    """The card of the start; InputError for what cannot be adapted, or has no place to go to, or for contradicting wishes."""
    if how.steps and how.minutes:
        raise InputError("how long? Give --adapt-steps or --adapt-minutes, not both")
    if min(how.steps, how.minutes) < 0:
        raise InputError("--adapt-steps and --adapt-minutes are not negative")
    first = zoo.card(how.model, scale=scale)
    if first.net in (*zoo.METHODS, "interpolate"):
        raise InputError(
            f"{how.model} has no weights to adapt; leave -m out, or name a trained burst model, as burst-x2"
        )
    if not zoo.fuses(first):
        raise InputError(f"{how.model} looks at one view; leave -m out, or name a trained burst model, as burst-x2")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; --adapt wants a directory to keep the model in")
    if out.resolve() == zoo.find(how.model).resolve():
        raise InputError(f"{out} is the model to start from; name another directory for --adapt")
    return first


def adapt_burst(
    it: Ready,
    out: str | Path,
    how: Adapting,
    identity: dict[str, Any],
    promise: dict[str, Any],
    *,
    say: Say = silent,
    stepped: Callable[[Run], None] = lambda run: None,
    learnt: Callable[[nn.Module], None] = lambda net: None,
) -> Adapted:
    """Adapt a model to a burst, from its own views; the directory `out` then holds a model that `misr fuse -m` takes.

    It is the adapted one only if that is better than the start and than every method without learning on views that neither
    fit nor choice has seen; otherwise the start's weights, and the card says so. A stopped run goes on when called alike; one
    that is done is only told again. InputError for too few or too small views, and a directory that holds something else.

    how                model (the start), steps or minutes, seed, device
    identity           what decides the result besides: `burst`, by which the report names it, and more
    promise            what was foretold, for the report: could_help, sentence, coverage, aliasing, views
    stepped(run)       is called after every step; learnt(net) at the end, with what learning made, kept or not
    """
    out = Path(out)
    how = replace(how, minutes=how.minutes or (0 if how.steps else MINUTES), crop=CROP, frames=how.frames or FRAMES)
    first = checked(how, out, None)
    ours = decides(how, first, identity)
    if (done := entered(out, ours, mend=MEND)) is not None:
        say(f"{out}: adapted to {ours['burst']} already; remove it to do it again")
        return done
    wanted = Training(
        data=(str(ours["burst"]),), out=out, labels="both", start=how.model, steps=how.steps, minutes=how.minutes,
        frames=how.frames, crop=how.crop, rate=how.rate or RATE, seed=how.seed, device=how.device, run=out / "run",
    )  # fmt: skip
    bench = prepared(it, wanted, how)
    try:
        lesson = study(bench.net, bench.places, how, wanted, bench.device)
        judging, watching = bench.exam(bench.parts.judge, JUDGED), bench.exam(bench.parts.watch, WATCHED)
    except InputError as e:
        raise InputError(f"{ours['burst']}: {e}; leave --adapt out") from None
    folder = out / "run"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(ours, indent=2) + "\n", encoding="utf-8")
    run = Run(gentle(wanted, bench.device), bench.net, folder, device=bench.device)
    say(bench.parts.told + (f"; going on at step {run.step}" if run.step else ""))
    watch = Watch(watching, bench.start, folder / "best.pt")
    every = max(1, min(EVERY, how.steps // CHECKS)) if how.steps else EVERY
    best = learned(run, lesson, watch, every, stepped, lambda line: None)
    steady(best, bench)
    learnt(best)
    found = verdict(judging, bench.start, best, how.model)
    facts = {
        "labels": lesson.told,
        "views": {k: len(getattr(bench.parts, k)) for k in ("learn", "watch", "judge")},
        "steps": run.step,
        "best_step": watch.best_step,
        "seconds": round(run.seconds, 1),
        "moved": moved(bench.start, best),
    }
    net, card = chosen(bench, best, found, how, judging, len(bench.parts.learn), str(ours["burst"]))
    return put(out, net, card, run, lambda: told(out, ours, found, promise, facts))


def decides(how: Adapting, first: ModelCard, identity: dict[str, Any]) -> dict[str, Any]:
    """What decides the result, as JSON has it."""
    free = (*FREE, "start", "end", "optics")
    ours = {k: v for k, v in asdict(how).items() if k not in free}
    return dict(json.loads(json.dumps(ours | {"model": first.name, "weights": first.sha256} | identity, default=str)))


def prepared(it: Ready, wanted: Training, how: Adapting) -> Bench:
    """The net at its beginning, and the views dealt out."""
    device = place(wanted)
    net, card = student(wanted)
    first = zoo.card(how.model)
    card = replace(first, name=card.name, note="", scores={}, sha256="")
    parts = portions(it)
    places = revisits.pieces(it, most_bytes=MEMORY, judges=parts.judge, watch=parts.watch)
    start = zoo.build(how.model)[0].to(device)
    return Bench(net.to(device), start, card, places, parts, device)


def steady(net: nn.Module, bench: Bench) -> None:
    """Undo what learning did to the size of the deviations that a net predicts, by bursts of the scene whose truth is known."""
    stills = revisits.stills(bench.places)
    if not isinstance(factor := getattr(net, "calibration", None), torch.Tensor):
        return
    if burst_lessons.room(stills, int(bench.card.scale)) < burst_lessons.LEAST:
        return
    those = burst_lessons.trials(stills, int(bench.card.scale), bench.device, usual=False)
    now, before = (burst_lessons.covering(it, those) for it in (net, bench.start))
    if now > 0 and before > 0:
        factor *= now / before


def verdict(those: BurstExam, start: nn.Module, adapted: nn.Module, name: str) -> Verdict:
    """What views say that neither fit nor choice has seen."""
    (before, small), (after, again) = (those.both_db(net) for net in (start, adapted))
    scale = int(start.scale)  # type: ignore[arg-type]
    heldout = gain(before, after, those.blocks, spots=those.spots, least_db=LEAST_DB)
    shrunk = gain(small, again, those.small_blocks, spots=those.small_spots, least_db=LEAST_DB)
    return decided(heldout, shrunk, those.baselines_db(scale), name, fuses=True, kinds=KINDS["burst"][:2])


def chosen(
    bench: Bench, best: nn.Module, found: Verdict, how: Adapting, those: BurstExam, views: int, burst: str
) -> tuple[nn.Module, ModelCard]:
    """The net that the rule keeps, and its card."""
    net = best if found.adopted else bench.start
    more = f"; then {views} views of {Path(burst).name}" if found.adopted else ""
    card = replace(
        bench.card,
        precisions=export.precisions(net, those.sample),
        recipe=how.command or f"misr.fuse, adapted from {how.model}",
        trained_on=bench.card.trained_on + more,
        note=found.why if found.adopted else f"the weights of {how.model}, as they were: {found.why}",
        scores={
            "heldout_psnr_db": round(found.heldout.adapted_db if found.adopted else found.heldout.start_db, 2),
            "heldout_start_psnr_db": round(found.heldout.start_db, 2),
        },
    )
    return net, card
