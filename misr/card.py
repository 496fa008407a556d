"""A model's card: what its net is, what it eats, where it came from, how good it is.

A model is a directory with card.json and weights.safetensors; the card is all that misr believes about it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from misr.errors import ModelError


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One model, described.

    net, options     the name in NETS and its keyword options
    before, emit, after   neighbours looked at, centres per window, look-ahead; 0, 1, 0 is a single-image model
    channels         1: one plane (luma, a band); 3: RGB
    multiple         height and width are padded to a multiple of this; halo: LR pixels a tile must carry around itself
    precisions       which of fp32, bf16, fp16 were tested
    sha256           of weights.safetensors; "" for a net without weights
    """

    name: str
    net: str
    scale: float
    options: dict[str, Any] = field(default_factory=dict)
    before: int = 0
    emit: int = 1
    after: int = 0
    channels: int = 1
    multiple: int = 1
    halo: int = 0
    precisions: tuple[str, ...] = ("fp32",)
    light: bool = False
    sha256: str = ""
    licence: str = "Apache-2.0"
    source: str = ""
    recipe: str = ""
    trained_on: str = ""
    note: str = ""
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def context(self) -> int:
        """Frames before a part of a clip that its pictures depend on: views looked at, and the one that a cut is told by."""
        return max(self.before, 1)

    @staticmethod
    def read(path: Path) -> ModelCard:
        """The card at `path` (card.json); ModelError when it is not one."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as e:
            raise ModelError(
                f"{path}: not a readable model card ({e}); a model is a directory with card.json"
            ) from None
        if not isinstance(raw, dict):
            raise ModelError(f"{path}: not a model card (a JSON object is wanted)")
        known = {f.name for f in fields(ModelCard)}
        strange, missing = sorted(set(raw) - known), sorted({"name", "net", "scale"} - set(raw))
        if strange or missing:
            what = f"unknown {', '.join(strange)}" if strange else f"lacks {', '.join(missing)}"
            raise ModelError(f"{path}: {what}; this misr knows {', '.join(sorted(known))}")
        raw["precisions"] = tuple(raw.get("precisions", ("fp32",)))
        return ModelCard(**raw)

    def write(self, path: Path) -> None:
        """Write card.json, stable and readable."""
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
