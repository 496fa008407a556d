"""open_burst: pictures of one place, whatever they are stored in, as a Burst of views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from misr.io.view import View


@dataclass(frozen=True, slots=True)
class Burst:
    """Views of one place, in the order given or found.

    name    what to call the whole
    views   at least one; all of one dtype and number of bands
    names   of the bands
    notes   what a person should know of how it was opened, a sentence each
    """

    name: str
    views: tuple[View, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def close(self) -> None:
        """Let go of all files."""
        for view in self.views:
            view.close()


def open_burst(
    paths: Sequence[str],
    *,
    masks: Sequence[str] = (),
    at: Fraction | None = None,
    count: int = 0,
    exposures: Sequence[float] | str = (),
    nodata: float | None = None,
    any_size: bool = False,
) -> Burst:
    """The views of files, a folder, a glob, arrays or a span of a video."""
    raise NotImplementedError
