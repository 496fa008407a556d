"""Ready: a burst with everything scene-wide that fusing needs, in flat memory; windows of it as stacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from misr.burst.preparing import Preparing

if TYPE_CHECKING:
    from misr.io.burst import Burst
    from misr.nets.lattice import Stack
    from misr.registration import Placement

MARGIN = 16  # px that stack() reads around a window, so that what it says inside does not depend on the window
Progress = Callable[[str, int, int], None]  # (what is being done, steps done, steps in all)


@dataclass(frozen=True, slots=True)
class Ready:
    """A burst, prepared. All numbers are scene-wide: a window's pixels do not depend on the window.

    placements   one per view, in the order of burst.views; `used` and `why` tell which are fused
    levels       (low, high) per band, codes of the reference's light: [0, 1] of the nets is (code - low) / (high - low)
    """

    burst: Burst
    reference: int
    width: int
    height: int
    bands: int
    placements: tuple[Placement, ...]
    levels: tuple[tuple[float, float], ...]

    @property
    def order(self) -> tuple[int, ...]:
        """Indices of the views in a stack: the reference, then the other used ones."""
        others = (n for n, p in enumerate(self.placements) if p.used and n != self.reference)
        return (self.reference, *others)

    def stack(self, x: int, y: int, w: int, h: int, band: int) -> Stack:
        """The window (x, y, w, h) of the reference's grid, which may reach beyond it, of one band: b = 1, reference first."""
        raise NotImplementedError

    def codes(self, plane: Tensor, band: int) -> Tensor:
        """A plane of a picture, [0, 1], as codes: floats in the stored unit."""
        low, high = self.levels[band]
        return plane * (high - low) + low

    def codes_sigma(self, plane: Tensor, band: int) -> Tensor:
        """A standard deviation in the unit of the nets, in codes."""
        low, high = self.levels[band]
        return plane * (high - low)

    def told(self) -> dict[str, Any]:
        """All of it for the report, ready for JSON."""
        raise NotImplementedError


def ready(burst: Burst, how: Preparing = Preparing(), *, progress: Progress | None = None) -> Ready:  # noqa: B008
    """Prepare a burst; InputError when no view can be used."""
    raise NotImplementedError
