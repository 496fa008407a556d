"""What a shell offers after an option at a press of Tab: names of models, words of a closed set. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Callable

from misr.shelf import BURST, METHODS, names

Complete = Callable[[str], list[str]]


def among(*words: str) -> Complete:
    """Completes a word of a closed set."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def clip_models(incomplete: str) -> list[str]:
    """Models that upscale clips; of a list such as fast-x2,vi the last."""
    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in names() if name not in BURST.values() and name.startswith(last)]


def burst_models(incomplete: str) -> list[str]:
    """Methods and models that fuse bursts."""
    return [name for name in (*METHODS, *BURST.values()) if name.startswith(incomplete)]


def all_models(incomplete: str) -> list[str]:
    """Every shipped model, and the plain kernels."""
    return [name for name in names() if name.startswith(incomplete)]
