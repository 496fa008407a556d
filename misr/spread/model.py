"""A model as a value that travels to workers: by name where misr ships it, else with its weights."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import nn

from misr import __version__, zoo
from misr.card import ModelCard
from misr.errors import WorkerError


@dataclass(frozen=True, slots=True)
class Model:
    """What a worker builds a net from; it can be pickled, and the worker needs none of the sender's files.

    card       as the sender has it
    shipped    its name on the shelf; "": it is not there, and `weights` is the file of them (empty for nets without any)
    misr, host of the sender: with another misr the worker's pixels could be others
    """

    card: ModelCard
    shipped: str = ""
    weights: bytes = field(default=b"", repr=False)
    misr: str = __version__
    host: str = field(default_factory=platform.node)

    @staticmethod
    def of(name_or_path: str | Path, scale: float | None = None) -> Model:
        """The model of that name or directory, as zoo.build() takes it; ModelError as there."""
        it = zoo.card(name_or_path, scale=scale)
        if not it.sha256:
            return Model(it)  # a kernel, a method, a net without weights: the card says all
        place = zoo.find(name_or_path)
        if place.resolve().parent == zoo.shelf().resolve():
            return Model(it, place.resolve().name)
        return Model(it, weights=zoo.weights(place / "weights.safetensors", it))

    @property
    def key(self) -> str:
        """What tells it from other models: a worker that has built one of this key needs no other."""
        return hashlib.sha256(json.dumps(asdict(self.card), sort_keys=True).encode()).hexdigest()

    def build(self) -> tuple[nn.Module, ModelCard]:
        """The net with its weights, evaluating, on the CPU in fp32, and its card; WorkerError where it would be another here."""
        if self.misr != __version__:
            raise WorkerError(
                f"model {self.card.name}: {platform.node()} has misr {__version__}, but {self.host}, which sent the work, "
                f"has {self.misr}; install the same misr on both"
            )
        net = zoo.unfilled(self.card)
        try:
            if self.card.sha256:
                zoo.fill(net, self.found() if self.shipped else self.weights, self.card)
        except ImportError as e:
            raise WorkerError(f"model {self.card.name}: {platform.node()} cannot load it: {e}") from None
        return net.eval().requires_grad_(False), self.card

    def found(self) -> bytes:
        """The weights of a shipped model, where this worker's shelf holds the same."""
        place = zoo.shelf() / self.shipped
        theirs = ModelCard.read(place / "card.json").sha256 if place.is_dir() else "not there"
        if theirs != self.card.sha256:
            raise WorkerError(
                f"model {self.shipped}: the one of misr {__version__} on {platform.node()} is {theirs[:12]}, but that of "
                f"misr {self.misr} on {self.host}, which sent the work, is {self.card.sha256[:12]}; install the same misr on both"
            )
        return zoo.weights(place / "weights.safetensors", self.card)
