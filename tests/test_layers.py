"""The import direction of misr/README.md, enforced: a module imports only from the left of its own place.

Imports inside functions count, so do those for type checkers. misr/__init__.py is exempt: it is the table of contents.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import misr

PACKAGE = Path(misr.__file__).parent
LAYERS = [  # rooms of one row do not see each other
    {"errors"},
    {"ahead", "frame", "geo", "machine", "resample", "shelf"},
    {"color", "window", "scene", "registration", "card", "metrics", "nets"},
    {"io", "zoo"},
    {"upscaler", "journal", "burst"},
    {"pipeline", "settings"},
    {"summary"},
    {"plan"},
    {"spread"},
    {"bench", "evaluation", "exporting", "train"},
    {"adapting", "importing", "report"},
    {"fusion", "tuning"},
    {"cli"},
]
PLACE = {room: row for row, rooms in enumerate(LAYERS) for room in rooms}
ONLY_IO = {"av", "rasterio"}
CV2_CODECS = {
    "imread",
    "imwrite",
    "imreadmulti",
    "imwritemulti",
    "imreadanimation",
    "imwriteanimation",
    "imcount",
    "VideoCapture",
    "VideoWriter",
}
EXEMPT = {  # (module, what): why. An exemption that is no longer needed fails the test
    ("misr.train.data", "av"): "the training recipe decodes its own material",
    ("misr.train.degrade", "av"): "wears pictures by encoding and decoding them in memory",
    ("misr.nets.spandrel", "spandrel"): "is the nets of spandrel, which it loads when a model of them is",
}


def imports(tree: ast.AST, module: str, *, package: bool) -> Iterator[str]:
    """Full names of all that a module imports, local and relative imports included."""
    here = module.split(".") if package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from misr import zoo` names a room, `from misr.zoo import find` a thing in one
            yield from (f"{base}.{a.name}" if base in ("misr", "cv2") else base for a in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "cv2":
            yield f"cv2.{node.attr}"


def complaint(module: str, name: str) -> str | None:
    """What is wrong with `module` importing `name`; None when nothing is."""
    room = module.split(".")[1]
    root, _, rest = name.partition(".")
    if (root in ONLY_IO or root == "cv2" and rest in CV2_CODECS) and room != "io":
        return f"{module} uses {name}: only misr/io touches files and codecs"
    if room == "nets" and not (
        root in ("torch", "einops")
        or root in sys.stdlib_module_names
        or name.startswith(("misr.nets", "misr.resample"))
    ):
        return f"{module} imports {name}: nets see torch, einops and misr.resample alone"
    if root != "misr" or rest == "__version__" or (not rest and room == "cli"):
        return None
    other = rest.split(".")[0]
    if other == room or other in PLACE and PLACE[other] < PLACE[room]:
        return None
    return f"{module} imports {name}, which is not to its left"


def found(module: str, source: str, *, package: bool = False) -> set[tuple[str, str, str]]:
    """(module, top name, complaint) for each import of a source that breaks a rule."""
    names = set(imports(ast.parse(source), module, package=package))
    return {(module, name.split(".")[0], said) for name in names if (said := complaint(module, name))}


def modules() -> Iterator[tuple[str, Path]]:
    """(name, path) of every module of misr but the tables of contents at its door."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name not in ("misr", "misr.__main__"):
            yield name, path


def test_every_module_imports_from_its_left():
    bad = {b for name, path in modules() for b in found(name, path.read_text(), package=path.name == "__init__.py")}
    used = {(module, top) for module, top, _ in bad}
    assert sorted(said for module, top, said in bad if (module, top) not in EXEMPT) == []
    assert set(EXEMPT) <= used, f"exemptions no longer needed: {set(EXEMPT) - used}"


def test_every_room_has_a_place():
    assert {name.split(".")[1] for name, _ in modules()} <= set(PLACE)


def test_the_readme_draws_the_same_direction():
    text = (PACKAGE / "README.md").read_text(encoding="utf-8")
    drawn = " ".join(
        line for line in text.splitlines() if line.startswith("    ") and ("errors ->" in line or "-> cli" in line)
    )
    rows = [set(row.replace(",", " ").split()) for row in drawn.split("->")]
    here = {name.split(".")[1] for name, _ in modules()}
    assert rows == [row & here for row in LAYERS if row & here]
    assert [room for room in here if f"| `{room}.py` |" not in text and f"| `{room}/` |" not in text] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("misr.errors", "import misr.frame"),
        ("misr.frame", "from misr.resample import resample"),
        ("misr.color", "from misr.io.reader import Reader"),
        ("misr.color", "def f():\n    from misr import zoo"),
        ("misr.zoo", "from misr.io import reader"),
        ("misr.io.reader", "from ..upscaler import Upscaler"),
        ("misr.io.reader", "from misr.pipeline import prefetch"),
        ("misr.plan", "if TYPE_CHECKING:\n    from misr.cli.upscale import upscale"),
        ("misr.bench", "import misr.evaluation"),
        ("misr.color", "import misr"),
        ("misr.color", "import misr.unheard_of"),
        ("misr.nets.fast", "import numpy as np"),
        ("misr.nets.fast", "from misr.color import view"),
        ("misr.nets.fast", "def f():\n    import cv2"),
        ("misr.upscaler", "import av"),
        ("misr.pipeline", "def f():\n    from av.video import frame"),
        ("misr.fusion", "import rasterio.warp"),
        ("misr.evaluation", "import cv2\nx = cv2.imread('a.png')"),
        ("misr.evaluation", "from cv2 import VideoCapture"),
    ],
)
def test_a_wrong_import_is_seen(module, source):
    assert found(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("misr.io.reader", "import av, cv2\nfrom misr.io.planes import x\nfrom . import planes\ncv2.imread('a')"),
        (
            "misr.nets.fast",
            "import math\nimport torch.nn.functional as F\nfrom einops import rearrange\nfrom . import other",
        ),
        ("misr.plan", "from misr import __version__\nfrom misr.pipeline import run"),
        ("misr.cli.upscale", "import misr\nfrom misr.plan import plan"),
        ("misr.color", "import cv2\nx = cv2.resize(y, (2, 2))"),
    ],
)
def test_a_right_import_is_let_through(module, source):
    assert not found(module, source)


def test_the_table_of_contents_is_true():
    contents = getattr(misr, "CONTENTS", {})
    assert set(misr.__all__) == set(contents) | {"__version__"}
    for name, (module, attribute) in contents.items():
        assert getattr(misr, name) is getattr(import_module(module), attribute)
