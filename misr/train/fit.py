"""From clips and pictures to a model directory: all that `misr train` does, in one call."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from misr import zoo
from misr.card import ModelCard
from misr.errors import InputError
from misr.nets import NETS
from misr.train import (
    adversary,
    burst_lessons,
    consistency,
    counterparts,
    cycles,
    dictionary,
    export,
    features,
    losses,
    ranks,
    revisits,
)
from misr.train.data import Material
from misr.train.folder import enter, settings
from misr.train.footage import Footage, gather
from misr.train.lessons import Lesson, lesson
from misr.train.loop import Recipe, Run, train
from misr.train.scenes import Degradation
from misr.train.student import learns_atoms, student
from misr.upscaler import fast_bf16, keep_heap

Labels = Literal["hr", "heldout", "both"]
Say = Callable[[str], None]
# Of a covariance of gradients, the longest side that is quick to turn: a kernel 9x9 of 64 channels has 5184.
LONGEST = 2048
FLOOR = 1e-6  # of a gradient in its eigenbasis: float32 knows no less beside its largest entry


@dataclass(frozen=True, slots=True)
class Training:
    """What to learn from what; None and 0 mean "misr decides".

    labels        hr: the clips are the sharp side; heldout: hidden views of them are; both
    steps, minutes   one of them: how long
    views, frames, crop   views of the longest window, views a batch, LR pixels of a side
    degradation   how LR is made of HR; optics: sigma of the held-out path's Gaussian in LR pixels, 0 for bicubic,
                  of bursts for what is usual; they have a degradation and a loss of their own
    unpaired      noisy or blurred small pictures that have nothing to do with data; start then enlarges clean ones
    unlabelled    small pictures and clips without sharp ones, on which the net is to be consistent (see consistency)
    consistency   the weight of that, 0.1 by default
    small         a folder with a small picture for each sharp one of data, learned from in place of shrinking
    auxiliary     clean clips and pictures, of which many pairs like those few are made (see relations)
    loss          smooth-l1, charbonnier, l2, or a sum of terms (see losses.read)
    features      for terms that see features: a file of VGG19's weights, or self; None: where torchvision keeps them
    discriminator   channels of the first layer of those that adversarial terms ask, 64 by default
    start         a model whose weights are the first; motion: one whose motion the net gets, whatever else it is
    freeze        parts of the net that stay as they are; by default a motion that another model has learned
    """

    data: tuple[str, ...]
    out: Path
    net: str = ""
    scale: int = 0
    labels: Labels = "hr"
    steps: int = 0
    minutes: float = 0
    views: int = 0
    frames: int = 0
    crop: int = 64
    degradation: Degradation = "bi"
    optics: float = 0.0
    unpaired: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    consistency: float | None = None
    small: str | None = None
    auxiliary: tuple[str, ...] = ()
    loss: str = "smooth-l1"
    features: str | None = None
    discriminator: int | None = None
    rate: float = 0
    seed: int = 0
    start: str = ""
    motion: str = ""
    freeze: tuple[str, ...] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    memory: float = 2.0  # GiB of pixels
    run: Path | None = None
    restart: bool = False
    device: str | None = None
    threads: int = 0
    every: int = 250
    trained_on: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The model directory, its card, and validation in dB beside the baseline's."""

    folder: Path
    card: ModelCard
    valid_db: float
    baseline_db: float
    baseline: str


def silent(line: str) -> None:
    """Say nothing."""


def fit(
    wanted: Training,
    *,
    say: Say = silent,
    stepped: Callable[[Run], None] = lambda run: None,
    tell: Callable[[dict[str, float]], None] = lambda line: None,
) -> Outcome:
    """Train as wanted, or go on where a stopped run was, and write the model directory."""
    device = place(wanted)
    ranks.begin(device)
    say = say if ranks.first() else silent
    keep_heap()
    net, card = student(wanted)
    kind = objective(wanted, net)
    folder = wanted.run or Path("runs") / wanted.out.name
    ours = settings(folder, wanted)
    say(f"{card.net} x{card.scale:g}, {zoo.parameters(net):,} parameters; the run is in {folder}")
    footage = material(wanted, net, say)
    enter(folder, wanted, ours)
    ranks.agreed(0)  # nobody looks for a checkpoint before the first process has made room
    for line in (*footage.notes, footage.told):
        say(line)
    run = Run(recipe(wanted, device), net, folder, device=device, longest=LONGEST, floor=FLOOR)
    ranks.alike([*run.net.parameters(), *run.average.parameters()])
    study = studied(wanted, run, footage, kind, say)
    if study.told:
        say(study.told)
    if run.step:
        say(f"going on at step {run.step}")
    train(
        run,
        study.source,
        study.loss,
        study.check,
        every=wanted.every,
        stepped=stepped,
        tell=tell,
        update=partial(study.update, run) if study.update else None,
        partner=study.partner,
        also=study.also,
    )
    outcome = finish(run, study, card, footage, wanted) if ranks.first() else Outcome(wanted.out, card, 0, 0, "")
    if outcome.card.note:
        say(outcome.card.note)
    ranks.end()
    return outcome


def studied(wanted: Training, run: Run, footage: Footage, kind: losses.Kind, say: Say) -> Lesson:
    """What the run is to learn from what was gathered: its batches, its loss, and by what it is judged."""
    net, device, done = run.net, run.device, lambda: run.done
    seed = wanted.seed + 1 + 1000 * ranks.mine()
    if fuses(net):
        return burst_lessons.lesson(wanted, net, footage, device, seed=seed)
    if isinstance(kind, losses.Objective) and (kind.sees or wanted.features):
        seen = kind.features or features.own(footage.material, run.folder, device, seed=wanted.seed, say=say)
        kind = kind.bound(features.ready(seen, device))
    if wanted.unpaired:
        study = cycles.lesson(wanted, run, footage, seed=seed)
    elif wanted.small:
        study = counterparts.lesson(wanted, run, footage, seed=seed, kind=kind, say=say)
    else:
        study = lesson(wanted, net, footage.material, device, seed=seed, kind=kind, done=done)
    if wanted.unlabelled:
        study = consistency.lesson(wanted, study, net, footage, device, seed=seed, done=done)
    return dictionary.lesson(study, net, seed=seed, done=done) if learns_atoms(net) else study


def objective(wanted: Training, net: nn.Module) -> losses.Kind:
    """What is made small, with the features it asks for where others have trained them; InputError for what cannot be."""
    kind = losses.read(wanted.loss)
    if wanted.unpaired:  # which has losses of its own
        return kind
    if fuses(net) and kind != "smooth-l1":
        what = f"--net {wanted.net} fuses bursts" if wanted.net else f"{wanted.start} fuses bursts"
        raise InputError(f"--loss {wanted.loss!r}: {what}, which has a loss of its own; leave --loss out")
    if isinstance(kind, losses.Objective) and wanted.labels != "hr":
        what = f"--labels {wanted.labels}: sums of terms are for sharp frames of clips and pictures"
        raise InputError(f"--loss {wanted.loss!r}, {what}")
    adversary.check(kind, wanted.loss, wanted.discriminator)
    if not (isinstance(kind, losses.Objective) and (kind.sees or kind.judged and wanted.features)):
        if wanted.features is not None:
            raise InputError(
                f"--features {wanted.features}: no term of --loss {wanted.loss!r} sees features; add content"
            )
        return kind
    found = features.known(wanted.features)
    kind.bound(found or features.blank())  # layers that are not there are told before anything is read
    return replace(kind, features=found)


def fuses(net: nn.Module) -> bool:
    """Whether a net fuses bursts."""
    return bool(getattr(net, "bursts", False))


def material(wanted: Training, net: nn.Module, say: Say) -> Footage:
    """What is learned from: bursts where a net fuses them and hidden views are the labels, else clips and pictures."""
    if wanted.unlabelled:
        half = replace(wanted, unlabelled=(), memory=wanted.memory / 2)
        return consistency.gather(wanted, net, lambda: material(half, net, say), say)
    if wanted.unpaired:
        return cycles.gather(wanted, net, say)
    if wanted.small:
        return counterparts.gather(wanted, net, say)
    if wanted.labels == "hr" or not fuses(net):
        return gather(wanted.data, most_bytes=int(wanted.memory * 2**30), halve=wanted.labels == "hr", say=say)
    most_bytes = int(wanted.memory * 2**30)
    places, used, notes = revisits.gather(wanted.data, say=say, optics=wanted.optics, most_bytes=most_bytes)
    return Footage(Material([], [], [], []), tuple(used), (), tuple(notes), tuple(places))


def place(wanted: Training) -> torch.device:
    """The device to learn on; under torchrun each process gets a GPU of its own."""
    device = zoo.device_of(wanted.device)
    if device.type == "cuda":
        device = torch.device("cuda", device.index if device.index is not None else ranks.local())
        torch.cuda.set_device(device)
    if wanted.threads:
        torch.set_num_threads(wanted.threads)
    return device


def recipe(wanted: Training, device: torch.device) -> Recipe:
    """The loop's part of the settings."""
    half = fast_bf16(device) if wanted.precision == "auto" else wanted.precision == "bf16"
    warm_up = min(300, max(1, wanted.steps // 10 or int(10 * wanted.minutes)))
    rate = wanted.rate or (1e-3 if wanted.start else 3e-3)
    return Recipe(steps=wanted.steps, minutes=wanted.minutes, rate=rate, warm_up=warm_up, bf16=half, seed=wanted.seed)


def finish(run: Run, study: Lesson, card: ModelCard, footage: Footage, wanted: Training) -> Outcome:
    """Write the model directory; its scores are those of the last check."""
    study.settle(run.average)
    net, card, valid_db, note = kept(run, study, card, wanted)
    looks = {f"valid_{name}": round(x, 4) for name, x in study.also(net).items() if name == "perceptual"}
    made = export.export(
        net,
        replace(
            card,
            precisions=export.precisions(net, study.sample),
            recipe=wanted.command,
            trained_on=wanted.trained_on or footage.used,
            note=note or study.note,
            scores={"valid_psnr_db" if wanted.labels == "hr" else "heldout_psnr_db": round(valid_db, 2)} | looks,
        ),
        wanted.out,
    )
    export.tell(run.folder, wanted.out, baseline_db=study.baseline_db)
    return Outcome(wanted.out, made, valid_db, study.baseline_db, study.baseline)


def kept(run: Run, study: Lesson, card: ModelCard, wanted: Training) -> tuple[nn.Module, ModelCard, float, str]:
    """What is worth keeping, its card, its dB and a note: where labels are few, the start or a method without learning may be.

    Of hidden views and of pairs the trained net is kept only if it is better than both on what no fit has seen; one that is
    no number, never.
    """
    net, valid_db = run.average, study.check(run.average)
    best = net, card, valid_db, ""
    if study.for_looks or wanted.labels == "hr" and not wanted.small:  # what is to look true is not to be judged by dB
        return best
    why = f"training made it no better on {'pairs' if wanted.small else 'views'} it had not seen ({valid_db:.2f} dB)"
    if wanted.start:
        first = student(wanted)[0].to(run.device).eval()
        if not best[2] > (first_db := study.check(first)):
            best = first, card, first_db, f"{why}: the start's weights"
    if fuses(net) and not best[2] > study.baseline_db:
        plain = NETS[study.baseline](scale=int(card.scale)).to(run.device)
        card = replace(card, net=study.baseline, options={}, halo=int(plain.halo))  # type: ignore[arg-type]
        best = plain, card, study.baseline_db, f"{why}: {study.baseline}, which learns nothing, predicts them best"
    return best
