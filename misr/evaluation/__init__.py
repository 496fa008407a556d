"""How close results are to references: pairs of clips, folders or sequences, or models on LR made by a paper's protocol."""

from misr.evaluation.run import evaluate, evaluate_models
from misr.evaluation.scores import Item, Report, Row
from misr.evaluation.settings import METRICS, Measure

__all__ = ["METRICS", "Item", "Measure", "Report", "Row", "evaluate", "evaluate_models"]
