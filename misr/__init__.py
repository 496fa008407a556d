"""misr: multi-frame super-resolution for pictures that move.

    misr.upscale("in.mkv", "out.mkv", model="fast-x2")             the whole job, as the command line does it
    up = misr.load("fast-x4")                                       a model on the best device here
    for frame in up.stream(misr.open("in.mkv")): ...                frames in, sharp frames out
    misr.fuse(["a.tif", "b.tif"], "out.tif", misr.Fusing(scale=2))  pictures of one place into one, sharper
    with misr.Processes(("cpu", "cpu")) as crew: ...                workers, for upscale_all, fuse, evaluate; misr.Ray: a cluster

This file is the table of contents. Names load when they are first used, so that `misr --help` does not wait for torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from misr.machine import openmp

__version__ = "0.1.0"

# Net, decoder and encoder share the cores. OpenMP threads that spin while they wait starve the other two: 4 frames per second
# instead of 24 beside one busy core (measured). Read by OpenMP when torch is first imported; a value of the user's wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # a short spin first: 20 % more from the net alone
for _name, _value in openmp().items():  # a container's share of the cores
    os.environ.setdefault(_name, _value)

if TYPE_CHECKING:
    from misr.adapting import Adapted, Adapting, adapt
    from misr.card import ModelCard
    from misr.errors import DecodeError, InputError, MisrError, ModelError, OutputError, WorkerError
    from misr.evaluation import Measure, Report, evaluate, evaluate_models
    from misr.exporting import Exported, export
    from misr.frame import Color, Frame, Retag
    from misr.fusion import Fusing, Fusion, fuse
    from misr.importing import Imported, import_model
    from misr.io.pyav import from_av, to_av
    from misr.io.reader import Reader as open
    from misr.plan import Result, Settings, upscale
    from misr.report import Comparing, Comparison, Opinions, Rating, RatingPage, compare, opinions, rating_page
    from misr.spread.cluster import Ray
    from misr.spread.drive import upscale_all
    from misr.spread.local import Processes
    from misr.tuning import Tuned, Tuning, tune
    from misr.upscaler import Session, Upscaler
    from misr.upscaler import Upscaler as load
    from misr.window import Sliding, Window
    from misr.zoo import models

CONTENTS = {
    "upscale": ("misr.plan", "upscale"),
    "upscale_all": ("misr.spread.drive", "upscale_all"),
    "Processes": ("misr.spread.local", "Processes"),
    "Ray": ("misr.spread.cluster", "Ray"),
    "Settings": ("misr.plan", "Settings"),
    "Result": ("misr.plan", "Result"),
    "fuse": ("misr.fusion", "fuse"),
    "Fusing": ("misr.fusion", "Fusing"),
    "Fusion": ("misr.fusion", "Fusion"),
    "load": ("misr.upscaler", "Upscaler"),
    "models": ("misr.zoo", "models"),
    "Upscaler": ("misr.upscaler", "Upscaler"),
    "Session": ("misr.upscaler", "Session"),
    "open": ("misr.io.reader", "Reader"),
    "from_av": ("misr.io.pyav", "from_av"),
    "to_av": ("misr.io.pyav", "to_av"),
    "Frame": ("misr.frame", "Frame"),
    "Color": ("misr.frame", "Color"),
    "Retag": ("misr.frame", "Retag"),
    "ModelCard": ("misr.card", "ModelCard"),
    "Window": ("misr.window", "Window"),
    "Sliding": ("misr.window", "Sliding"),
    "evaluate": ("misr.evaluation", "evaluate"),
    "evaluate_models": ("misr.evaluation", "evaluate_models"),
    "Measure": ("misr.evaluation", "Measure"),
    "Report": ("misr.evaluation", "Report"),
    "compare": ("misr.report", "compare"),
    "Comparing": ("misr.report", "Comparing"),
    "Comparison": ("misr.report", "Comparison"),
    "rating_page": ("misr.report", "rating_page"),
    "Rating": ("misr.report", "Rating"),
    "RatingPage": ("misr.report", "RatingPage"),
    "opinions": ("misr.report", "opinions"),
    "Opinions": ("misr.report", "Opinions"),
    "export": ("misr.exporting", "export"),
    "Exported": ("misr.exporting", "Exported"),
    "import_model": ("misr.importing", "import_model"),
    "Imported": ("misr.importing", "Imported"),
    "adapt": ("misr.adapting", "adapt"),
    "Adapting": ("misr.adapting", "Adapting"),
    "Adapted": ("misr.adapting", "Adapted"),
    "tune": ("misr.tuning", "tune"),
    "Tuning": ("misr.tuning", "Tuning"),
    "Tuned": ("misr.tuning", "Tuned"),
    "MisrError": ("misr.errors", "MisrError"),
    "InputError": ("misr.errors", "InputError"),
    "DecodeError": ("misr.errors", "DecodeError"),
    "OutputError": ("misr.errors", "OutputError"),
    "ModelError": ("misr.errors", "ModelError"),
    "WorkerError": ("misr.errors", "WorkerError"),
}
__all__ = [
    "Adapted",
    "Adapting",
    "Color",
    "Comparing",
    "Comparison",
    "DecodeError",
    "Exported",
    "Frame",
    "Fusing",
    "Fusion",
    "Imported",
    "InputError",
    "Measure",
    "MisrError",
    "ModelCard",
    "ModelError",
    "Opinions",
    "OutputError",
    "Processes",
    "Rating",
    "RatingPage",
    "Ray",
    "Report",
    "Result",
    "Retag",
    "Session",
    "Settings",
    "Sliding",
    "Tuned",
    "Tuning",
    "Upscaler",
    "Window",
    "WorkerError",
    "__version__",
    "adapt",
    "compare",
    "evaluate",
    "evaluate_models",
    "export",
    "from_av",
    "fuse",
    "import_model",
    "load",
    "models",
    "open",
    "opinions",
    "rating_page",
    "to_av",
    "tune",
    "upscale",
    "upscale_all",
]


def __getattr__(name: str) -> Any:
    if name not in CONTENTS:
        raise AttributeError(f"module 'misr' has no attribute {name!r}")
    module, attribute = CONTENTS[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value
