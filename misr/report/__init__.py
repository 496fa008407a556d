"""Pages for people's own eyes: clips beside each other, or rated blind, in one file that needs no network."""

from misr.report.comparison import Comparison, compare
from misr.report.mos import Rating, RatingPage, rating_page
from misr.report.mos_answers import Opinions, opinions
from misr.report.preview import Preview, preview
from misr.report.settings import Comparing

__all__ = [
    "Comparing",
    "Comparison",
    "Opinions",
    "Preview",
    "Rating",
    "RatingPage",
    "compare",
    "opinions",
    "preview",
    "rating_page",
]
