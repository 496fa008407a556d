"""A model that suits one clip, learned from that clip alone, kept only where frames say so that nobody learned from."""

from misr.adapting.run import adapt
from misr.adapting.settings import Adapted, Adapting, Gain

__all__ = ["Adapted", "Adapting", "Gain", "adapt"]
