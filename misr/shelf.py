"""What misr ships: where its models are, and names that need no weights. Light: a shell asks at every press of Tab."""

from pathlib import Path

KERNELS = ("nearest", "bilinear", "bicubic", "lanczos")  # models without weights, any scale
METHODS = ("best", "mean", "shift-and-add", "map")  # that fuse bursts without weights, any whole scale
BURST = {2: "burst-x2", 3: "burst-x3"}  # what fuses the views of a burst best, by scale
HERE = Path(__file__).parent


def shelf() -> Path:
    """Where the shipped models are: inside the wheel, or beside the package in a checkout."""
    return HERE / "models" if (HERE / "models").is_dir() else HERE.parent / "models"


def names() -> list[str]:
    """The shipped models, then the plain kernels."""
    found = sorted(p.parent.name for p in shelf().glob("*/card.json"))
    return [*found, *KERNELS]
