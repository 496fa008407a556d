"""The rule by which an adapted model is kept, or the start is.

Hidden frames alone do not decide: on clips whose true frames were known, models that predicted them better were at times worse
by the truth, where things move in front of each other, and there the frames remade from the clip shrunk once more fell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from misr.adapting.judge import Exam, gain
from misr.adapting.settings import Gain
from misr.train import proxy

NAMES = ("bicubic", "motion-compensated mean")
KINDS = ("hidden frames", "the clip shrunk once more")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the adapted model is kept, why in one clause, and what that rests on."""

    adopted: bool
    why: str
    heldout: Gain
    shrunk: Gain
    baselines_db: dict[str, float]


def verdict(those: Exam, start: nn.Module, adapted: nn.Module, scale: int, name: str) -> Verdict:
    """What frames say that neither fit nor choice has seen."""
    (before, small), (after, again) = (those.both_db(net) for net in (start, adapted))
    heldout, shrunk = gain(before, after, those.blocks), gain(small, again, range(len(small)))
    plain = (proxy.of_one(scale), proxy.of_mean(scale, those.flow))
    baselines = {k: float(np.mean(those.hidden_db(p))) for k, p in zip(NAMES, plain, strict=True)}
    return decided(heldout, shrunk, baselines, name, fuses=hasattr(adapted, "unroll"))


def decided(
    heldout: Gain,
    shrunk: Gain,
    baselines_db: dict[str, float],
    name: str,
    *,
    fuses: bool,
    kinds: tuple[str, str] = KINDS,
) -> Verdict:
    """The rule, and why in words; kinds: what is hidden, and what is shrunk."""
    why = against(heldout, shrunk, baselines_db, name, fuses=fuses, kinds=kinds)
    if why:
        return Verdict(False, why, heldout, shrunk, baselines_db)
    won = f"{heldout.gain_db:+.2f} dB on {kinds[0]}, {shrunk.gain_db:+.2f} dB on {kinds[1]}, over {name}"
    return Verdict(True, won, heldout, shrunk, baselines_db)


def against(
    heldout: Gain,
    shrunk: Gain,
    baselines_db: dict[str, float],
    name: str,
    *,
    fuses: bool,
    kinds: tuple[str, str] = KINDS,
) -> str:
    """What speaks against the adapted model, a clause; "" when nothing does.

    Both gains must be there, and one must be no chance: that on hidden frames of nets that fuse frames, the other of nets of one
    view, which learn from it alone. Gains that are no numbers never are.
    """
    main, other = (heldout, shrunk) if fuses else (shrunk, heldout)
    of_main, of_other = kinds if fuses else kinds[::-1]
    if not main.clear:
        return f"on {of_main} learning brought {main.gain_db:+.3f} dB over {name}, not more than chance ({main.margin_db:.3f})"
    if not other.gain_db >= 0:
        return (
            f"on {of_main} learning brought {main.gain_db:+.2f} dB, but on {of_other} {other.gain_db:+.2f}: "
            "the first is not to be believed"
        )
    best = max(baselines_db, key=lambda k: baselines_db[k])
    if not heldout.adapted_db > baselines_db[best]:
        return f"{best} predicts {kinds[0]} better ({baselines_db[best]:.2f} dB, learning {heldout.adapted_db:.2f})"
    return ""
