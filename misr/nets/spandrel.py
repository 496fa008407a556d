"""Any single-image net that spandrel knows, built from its weights: for models of the community, of whatever paper.

spandrel reads the sizes of a net off the shapes of its weights, so there is no net before there are weights.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

OVERLAP = 32  # LR pixels around a tile: how far such nets look is not known, and attention has no end
MISSING = 'it wants spandrel: pip install "misr[spandrel]"'


class Spandrel(nn.Module):
    """A shell that load_state_dict() fills with the net its weights are of.

    scale, channels     of the net; RuntimeError where the weights are of others
    halo                what tiles overlap by, without a promise that nothing from farther away matters
    """

    cell = 0
    halo = OVERLAP

    def __init__(self, *, scale: float = 4, channels: int = 3) -> None:
        super().__init__()
        self.scale, self.channels = scale, channels
        self.inner: nn.Module | None = None
        self.described: Any = None  # spandrel's own call: it pads to what the net wants, and clamps

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Become the net of these weights; ImportError without spandrel, RuntimeError for what it does not know."""
        found = described(state_dict)
        if (found.scale, found.input_channels) != (self.scale, self.channels):
            raise RuntimeError(
                f"its weights are x{found.scale} of {found.input_channels} channels, not x{self.scale:g} of {self.channels}"
            )
        self.described, self.inner = found, found.model

    def state_dict(self, *args: Any, **more: Any) -> Any:
        """The weights under spandrel's own names; none before there are any."""
        return {} if self.inner is None else self.inner.state_dict(*args, **more)

    def forward(self, views: Tensor, valid: Tensor, centres: range) -> Tensor:
        """Sharp centres (b, n, c, s*h, s*w) of windows (b, t, c, h, w), by spandrel's own call."""
        if self.described is None:
            raise RuntimeError("a net of spandrel's has no shape before it has weights; misr import makes such models")
        b = views.shape[0]
        x = rearrange(views[:, centres.start : centres.stop], "b n c h w -> (b n) c h w")
        return rearrange(self.described(x), "(b n) c h w -> b n c h w", b=b)


def described(weights: Mapping[str, Any]) -> Any:
    """spandrel's ImageModelDescriptor of weights; ImportError without spandrel, RuntimeError for weights it does not know."""
    spandrel = loaded()
    try:
        found = spandrel.ModelLoader().load_from_state_dict(dict(weights))
    except spandrel.UnsupportedModelError:
        raise RuntimeError("no architecture that spandrel knows has such weights") from None
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as e:
        raise RuntimeError(f"spandrel cannot make a net of these weights ({type(e).__name__}: {e})") from None
    if not isinstance(found, spandrel.ImageModelDescriptor):
        raise RuntimeError(f"{found.architecture.name} fills holes that a mask shows; misr has pictures alone")
    return found


def loaded() -> Any:
    """The module spandrel; ImportError that says what to do.

    Two of its nets import torchvision, which stops where its build does not match torch's, as a CPU torch beside PyPI's
    torchvision, for want of operators that no net here uses. They are declared then, and it goes on.
    """
    try:
        try:
            import spandrel
        except RuntimeError as e:
            if "torchvision::" not in str(e):
                raise
            for name in [n for n in sys.modules if n.split(".")[0] in ("torchvision", "spandrel")]:
                del sys.modules[name]
            for operator in ("nms", "qnms"):
                torch.library.define(
                    f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                )
            import spandrel
    except ImportError:
        raise ImportError(MISSING) from None
    except RuntimeError as e:
        raise ImportError(
            f"spandrel does not load ({str(e).splitlines()[0]}); install torch and torchvision of one build"
        ) from None
    return spandrel
