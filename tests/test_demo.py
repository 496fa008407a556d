"""What scripts/demo is made of: the sample is the clip it claims to be, the picture shows both, bad calls end in a sentence."""

import itertools
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests import media

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def call(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, argv)], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "sample.mkv"
    done = call(SCRIPTS / "sample.py", path)
    assert done.returncode == 0, done.stderr
    return path


def test_the_sample_has_all_a_clip_can_have(sample):
    with av.open(str(sample)) as source:
        assert [s.type for s in source.streams] == ["video", "audio", "subtitle", "subtitle"]
        assert [s.metadata["language"] for s in source.streams.subtitles] == ["eng", "deu"]
        assert [c["metadata"]["title"] for c in source.chapters()] == ["Text", "Leaves", "Gratings"]
        frames = list(source.decode(video=0))
    assert len(frames) == 120
    assert (frames[0].width, frames[0].height, int(frames[0].colorspace)) == (480, 270, 1)
    assert not list(sample.parent.glob("*.part*"))


def test_the_sample_moves_and_has_detail(sample):
    gray = [f.to_ndarray(format="gray").astype(np.float32) for f in media.read(sample)[::12]]
    moved = [abs(a - b).mean() for a, b in itertools.pairwise(gray)]
    assert min(moved) > 3
    assert min(cv2.Laplacian(g, cv2.CV_32F).std() for g in gray) > 10


def test_the_picture_shows_bicubic_beside_the_clip(tmp_path):
    small = media.clip(tmp_path, name="small", size=(96, 64), codec="ffv1", frames=6)
    white = tmp_path / "white.mkv"
    with av.open(str(white), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "bgr0"
        for _ in range(6):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((128, 192, 3), 255, np.uint8), format="bgr24")))
        out.mux(stream.encode(None))
    target = tmp_path / "both.png"
    done = call(SCRIPTS / "beside.py", small, white, target)
    assert done.returncode == 0, done.stderr
    picture = cv2.imread(str(target))[40:]
    left, right = np.split(picture, 2, axis=1)
    assert right.min() >= 254
    assert left.std() > 20


def test_a_missing_clip_is_one_sentence(tmp_path):
    done = subprocess.run([SCRIPTS / "demo", "nowhere.mkv"], cwd=tmp_path, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "nowhere.mkv" in done.stderr
    assert list(tmp_path.iterdir()) == []
