"""From a burst as it is stored to all that fusing needs: where its views sit, their light, their noise, what to leave out."""

from misr.burst.preparing import Preparing
from misr.burst.ready import MARGIN, Ready, ready

__all__ = ["MARGIN", "Preparing", "Ready", "ready"]
