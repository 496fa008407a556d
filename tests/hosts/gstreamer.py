"""GStreamer: a file decoded by gst-launch-1.0, through `misrupscale`, and FFV1 in Matroska out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

from tests.hosts import ROOT, HostError, Shown, read

PLUGIN = ROOT / "plugins" / "gstreamer"
PYTHON = "/usr/bin/python3"  # Debian's, which its GStreamer runs
PROBE = (
    "import gi, os, sys; gi.require_version('Gst', '1.0'); gi.require_version('GstVideo', '1.0'); "
    "from gi.repository import Gst, GstVideo; print(*sys.version_info[:2], os.path.dirname(gi.__path__[0]))"
)
ELEMENTS = (
    "decodebin matroskademux qtdemux aacparse avdec_ffv1 avdec_h264 avenc_ffv1 x264enc matroskamux videoconvert appsink"
)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment in which GStreamer finds the element, and the element finds misr; its registry is in the folder."""
    paths = {"PYTHONPATH": os.pathsep.join((sysconfig.get_path("purelib"), str(ROOT), bindings()))}
    quiet = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
    registry = {"GST_PLUGIN_PATH": str(PLUGIN), "GST_REGISTRY": str(folder / "registry.bin")}
    return {**os.environ, **paths, **quiet, **registry, **more}


@cache
def probe() -> list[str]:
    """The version, major and minor, of the system's Python, and where its gi lies; [] where it has none for GStreamer."""
    if not Path(PYTHON).exists():
        return []
    return subprocess.run([PYTHON, "-c", PROBE], capture_output=True, text=True).stdout.split()


def bindings() -> str:
    """Where GStreamer's Python finds gi, also while an environment is active that it takes for its home."""
    return probe()[2] if probe() else ""


@cache
def missing() -> str:
    """Why GStreamer with Python elements cannot be run here; "" when it can."""
    if not shutil.which("gst-launch-1.0") or not shutil.which("gst-inspect-1.0"):
        return "gst-launch-1.0 is not installed; plugins/gstreamer/install installs it"
    if not probe():
        return "the system's Python has no gi for GStreamer; plugins/gstreamer/install installs it"
    if tuple(map(int, probe()[:2])) != sys.version_info[:2]:
        return f"the system's Python is {'.'.join(probe()[:2])}, this environment is of another"
    for element in ELEMENTS.split():
        if subprocess.run(["gst-inspect-1.0", "--exists", element]).returncode:
            return f"GStreamer has no {element}; plugins/gstreamer/install installs it"
    return ""


def launch(pipeline: str, folder: Path, *options: str, **more: str) -> str:
    """What gst-launch-1.0 prints of a pipeline; HostError with what it wrote to standard error when it fails."""
    command = ["gst-launch-1.0", *options, *pipeline.split()]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(folder, **more), timeout=120)
    if done.returncode:
        raise HostError(done.stderr)
    return done.stdout


class GStreamer:
    """The element in a pipeline of files."""

    name = "gstreamer"
    formats: tuple[str, ...] = (
        "yuv420p",
        "yuv420p10le",
        "yuv422p",
        "yuv444p12le",
        "yuva420p",
        "gray",
        "gray16le",
        "gbrp10le",
    )
    keeps = frozenset({"time", "tags", "sar"})
    tick = Fraction(1, 10**9)
    codes = 0
    error: type[BaseException] = HostError

    def missing(self) -> str:
        return missing()

    def run(self, clip: Path, *, model: str, folder: Path) -> list[Shown]:
        out = folder / f"{clip.stem}-gstreamer.mkv"
        said = launch(
            f"filesrc location={clip} ! matroskademux ! decodebin ! misrupscale name=misr model={model} "
            f"! avenc_ffv1 ! matroskamux ! filesink location={out}",
            folder,
            "-v",
        )
        told = re.search(r":misr\.GstPad:src: caps = .*pixel-aspect-ratio=\(fraction\)(\d+/\d+)", said)
        assert told  # of the element's own caps: Matroska rounds the shape of pixels to whole pixels of display
        return [replace(frame, sar=Fraction(told[1])) for frame in read(out)]


HOST = GStreamer()
