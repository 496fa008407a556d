"""GStreamer element `misrupscale`: video in, the same video larger and sharper out.

This file is the element as an application sees it: its properties, its states, its errors. torch is first imported on the way to
READY, for GStreamer's registry loads this file.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GObject, Gst  # noqa: E402
from misr_caps import ANY_SIZE, LARGEST  # noqa: E402
from misr_stream import Stream  # noqa: E402

PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def setting(kind: type, default: Any, blurb: str, **span: Any) -> Any:
    """A property that is read on the way to READY and to PAUSED."""
    flags = GObject.ParamFlags(GObject.ParamFlags.READWRITE | Gst.PARAM_MUTABLE_READY)
    return GObject.Property(type=kind, default=default, blurb=blurb, flags=flags, **span)


class MisrUpscale(Stream):
    """A model as its properties say, and the stream that goes through it."""

    __gstmetadata__ = (
        "misr super-resolution",
        "Filter/Effect/Video",
        "Makes video larger and sharper with the models of misr; some look at neighbouring frames",
        "the misr authors",
    )
    __gsttemplates__ = tuple(
        Gst.PadTemplate.new(name, direction, Gst.PadPresence.ALWAYS, Gst.Caps.from_string(ANY_SIZE))
        for name, direction in (("sink", Gst.PadDirection.SINK), ("src", Gst.PadDirection.SRC))
    )
    model = setting(str, "fast-x2", "Name of a model (`misr models` lists them), or path of its directory")
    scale = setting(float, 0.0, "Output size / input size; 0: what the model makes", minimum=0.0, maximum=16.0)
    device = setting(str, "", "cpu, cuda, cuda:1; empty: the GPU where there is one")
    precision = setting(str, "auto", f"One of {', '.join(PRECISIONS)}")
    tile = setting(int, 0, "Side of a square tile in input pixels; 0: whole pictures", minimum=0, maximum=LARGEST)
    batch = setting(int, 0, "Windows per run of the net; 0: what suits the device", minimum=0, maximum=1024)
    strength = setting(float, 1.0, "0: plain interpolation .. 1: all learned detail", minimum=0.0, maximum=1.0)

    def __init__(self) -> None:
        super().__init__()
        self.loaded: tuple[Any, ...] = ()  # the properties that self.up was made by

    def do_change_state(self, change: Gst.StateChange) -> Gst.StateChangeReturn:
        """Load the model before it is needed, so that a wrong name is told at once; let go of it at NULL."""
        if change in (Gst.StateChange.NULL_TO_READY, Gst.StateChange.READY_TO_PAUSED):
            try:
                self.load()
            except Exception as e:
                self.fail(e, Gst.ResourceError.NOT_FOUND)
                return Gst.StateChangeReturn.FAILURE
        result = Gst.Element.do_change_state(self, change)
        if change == Gst.StateChange.PAUSED_TO_READY:
            self.stop()
        elif change == Gst.StateChange.READY_TO_NULL:
            self.up, self.loaded = None, ()
        return result

    def load(self) -> None:
        """self.up as the properties say; ValueError, ImportError or MisrError, each one sentence, where that cannot be."""
        asked = self.model, self.scale, self.device, self.precision, self.tile, self.batch, self.strength
        if asked == self.loaded:
            return
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision} is not one of {', '.join(PRECISIONS)}")
        if 0 < self.scale < 1:
            raise ValueError(f"scale={self.scale:g} makes pictures smaller; that is for videoscale")
        try:
            from misr import Upscaler
        except ImportError as e:
            python = "Python {}.{}".format(*sys.version_info)
            raise ImportError(
                f"misr does not load in the {python} that GStreamer runs ({str(e).splitlines()[0]}); put the site-packages "
                f"of an environment of {python} that has misr on PYTHONPATH"
            ) from None
        up = Upscaler(
            self.model,
            scale=self.scale or None,
            device=self.device or None,
            precision=self.precision,
            tile=self.tile,
            batch=self.batch,
            strength=self.strength,
        )
        if self.scale not in (0, up.card.scale):
            raise ValueError(
                f"model {self.model} enlarges {up.card.scale:g} times, not {self.scale:g}; leave scale out"
            )
        self.up, self.loaded = up, asked

    def fail(self, e: Exception, code: Any = Gst.StreamError.FAILED) -> Gst.FlowReturn:
        """Post an exception as the element's error message; a traceback goes along when it is not one to be expected."""
        misr = sys.modules.get("misr")
        told = isinstance(e, (ValueError, ImportError, *((misr.MisrError,) if misr else ())))
        text = (str(e) or type(e).__name__).splitlines()[0]
        text, detail = (text, None) if told else (f"{type(e).__name__}: {text}", "".join(traceback.format_exception(e)))
        at = traceback.extract_tb(e.__traceback__)[-1]
        self.message_full(
            Gst.MessageType.ERROR, type(code).quark(), int(code), text, detail, at.filename, at.name, at.lineno
        )
        return Gst.FlowReturn.ERROR


GObject.type_register(MisrUpscale)
__gstelementfactory__ = ("misrupscale", Gst.Rank.NONE, MisrUpscale)
