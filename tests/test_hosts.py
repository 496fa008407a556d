"""One contract over every host: n in = n out, the pixels of `misr upscale`, the same times, tags kept, errors the host's own."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import misr
from misr.io.encoder import Encoding
from misr.io.planes import color_of
from misr.io.writer import write_clip
from misr.scene import is_cut
from tests import hosts

HOSTS = {host.name: host for host in hosts.every()}
FORMATS = [(name, pix_fmt) for name, host in HOSTS.items() for pix_fmt in host.formats]
FRAMES, CUT = 22, 9  # video-x2 makes windows of 16: the cut splits the first, and the last is a short one
WILD_MS = [40, 20, 90, 33, 7, 250]
BT709_LIMITED, BT2020_PQ = (1, 1, 1, 1), (9, 1, 9, 16)  # matrix, range, primaries, transfer
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=list(HOSTS))
def host(request: pytest.FixtureRequest) -> hosts.Host:
    """Each host in turn; skipped, and counted, where it cannot be run."""
    return here(HOSTS[request.param])


def here(host: hosts.Host) -> hosts.Host:
    """The host, or a skip."""
    if why := host.missing():
        pytest.skip(f"{host.name}: {why}")
    return host


def made(
    folder: Path,
    pix_fmt: str = "yuv420p",
    *,
    wild: bool = False,
    size: tuple[int, int] = (64, 48),
    tags: tuple[int, int, int, int] = BT709_LIMITED,
    sar: Fraction = Fraction(1),
) -> Path:
    """A lossless clip of FRAMES moving frames, 25 per second or at wild times, with a scene cut before frame CUT.

    Pixels that are not square come in H.264, whose stream says so: PyAV 18 does not tell Matroska.
    """
    color = color_of(pix_fmt)
    assert color is not None
    matrix, span, primaries, transfer = tags
    if color.model == "rgb":
        matrix, span = 0, 2
    color = replace(color, matrix=matrix, range=span, primaries=primaries, transfer=transfer)
    steps = WILD_MS if wild else [40]
    times = [Fraction(sum(steps[k % len(steps)] for k in range(n)), 1000) for n in range(FRAMES)]
    codec = ("ffv1",) if sar == 1 or color.model == "rgb" else ("libx264", (("qp", "0"),))
    encoding = Encoding(codec[0], pix_fmt, color, *size, Fraction(1, 1000), Fraction(25), sar, *codec[1:])
    path = folder / f"{pix_fmt}.mkv"
    write_clip(path, (picture(n, color, size, times[n]) for n in range(FRAMES)), encoding)
    return path


def picture(n: int, color: misr.Color, size: tuple[int, int], time: Fraction) -> misr.Frame:
    """Frame n: one moving texture before the cut, an unlike one after it, different in every plane."""
    (w, h), planes = size, []
    for i in range(color.planes):
        fx, fy = color.subsampling if color.model == "yuv" and i in (1, 2) else (1, 1)
        y, x = np.mgrid[0 : -(-h // fy), 0 : -(-w // fx)].astype(np.float64)
        if n < CUT:
            share = 0.5 + 0.22 * np.sin(0.5 * (x - 0.6 * n) + 0.9 * i) + 0.18 * np.cos(0.31 * y + 0.07 * x * (i + 1))
        else:
            share = 0.35 + 0.3 * np.sign(np.sin((x + 2 * y + n) / 7)) * np.cos(0.2 * y - i) + 0.1 * np.sin(0.9 * x)
        codes = np.round((0.1 + 0.75 * np.clip(share, 0, 1)) * (2**color.depth - 1))
        planes.append(codes.astype(np.uint8 if color.depth == 8 else np.uint16))
    return misr.Frame(tuple(planes), color, time, Fraction(1, 25))


def off(a: hosts.Shown, b: hosts.Shown) -> int:
    """The largest difference of two frames, in code values."""
    assert [p.shape for p in a.planes] == [p.shape for p in b.planes]
    return max(
        int(np.abs(p.astype(np.int64) - q.astype(np.int64)).max()) for p, q in zip(a.planes, b.planes, strict=True)
    )


def test_the_clip_of_this_contract_has_its_one_cut_where_misr_sees_it(tmp_path: Path) -> None:
    frames = list(misr.open(made(tmp_path)))
    assert [n for n in range(1, FRAMES) if is_cut(frames[n - 1], frames[n])] == [CUT]


@pytest.mark.parametrize(("name", "pix_fmt"), FORMATS)
def test_every_format_has_the_pixels_of_misr_upscale(name: str, pix_fmt: str, tmp_path: Path) -> None:
    host, clip = here(HOSTS[name]), made(tmp_path, pix_fmt)
    ours = host.run(clip, model="fast-x2", folder=tmp_path)
    theirs = hosts.upscaled(clip, model="fast-x2", folder=tmp_path)
    assert len(ours) == len(theirs) == FRAMES
    assert max(off(a, b) for a, b in zip(ours, theirs, strict=True)) <= host.codes


def test_a_model_of_several_frames_has_the_pixels_of_misr_upscale_across_a_cut(
    host: hosts.Host, tmp_path: Path
) -> None:
    clip = made(tmp_path, host.formats[0])
    ours = host.run(clip, model="video-x2", folder=tmp_path)
    theirs = hosts.upscaled(clip, model="video-x2", folder=tmp_path)
    assert len(ours) == len(theirs) == FRAMES
    assert max(off(a, b) for a, b in zip(ours, theirs, strict=True)) <= host.codes


@pytest.mark.parametrize("model", ["bicubic", "video-x2"])
def test_every_frame_comes_out_once_at_its_own_time(host: hosts.Host, model: str, tmp_path: Path) -> None:
    clip = made(tmp_path, host.formats[0], wild="time" in host.keeps)
    times = [frame.time for frame in hosts.read(clip)]
    ours = [frame.time for frame in host.run(clip, model=model, folder=tmp_path)]
    assert len(ours) == FRAMES
    if "time" in host.keeps:
        assert [abs(a - b) <= host.tick for a, b in zip(ours, times, strict=True)] == [True] * FRAMES


@pytest.mark.parametrize("tags", [BT709_LIMITED, BT2020_PQ, (6, 2, 6, 6)])
def test_colour_tags_and_pixel_shape_are_kept(
    host: hosts.Host, tags: tuple[int, int, int, int], tmp_path: Path
) -> None:
    clip = made(tmp_path, host.formats[0], tags=tags, sar=Fraction(4, 3))
    before, after = hosts.read(clip)[0], host.run(clip, model="bicubic", folder=tmp_path)[-1]
    if "tags" in host.keeps:
        assert after.tags == before.tags
    if "sar" in host.keeps:
        assert after.sar == before.sar == Fraction(4, 3)


@pytest.mark.parametrize("size", [(33, 21), (16, 16)])
def test_odd_and_small_sizes_pass(host: hosts.Host, size: tuple[int, int], tmp_path: Path) -> None:
    clip = made(tmp_path, host.formats[0], size=size)
    ours = host.run(clip, model="bicubic", folder=tmp_path)
    theirs = hosts.upscaled(clip, model="bicubic", folder=tmp_path)
    assert max(off(a, b) for a, b in zip(ours, theirs, strict=True)) <= host.codes


def test_a_bad_model_name_is_the_hosts_own_kind_of_error(host: hosts.Host, tmp_path: Path) -> None:
    clip = made(tmp_path, host.formats[0])
    with pytest.raises(host.error, match="no-such-model") as caught:
        host.run(clip, model="no-such-model", folder=tmp_path)
    assert type(caught.value).__module__.split(".")[0] != "misr"
    if host.error is hosts.HostError:
        assert "Traceback" not in str(caught.value)
