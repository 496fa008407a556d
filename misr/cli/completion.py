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


def mend_zsh() -> None:
    """Let zsh complete at the first press of Tab.

    Typer's script, once installed, is a function that zsh loads at that press; it only says what to call from the next one on. It
    has no public place to mend it, and where its table is gone, its script is left as it is.
    """
    from typer import _completion_shared as shared

    scripts: dict[str, str] = getattr(shared, "_completion_scripts", {})
    script = scripts.get("zsh", "")
    now = "if [[ $funcstack[1] == _%(prog_name)s ]]; then %(complete_func)s; fi\n"
    if script and now not in script:
        scripts["zsh"] = script + now
