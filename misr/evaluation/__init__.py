"""How close results are to references: pairs of clips, folders or sequences, models on LR made by a paper's protocol, PROBA-V."""

from misr.evaluation.probav import evaluate_probav
from misr.evaluation.run import evaluate, evaluate_models
from misr.evaluation.scores import Item, Report, Row
from misr.evaluation.settings import METRICS, Measure

__all__ = ["METRICS", "Item", "Measure", "Report", "Row", "evaluate", "evaluate_models", "evaluate_probav"]
