"""The shipped video models: what several frames give them, and that nothing but the frames does."""

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch

from misr import zoo
from misr.frame import Color, Frame
from misr.metrics import luma_psnr_db
from misr.resample import resample
from misr.upscaler import Upscaler

MODELS = [name for name in zoo.names() if name not in zoo.KERNELS and zoo.card(name).net == "gru"]
GRAY = Color("gray", 8)


pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def upscaler(name: str, precision: str = "fp32", tile: int = 0) -> Upscaler:
    return Upscaler(name, device="cpu", precision=precision, tile=tile)


def scene(scale: int, t: int, *, speed: tuple[float, float] = (0.37, 0.21), seed: int = 0, w: int = 64, h: int = 48):
    """Sharp frames (t, s*h, s*w) of blotches of every size that move `speed` LR pixels a frame, and their LR frames."""
    generator = torch.Generator().manual_seed(seed)
    size = scale * h + scale * 40, scale * w + scale * 40
    canvas = torch.zeros(size)
    for period in (1.2, 2.5, 5, 10, 20):  # LR pixels
        coarse = torch.randn(1 + int(size[0] / period / scale), 1 + int(size[1] / period / scale), generator=generator)
        canvas += resample(coarse, size) * period**0.5
    canvas = 126 + 50 * (canvas / 2).tanh() + 30 * (3 * canvas).tanh()
    sharp = [
        resample(
            canvas, (scale * h, scale * w), (1.0, 1.0), shift=(10 + n * speed[0] * scale, 10 + n * speed[1] * scale)
        )
        for n in range(t)
    ]
    frames = torch.stack(sharp).round().clamp(16, 235)
    views = resample(frames, (h, w), edges="symmetric").round().clamp(0, 255).to(torch.uint8)
    return frames, [clip_frame(v, n) for n, v in enumerate(views)]


def clip_frame(plane: torch.Tensor, n: int) -> Frame:
    return Frame((plane.numpy(),), GRAY, Fraction(n, 25), Fraction(1, 25))


def made(up: Upscaler, frames: list[Frame]) -> torch.Tensor:
    """Luma codes (t, s*h, s*w) of the pictures of a clip."""
    return torch.stack([torch.from_numpy(np.asarray(f.planes[0]).astype(np.float32)) for f in up.stream(frames)])


def psnr_db(pictures: torch.Tensor, sharp: torch.Tensor, scale: int) -> float:
    return float(np.mean([luma_psnr_db(a, b, 2 * scale) for a, b in zip(pictures, sharp, strict=True)]))


def test_there_are_video_models_at_both_scales():
    assert {zoo.card(name).scale for name in MODELS} >= {2, 4}
    assert set(zoo.VIDEO.values()) <= set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_neighbours_are_worth_more_than_half_a_db_on_moving_detail(name):
    scale = int(zoo.card(name).scale)
    sharp, frames = scene(scale, 12)
    up = upscaler(name)
    together = made(up, frames)
    alone = torch.cat([made(up, [f]) for f in frames[8:]])
    assert psnr_db(together[8:], sharp[8:], scale) > psnr_db(alone, sharp[8:], scale) + 0.5


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.3, -0.7), (-3.4, 2.2)])
def test_its_motion_finds_a_shift_to_a_tenth_of_a_pixel(name, shift):
    rng = torch.Generator().manual_seed(4)
    plane = resample(torch.rand(1, 1, 24, 32, generator=rng), (96, 128))
    moved = resample(plane, (96, 128), (1.0, 1.0), shift=shift)
    net = upscaler(name).net
    with torch.inference_mode():
        flow = net.motion(moved, plane)[0, :, 12:-12, 12:-12]
    assert abs(float(flow[0].median()) - shift[0]) < 0.1
    assert abs(float(flow[1].median()) - shift[1]) < 0.1


@pytest.mark.parametrize("name", MODELS)
def test_a_picture_that_stands_still_stays_as_good_as_it_was(name):
    scale = int(zoo.card(name).scale)
    sharp, frames = scene(scale, 1)
    out = made(upscaler(name), [replace(frames[0], time=Fraction(n, 25)) for n in range(70)])
    values = [psnr_db(p[None], sharp, scale) for p in out]
    assert min(values[20:]) > values[4] - 0.3
    assert abs(np.mean(values[52:68]) - np.mean(values[20:36])) < 0.01


@pytest.mark.parametrize("name", MODELS)
def test_a_segment_alone_is_its_part_of_the_whole_to_the_code(name):
    _, frames = scene(int(zoo.card(name).scale), 40)
    up = upscaler(name)
    whole = made(up, frames)
    card = up.card
    for begin, end in ((16, 32), (32, 40), (16, 25)):
        first = max(0, begin - card.before)
        session = up.session(first=first, begin=begin, end=end)
        part = [f for frame in frames[first:] for f in session.push(frame)] + session.flush()
        got = np.stack([np.asarray(f.planes[0]) for f in part]).astype(np.float32)
        np.testing.assert_array_equal(got, whole[begin:end].numpy())


@pytest.mark.parametrize("name", MODELS)
def test_nothing_of_a_shot_is_seen_beyond_a_cut(name):
    scale = int(zoo.card(name).scale)
    a, b = scene(scale, 9, seed=1)[1], scene(scale, 9, seed=2)[1]
    dark = [replace(f, planes=((np.asarray(f.planes[0]) // 5 + 16).astype(np.uint8),)) for f in a]
    up = upscaler(name)
    together = made(up, dark + b)
    session = up.session(first=9)
    apart = [f for frame in b for f in session.push(frame)] + session.flush()
    np.testing.assert_array_equal(together[9:].numpy(), np.stack([np.asarray(f.planes[0]) for f in apart]))
    np.testing.assert_array_equal(together[:9].numpy(), made(up, dark).numpy())


@pytest.mark.parametrize("name", MODELS)
def test_half_precision_costs_less_than_a_tenth_of_a_db(name):
    scale = int(zoo.card(name).scale)
    sharp, frames = scene(scale, 10)
    full, half = (psnr_db(made(upscaler(name, precision), frames), sharp, scale) for precision in ("fp32", "bf16"))
    assert half > full - 0.1


@pytest.mark.parametrize("name", MODELS)
def test_tiles_are_the_whole_picture_to_a_few_codes(name):
    """Not exactly: the coarsest level of the motion search sees beyond any halo."""
    scale = int(zoo.card(name).scale)
    _, frames = scene(scale, 6, w=256, h=40)
    whole, tiled = made(upscaler(name), frames), made(upscaler(name, tile=128), frames)
    assert float((whole - tiled).abs().mean()) < 0.2
    assert float((whole - tiled).abs().quantile(0.999)) < 8
