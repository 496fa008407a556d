"""`misr adapt`: from a clip to a model that suits it better, or to the one it began with, and why."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from misr import zoo
from misr.adapting import optics
from misr.adapting.decide import Verdict, verdict
from misr.adapting.judge import Exam, exam
from misr.adapting.lesson import Study, study
from misr.adapting.portions import Portions, portions
from misr.adapting.settings import MINUTES, Adapted, Adapting
from misr.adapting.telling import moved, promised, remembered, told
from misr.adapting.watch import PATIENCE, Watch
from misr.card import ModelCard
from misr.errors import InputError
from misr.io.output import Span
from misr.registration.outlook import Outlook, outlook
from misr.train import export
from misr.train.fit import Say, Training, place, recipe, silent
from misr.train.heldout import Flow
from misr.train.lessons import known_flow
from misr.train.loop import Recipe, Run, train
from misr.train.student import student
from misr.train.takes import runs
from misr.upscaler import keep_heap

RATE = 1e-4  # a start that has learned is soon spoiled: at 3e-4, warm after 10 steps, the truth lost up to 1 dB before it gained
WARM_UP, WARM_SHARE = 100, 3  # steps, and of a short run the third
CHECKS = 10  # of a run whose steps are told
EVERY, EVERY_OF_ONE = 60, 240  # steps from look to look, and of nets of one view, whose steps are short
WATCHED, JUDGED = 6, 16  # windows of each kind, at most
FREE = ("device", "threads", "restart", "command", "memory")  # change nothing that is learned
OURS = ("card.json", "weights.safetensors", "adapt.json", "log.jsonl", "plot.png", "run")


@dataclass(frozen=True, slots=True)
class Bench:
    """What an adaptation works with: the net as it begins and its card, the clip, and what is known of it."""

    net: nn.Module
    start: nn.Module
    card: ModelCard
    parts: Portions
    flow: Flow
    optics: float
    outlook: Outlook
    device: torch.device

    def exam(self, stacks: list[Any], most: int) -> Exam:
        """Questions about a portion."""
        scale, cell = int(self.card.scale), int(getattr(self.net, "cell", 1) or 1)
        return exam(
            stacks, scale=scale, multiple=cell, flow=self.flow, optics=self.optics, device=self.device, most=most
        )


def adapt(
    clip: str | Path,
    out: str | Path,
    how: Adapting = Adapting(),  # noqa: B008  # frozen
    *,
    say: Say = silent,
    stepped: Callable[[Run], None] = lambda run: None,
    tell: Callable[[dict[str, float]], None] = lambda line: None,
    learnt: Callable[[nn.Module], None] = lambda net: None,
) -> Adapted:
    """Adapt a model to a clip, without sharp frames; the directory `out` then holds a model that `misr upscale -m` takes.

    It is the adapted one only if that is better than the start, bicubic and the motion-compensated mean on frames that neither
    fit nor choice has seen; otherwise the start's weights, and the card says so. A stopped run goes on when called alike; one
    that is done is only told again. InputError for a clip too short or small, and for a directory that holds something else.

    say(line)    for people, as it goes; stepped(run) after every step, tell(line) after every look; learnt(net) at the end, with
                 what learning made, kept or not
    """
    clip, out = str(clip), Path(out)
    how = how if how.steps or how.minutes else replace(how, minutes=MINUTES)
    wanted = training(clip, out, how)
    ours = identity(clip, how)
    if (done := entered(out, ours, restart=how.restart)) is not None:
        say(f"{out}: adapted to {Path(clip).name} already; --restart does it again")
        return done
    keep_heap()
    bench = prepared(clip, wanted, how, say)
    lesson = taught(bench, how, clip)
    folder = out / "run"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(ours, indent=2) + "\n", encoding="utf-8")
    run = Run(gentle(wanted, bench.device), bench.net, folder, device=bench.device)
    if run.step:
        say(f"going on at step {run.step}")
    watch = Watch(bench.exam(bench.parts.watch, WATCHED), bench.start, folder / "best.pt")
    best = learned(run, lesson, watch, looks(bench.net, how), stepped, tell)
    learnt(best)
    say("judging by frames that nobody learned from")
    found = verdict(bench.exam(bench.parts.judge, JUDGED), bench.start, best, int(bench.card.scale), how.model)
    return written(out, bench, lesson, found, best, run, watch, ours, how)


def training(clip: str, out: Path, how: Adapting) -> Training:
    """The same wish in the words of training; refused here for what cannot be adapted."""
    if how.steps and how.minutes:
        raise InputError("how long? Give --steps or --minutes, not both")
    if min(how.steps, how.minutes, how.frames, how.rate, how.optics or 0) < 0 or how.crop < 16 or how.memory <= 0:
        raise InputError(
            "--crop is at least 16, --memory above 0, and steps, minutes, frames, rate and optics not negative"
        )
    if how.model in (*zoo.KERNELS, *zoo.METHODS):
        raise InputError(f"{how.model} has no weights to adapt; choose a trained model, as video-x2 or fast-x2")
    card = zoo.card(how.model)
    if zoo.fuses(card):
        raise InputError(f"{how.model} fuses bursts; `misr fuse VIEWS -o PICTURE --adapt DIR -m {how.model}` adapts it")
    if card.channels != 1:
        raise InputError(f"{how.model} takes colours; models of luma alone can be adapted")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; -o wants a directory to make, which `misr upscale -m` then takes")
    if out.resolve() == zoo.find(how.model).resolve():
        raise InputError(f"{out} is the model to start from; choose another -o")
    return Training(
        data=(clip,), out=out, labels="both", start=how.model, steps=how.steps, minutes=how.minutes, crop=how.crop,
        frames=how.frames, rate=how.rate or RATE, seed=how.seed, device=how.device, threads=how.threads,
        run=out / "run",
    )  # fmt: skip


def identity(clip: str, how: Adapting) -> dict[str, Any]:
    """What decides the result, as JSON has it."""
    path = Path(clip)
    if not path.exists():
        raise InputError(f"{clip}: no such clip to adapt to")
    ours = {k: v for k, v in asdict(how).items() if k not in FREE}
    ours |= {"clip": str(path.resolve()), "bytes": path.stat().st_size if path.is_file() else 0}
    ours |= {"model": zoo.card(how.model).name, "weights": zoo.card(how.model).sha256}
    return json.loads(json.dumps(ours, default=str))


def entered(
    out: Path, ours: dict[str, Any], *, restart: bool = False, mend: str = "--restart it, or choose another -o"
) -> Adapted | None:
    """What was done already, None where something is to be done; InputError where the directory holds something else.

    mend    what a user can do then
    """
    if restart and ((out / "adapt.json").is_file() or (out / "run").is_dir()):
        for name in OURS:
            shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink(missing_ok=True)
    done = remembered(out, mend)
    if done is None and (out / "card.json").is_file() and not (out / "run" / "settings.json").is_file():
        raise InputError(f"{out} holds a model that adapting has not made; choose another directory, or remove it")
    theirs = done.told["settings"] if done else settings_of(out / "run" / "settings.json")
    if theirs is not None and (other := [k for k in ours if ours[k] != theirs.get(k)]):
        k = other[0]
        raise InputError(f"{out} was begun with {k} {theirs.get(k)!r}, not {ours[k]!r}; {mend}")
    return done


def settings_of(path: Path) -> dict[str, Any] | None:
    """What a stopped run was begun with; None without one that can go on."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if (path.parent / "checkpoint.pt").is_file() else None


def prepared(clip: str, wanted: Training, how: Adapting, say: Say) -> Bench:
    """The clip read and looked at, and the net at its beginning."""
    device = place(wanted)
    net, card = student(wanted)
    first = zoo.card(how.model)
    card = replace(first, name=card.name, note="", scores={}, sha256="")
    say(f"reading {clip}")
    stacks, notes = runs(clip, int(how.memory * 2**30), halve=False, span=Span(how.start, how.end))
    if not stacks:
        raise InputError(notes[0].removesuffix("; left out") + ", so there is nothing to adapt to; give a longer clip")
    parts = portions(stacks, clip)
    seen = outlook(parts.learn, first.scale)
    soft = 0.0 if how.optics else optics.fitted(parts.learn, int(first.scale))
    sigma = soft if how.optics is None else how.optics
    for line in (
        *notes,
        parts.told,
        seen.why,
        f"camera: {optics.named(sigma)}{', as told' if how.optics else ''}",
        *([optics.hint(soft)] if soft and how.optics == 0 else ()),
    ):
        say(line)
    if not hasattr(net, "unroll"):
        say(f"{first.name} looks at one frame at a time: it learns from the clip shrunk once more alone")
    start = zoo.build(how.model)[0].to(device)
    return Bench(net.to(device), start, card, parts, known_flow(wanted, device), sigma, seen, device)


def gentle(wanted: Training, device: torch.device) -> Recipe:
    """The recipe of training with a longer warm-up, in which the optimiser learns what the net's gradients are like."""
    warm_up = wanted.steps // WARM_SHARE if wanted.steps else int(60 * wanted.minutes / WARM_SHARE)
    return replace(recipe(wanted, device), warm_up=max(1, min(WARM_UP, warm_up)))


def taught(bench: Bench, how: Adapting, clip: str) -> Study:
    """Where batches come from; an error names the clip."""
    try:
        return study(bench.net, bench.parts, how, bench.flow, bench.optics, bench.device)
    except InputError as e:
        raise InputError(f"{clip}: {e}") from None


def learned(
    run: Run,
    lesson: Study,
    watch: Watch,
    every: int,
    stepped: Callable[[Run], None],
    tell: Callable[[dict[str, float]], None],
) -> nn.Module:
    """The best net by the watching portion, which is looked at after so many steps each."""

    def check(net: nn.Module) -> float:
        began = time.monotonic()
        score = watch.look(net, run.step)
        run.seconds += time.monotonic() - began
        return score

    enough = lambda: watch.looks_since >= PATIENCE  # noqa: E731
    train(run, lesson.source, lesson.loss, check, every=every, stepped=stepped, tell=tell, enough=enough)
    return watch.best(run.average)


def looks(net: nn.Module, how: Adapting) -> int:
    """Steps from look to look."""
    usual = EVERY if hasattr(net, "unroll") else EVERY_OF_ONE
    return max(1, min(usual, how.steps // CHECKS)) if how.steps else usual


def written(
    out: Path,
    bench: Bench,
    lesson: Study,
    found: Verdict,
    best: nn.Module,
    run: Run,
    watch: Watch,
    ours: dict[str, Any],
    how: Adapting,
) -> Adapted:
    """The model directory, adapt.json last; then the run has served."""
    net = best if found.adopted else bench.start
    learned = f"; then {sum(map(len, bench.parts.learn))} frames of {Path(str(ours['clip'])).name}"
    card = replace(
        bench.card,
        precisions=export.precisions(net, watch.exam.sample),
        recipe=how.command or f"misr.adapt from {bench.card.net}",
        trained_on=bench.card.trained_on + (learned if found.adopted else ""),
        note=found.why if found.adopted else f"the weights of {how.model}, as they were: {found.why}",
        scores={
            "heldout_psnr_db": round(found.heldout.adapted_db if found.adopted else found.heldout.start_db, 2),
            "heldout_start_psnr_db": round(found.heldout.start_db, 2),
        },
    )
    facts = {
        "camera_sigma_px": bench.optics,
        "labels": lesson.told,
        "frames": {k: sum(map(len, getattr(bench.parts, k))) for k in ("learn", "watch", "judge")},
        "steps": run.step,
        "best_step": watch.best_step,
        "seconds": round(run.seconds, 1),
        "moved": moved(bench.start, best),
    }
    return put(out, net, card, run, lambda: told(out, ours, found, promised(bench.outlook), facts))


def put(out: Path, net: nn.Module, card: ModelCard, run: Run, tell: Callable[[], Adapted]) -> Adapted:
    """Model, log and plot into their directory, then what is told of it; the run is over."""
    out.mkdir(parents=True, exist_ok=True)
    export.export(net, card, out)
    export.tell(run.folder, out, baseline_db=0.0)
    done = tell()
    shutil.rmtree(run.folder)
    return done
