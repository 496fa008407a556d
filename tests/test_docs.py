"""docs/: all commands and programs of the pages run, on small made-up files; options.md is what the code says; links lead on."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from glob import glob
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from safetensors.torch import save_file

from tests import media
from tests.burst_scenes import moves, seen
from tests.command import clip, misr
from tests.hosts import gstreamer
from tests.small_nets import compact
from tests.test_mos import answers

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LONG = {
    "--minutes 5": "--steps 1 --frames 6",
    "--minutes 10": "--steps 1 --frames 6",
    "--adapt-minutes 5": "--adapt-steps 1",
    "--seconds 75": "--seconds 2",
}  # what only makes a command long, and what stands for it here
SHELL = re.compile(r"[|;&<>$]")
MODULES = ("rasterio", "onnxruntime")


class Block(NamedTuple):
    """A fenced piece of a page."""

    page: str
    line: int
    kind: str
    text: str


def blocks() -> Iterator[Block]:
    """Every fenced piece of every page."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S):
            yield Block(page.name, text[: found.start()].count("\n") + 1, found[1], found[2])


def burst(folder: Path, suffix: str, number: int = 3, seed: int = 1, size: tuple[int, int] = (48, 56)) -> None:
    """Views of one place: 16-bit PNGs, or GeoTIFFs with their place."""
    folder.mkdir(parents=True)
    for n, matrix in enumerate(moves(number, seed)):
        view = 2000 + 9000 * seen(*size, matrix) + np.random.default_rng(n).normal(0, 40, size)
        codes = view.round().astype(np.uint16)
        if suffix == "png":
            cv2.imwrite(str(folder / f"view{n}.png"), codes)
            continue
        import rasterio

        told = {"crs": "EPSG:32630", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 4_500_000), "nodata": 0}
        shape = {"height": size[0], "width": size[1], "count": 1, "dtype": "uint16"}
        with rasterio.open(folder / f"view{n}.tif", "w", driver="GTiff", **shape, **told) as out:
            out.write(codes[None])


def pair(folder: Path, name: str, n: int) -> None:
    """A sharp picture, a small one of it, and a clean one of something else."""
    y, x = np.mgrid[:128, :160]
    sharp = (125 + 60 * np.sin((x + n * y) / 5) + np.random.default_rng(n).normal(0, 9, x.shape)).astype(np.uint8)
    for place, plane in (("truth", sharp), ("small", sharp[::2, ::2]), ("photos", sharp[::-1])):
        (folder / place).mkdir(exist_ok=True)
        cv2.imwrite(str(folder / place / f"{name}.png"), plane)


def challenge(folder: Path) -> None:
    """Two scenes as PROBA-V has them."""
    for number in (1, 2):
        place = folder / f"imgset{number:04d}"
        place.mkdir(parents=True)
        for n, matrix in enumerate(moves(2, number)):
            codes = (2000 + 9000 * seen(128, 128, matrix, number)).round().astype(np.uint16)
            cv2.imwrite(str(place / f"LR{n:03d}.png"), codes)
            cv2.imwrite(str(place / f"QM{n:03d}.png"), np.full((128, 128), 255, np.uint8))
        cv2.imwrite(str(place / "HR.png"), np.kron(codes, np.ones((3, 3), np.uint16)))
        cv2.imwrite(str(place / "SM.png"), np.full((384, 384), 255, np.uint8))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages speak of."""
    folder = tmp_path_factory.mktemp("files")
    clip(folder / "in.mkv", 24, rich=True)
    clip(folder / "in.mp4", 12)
    clip(folder / "reference.mkv", 12, size=(128, 96))
    (folder / "clips").mkdir()
    clip(folder / "clips" / "a.mkv", 6)
    clip(folder / "clips" / "b.mkv", 6)
    for n, name in enumerate("abc"):
        pair(folder, name, n)
    media.clip(folder, name="tape", size=(64, 48), frames=12, interlaced=True, options=media.TOP_FIELD_FIRST)
    media.clip(folder, name="whole", size=(64, 48), codec="mjpeg", pix_fmt="yuvj420p", frames=12)
    with media.av.open(str(folder / "whole.mkv")) as source:
        packet = [bytes(p) for p in source.demux() if p.size][5]
    whole = (folder / "whole.mkv").read_bytes()
    (folder / "broken.mkv").write_bytes(whole.replace(packet, bytes(len(packet))))
    save_file(compact(2), folder / "weights.safetensors")
    burst(folder / "burst", "png")
    if find_spec("rasterio"):
        burst(folder / "scene", "tif")
        burst(folder / "scenes" / "one", "tif", 5, size=(72, 80))
        burst(folder / "scenes" / "two", "tif", 5, 2, size=(72, 80))
        burst(folder / "masks", "tif")
    challenge(folder / "probav" / "NIR")
    for n, rater in enumerate(("ann", "bob", "cyd")):
        answers(folder, f"mos-{rater}", [[2, 4, 5], [1 + n, 4, 5]])
    here = Path.cwd()
    os.chdir(folder)
    try:
        assert misr("upscale", "in.mkv", "sharp.mkv", "-m", "bilinear", "-t", "0.48") == 0
        assert misr("export", "fast-x2", "fast-x2.onnx") == 0
        if find_spec("rasterio"):
            assert misr("fuse", "scene", "-o", "sharp.tif", "-m", "mean", "--sigma", "--report", "sharp") == 0
            shutil.copy("sharp.json", "report.json")
    finally:
        os.chdir(here)
    return folder


def commands(text: str) -> Iterator[str]:
    """The lines of a shell block, without remarks."""
    for line in text.replace("\\\n", " ").splitlines():
        if line := line.partition(" #")[0].strip():
            for long, short in LONG.items():
                line = line.replace(long, short)
            yield line


def lacking(block: Block) -> list[str]:
    """What a block wants that this machine has not."""
    words = set(re.findall(r"[\w.-]+", block.text))
    lacks = [name for name in MODULES if block.kind == "python" and name in words and not find_spec(name)]
    if "misr import" in block.text and not find_spec("spandrel"):
        lacks.append("spandrel")
    if {"ffmpeg", "misr-ffmpeg"} & words and not shutil.which("ffmpeg"):
        lacks.append("ffmpeg")
    if "gst-launch-1.0" in words and (why := gstreamer.missing()):
        lacks.append(f"GStreamer: {why}")
    if "scene" in block.text and not find_spec("rasterio"):
        lacks.append("rasterio")
    return lacks


def run(line: str, folder: Path) -> None:
    """A line as a reader types it: in this process where it is misr alone, else by bash."""
    if line.startswith("misr ") and not SHELL.search(line):
        words = [w for word in shlex.split(line)[1:] for w in (sorted(glob(word)) or [word])]
        assert misr(*words) == 0, line
        return
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line], env=where(folder), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{line}\n{done.stderr}"


def where(folder: Path) -> dict[str, str]:
    """The environment in which commands of the pages are found."""
    tools = folder / ".tools"
    tools.mkdir(exist_ok=True)
    for name, module in (("misr", "misr"), ("misr-ffmpeg", "misr_ffmpeg")):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        (tools / name).chmod(0o755)
    with_element = gstreamer.environment(tools)
    python = os.pathsep.join([str(ROOT / "plugins" / "ffmpeg"), with_element["PYTHONPATH"]])
    return with_element | {"PYTHONPATH": python, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}


RUN = [pytest.param(b, id=f"{b.page}:{b.line}") for b in blocks() if b.kind in ("sh", "python")]


@pytest.mark.parametrize("block", RUN)
def test_what_a_page_tells_to_do_works(
    block: Block, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing := lacking(block):
        pytest.skip(f"not here: {', '.join(missing)}")
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for long in ("features", "relations"):
        monkeypatch.setattr(f"misr.train.{long}.STEPS", 2)  # as LONG does: what is only long
    if block.kind == "sh":
        for line in commands(block.text):
            run(line, tmp_path)
            outputs = [w for w in shlex.split(line) if w.startswith("out")]
            later = any(option in line for option in ("--dry-run", "--preview", "--part"))
            assert later or [w for w in outputs if "." in w and not Path(w).exists()] == []
        return
    done = subprocess.run([sys.executable, "-c", block.text], env=where(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_no_fenced_piece_escapes() -> None:
    """A shell block under another name, or with a fence that is not closed, would not be run."""
    fences = sum(len(re.findall(r"^\s*(?:```|~~~)", page.read_text(encoding="utf-8"), re.M)) for page in PAGES)
    assert fences == 2 * len(list(blocks()))
    assert {b.kind for b in blocks()} == {"sh", "python", "json"}


@pytest.mark.parametrize(
    "line", ["misr upscale gone.mkv out.mkv", "misr models --so", "misr models --so | cat", "gone < /dev/null"]
)
def test_a_command_that_fails_would_be_noticed(line: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, SystemExit)):
        run(line, tmp_path)


def test_every_page_is_in_the_index_and_every_link_leads_somewhere() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    assert [p.name for p in PAGES if p.name != "README.md" and f"]({p.name})" not in index] == []
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (DOCS / link).exists(), f"{page.name}: {link}"


def test_the_page_of_options_is_what_the_code_says() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "docs"))["text"]()
    assert (DOCS / "options.md").read_text(encoding="utf-8") == made, "run scripts/docs"


def test_every_option_says_what_it_is() -> None:
    import typer

    from misr.cli import app

    leaves = runpy.run_path(str(ROOT / "scripts" / "docs"))["leaves"]
    commands = dict(leaves(typer.main.get_command(app)))
    silent = [f"{name} {p.opts[0]}" for name, c in commands.items() for p in c.params if not p.help]
    assert silent == []
    assert [name for name, c in commands.items() if not c.help] == []
