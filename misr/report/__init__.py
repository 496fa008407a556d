"""Pages for people's own eyes: clips beside each other, in one file that needs no network."""

from misr.report.comparison import Comparison, compare
from misr.report.preview import Preview, preview
from misr.report.settings import Comparing

__all__ = ["Comparing", "Comparison", "Preview", "compare", "preview"]
