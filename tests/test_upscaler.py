"""However a picture is cut up, batched or rounded, and wherever a run begins, the same picture comes out."""

import random
from dataclasses import replace
from fractions import Fraction
from functools import cache

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from misr.card import ModelCard
from misr.errors import InputError, ModelError
from misr.frame import Color, Frame
from misr.nets import Fast
from misr.resample import resample
from misr.scene import is_cut
from misr.upscaler import Upscaler, broken, out_of_memory, pick_precision
from misr.window import Window
from misr.zoo import build

ONE = torch.ones(1, 1, 1, 1)
YUV = Color("yuv", 8, (2, 2), matrix=1)
FULL_MEMORY = [
    torch.OutOfMemoryError("full"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: 99"),
]


pytestmark = pytest.mark.usefixtures("one_thread")


class Mean(nn.Module):
    """Half the centre, half the mean of all real views, each pixel repeated: a net that shows whatever it was shown."""

    def __init__(self, scale=2):
        super().__init__()
        self.scale = scale

    def forward(self, views, valid, centres):
        mean = (views * valid).sum(1, keepdim=True) / valid.sum(1, keepdim=True).clamp(min=1e-6)
        x = (views[:, centres.start : centres.stop] + mean) / 2
        return x.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


class Fragile(nn.Module):
    """Doubles pixels; in half precision, spoils those pictures whose first pixel is above a half."""

    def __init__(self, spoilt):
        super().__init__()
        self.spoilt = spoilt

    def forward(self, views, valid, centres):
        x = views[:, centres.start : centres.stop].repeat_interleave(2, -1).repeat_interleave(2, -2)
        if torch.is_autocast_enabled("cpu"):
            bad = x[..., :1, :1] > 0.5
            x = torch.where(bad, torch.full_like(x, self.spoilt), x)
        return x


def fake(net, **card):
    card = {"scale": getattr(net, "scale", 2), "halo": 1, **card}
    return net, ModelCard(name="fake", net="fake", **card)


def fast(scale, seed=0, **options):
    """An untrained Fast whose detail is large, so that a seam would show."""
    torch.manual_seed(seed)
    net = Fast(scale=scale, **options).eval().requires_grad_(False)
    for p in net.parameters():
        p.mul_(1.5)
    return net, ModelCard(name="untrained", net="fast", scale=scale, multiple=net.cell, halo=net.halo)


MODELS = ["untrained-x2", "untrained-x4", "fast-x2", "fast-x4"]


@cache
def loaded(model):
    """Net and card; the same for a whole run of tests, though a training run may replace a shipped model meanwhile."""
    return fast(int(model[-1])) if model.startswith("untrained") else build(model)


def upscaler(model, **options):
    options = {"device": "cpu", "precision": "fp32", **options}
    return Upscaler(loaded(model) if model in MODELS else model, **options)


def window(*shape, seed=0):
    torch.manual_seed(seed)
    return Window(torch.rand(1, 1, *shape), ONE, range(1))


def picture(h=40, w=56, seed=0, color=YUV):
    """A frame of smooth random detail."""
    rng = np.random.default_rng(seed)
    planes = []
    for i in range(color.planes):
        fx, fy = color.subsampling if color.model == "yuv" and i in (1, 2) else (1, 1)
        x = cv2.GaussianBlur(rng.random((-(-h // fy), -(-w // fx)), dtype=np.float32), (0, 0), 1.2)
        x = (x - x.min()) / max(float(x.max() - x.min()), 1e-6)
        planes.append((16 + 219 * x).round().astype(np.uint8))
    return Frame(tuple(planes), color)


def shots(lengths, h=32, w=48, seed=0):
    """Gray frames of several unrelated shots, each of them moving; and the numbers at which a shot begins."""
    frames, starts = [], set()
    for k, length in enumerate(lengths):
        starts.add(len(frames))
        wide = picture(h, w + 40, seed=100 * seed + k, color=Color("gray")).planes[0]
        frames += [
            Frame((wide[:, i % 40 : i % 40 + w].copy(),), Color("gray"), Fraction(len(frames) + i, 25))
            for i in range(length)
        ]
    return frames, starts - {0}


def run(up, frames, **options):
    session = up.session(**options)
    done = [out for frame in frames for out in session.push(frame)]
    return done + session.flush()


def most_off(a, b):
    """The largest difference of any code of two frames."""
    assert [p.shape for p in a.planes] == [p.shape for p in b.planes]
    return max(int(np.abs(p.astype(int) - q.astype(int)).max()) for p, q in zip(a.planes, b.planes, strict=True))


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.time == b.time
        assert most_off(a, b) == 0


# ---------------------------------------------------------------- tiles and batches


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", [(50, 66), (51, 67), (33, 96)])
def test_tiled_is_the_whole_picture(model, size):
    w = window(*size)
    (whole,) = upscaler(model)([w])
    assert whole.shape[-2:] == tuple(n * upscaler(model).card.scale for n in size)
    for tile in (16, 27, 48):
        (tiled,) = upscaler(model, tile=tile)([w])
        assert (tiled - whole).abs().max() < 1e-3, tile


@pytest.mark.parametrize("model", ["untrained-x2", "untrained-x4"])
def test_a_tile_without_its_halo_would_show(model):
    up = upscaler(model, tile=16)
    up.card = replace(up.card, halo=0)
    w = window(50, 66)
    assert (up([w])[0] - upscaler(model)([w])[0]).abs().max() > 1e-3


@pytest.mark.parametrize("tile", [16, 32, 40])
def test_tiles_take_their_part_of_a_mask(tile):
    torch.manual_seed(0)
    mask = (torch.rand(3, 1, 45, 61) > 0.3).float()
    w = Window(torch.rand(3, 1, 45, 61), mask, range(1, 2))
    model = fake(Mean(), before=1, after=1, multiple=4)
    assert torch.equal(upscaler(model, tile=tile)([w])[0], upscaler(model)([w])[0])


@pytest.mark.parametrize("scale", [1.5, 1.7, 3])
def test_tiles_of_any_scale_are_the_whole_picture(scale):
    w = window(51, 67)
    (whole,) = upscaler("bicubic", scale=scale)([w])
    assert whole.shape[-2:] == (round(51 * scale), round(67 * scale))
    for tile in (16, 33, 48):
        assert torch.allclose(upscaler("bicubic", scale=scale, tile=tile)([w])[0], whole, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_a_batch_is_a_loop(model):
    windows = [window(24, 30, seed=i) for i in range(5)] + [window(20, 22, seed=9)]
    together = upscaler(model, batch=4)(windows)
    alone = [upscaler(model)([w])[0] for w in windows]
    assert len(together) == len(alone)
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch", [2, 3, 8])
def test_a_stream_in_batches_is_the_stream(batch):
    frames, starts = shots([5, 1, 6])
    model = fake(Mean(), before=1, after=2)
    assert starts
    assert_same(run(upscaler(model, batch=batch), frames), run(upscaler(model), frames))


# ---------------------------------------------------------------- short memory


def short_of_memory(up, most, error):
    """Make the net fail above `most` pixels in one call; returns the sizes (b, h, w) it was called with."""
    net, sizes = up._net, []

    def limited(views, *rest):
        b, t, c, h, w = views.shape
        sizes.append((b, h, w))
        if b * h * w > most:
            raise error
        return net(views, *rest)

    up._net = limited
    return sizes


@pytest.mark.parametrize("error", FULL_MEMORY, ids=lambda e: type(e).__name__)
def test_short_memory_halves_the_tile_until_it_fits(error):
    w = window(90, 96)
    (whole,) = upscaler("untrained-x4")([w])
    up = upscaler("untrained-x4")
    sizes = short_of_memory(up, 64 * 64, error)
    assert torch.allclose(up([w])[0], whole, atol=1e-3)
    assert up.tile == 48
    assert sizes[0] == (1, 90, 96)
    before = len(sizes)
    up([w])
    assert all(b * h * w <= 64 * 64 for b, h, w in sizes[before:])  # learned once


@pytest.mark.parametrize(("batch", "most"), [(2, 1), (4, 1), (7, 1), (7, 2), (8, 3)])
def test_short_memory_halves_the_batch_when_tiles_do_not_help(batch, most):
    windows = [window(32, 32, seed=i) for i in range(9)]
    alone = [upscaler("untrained-x2")([w])[0] for w in windows]
    up = upscaler("untrained-x2", batch=batch)
    short_of_memory(up, most * 32 * 32, FULL_MEMORY[0])
    together = up(windows)
    assert len(together) == len(windows)
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=0)
    assert up.batch <= max(batch, 1)


def test_frames_are_neither_lost_nor_doubled_by_short_memory():
    frames, _ = shots([11])
    up = upscaler("untrained-x2", batch=4)
    short_of_memory(up, 32 * 48, FULL_MEMORY[0])
    assert_same(run(up, frames), run(upscaler("untrained-x2"), frames))
    assert up.batch == 1


@pytest.mark.parametrize("error", FULL_MEMORY, ids=lambda e: type(e).__name__)
def test_memory_that_never_suffices_is_an_error(error):
    up = upscaler("untrained-x2", batch=4)
    short_of_memory(up, 0, error)
    with pytest.raises(type(error)):
        up([window(64, 64, seed=i) for i in range(4)])
    assert up.batch == 1


def test_other_errors_are_not_mistaken_for_short_memory():
    up = upscaler("untrained-x2", batch=2)
    sizes = short_of_memory(up, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        up([window(64, 64), window(64, 64)])
    assert len(sizes) == 1


def test_what_torch_says_when_the_host_is_full_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50, dtype=torch.uint8)
    assert out_of_memory(caught.value)


# ---------------------------------------------------------------- precision


@pytest.mark.parametrize("spoilt", [float("nan"), float("inf"), 0.0])
def test_a_broken_picture_is_made_again_in_fp32_and_counted(spoilt):
    up = upscaler(fake(Fragile(spoilt)), precision="bf16")
    bright, dim = (
        Window(torch.full((1, 1, 8, 8), 0.75), ONE, range(1)),
        Window(torch.full((1, 1, 8, 8), 0.25), ONE, range(1)),
    )
    assert (up([dim])[0] == 0.25).all()
    assert up.reruns == 0
    with pytest.warns(UserWarning, match="fake.*bf16.*fp32"):
        (again,) = up([bright])
    assert (again == 0.75).all()
    assert up.reruns == 1


@pytest.mark.parametrize("spoilt", [float("nan"), 0.0])
def test_one_broken_picture_of_a_batch_is_enough(spoilt):
    up = upscaler(fake(Fragile(spoilt)), precision="bf16", batch=4)
    windows = [Window(torch.full((1, 1, 8, 8), v), ONE, range(1)) for v in (0.25, 0.75, 0.25, 0.25)]
    with pytest.warns(UserWarning, match="made again"):
        pictures = up(windows)
    assert [float(p.mean()) for p in pictures] == [0.25, 0.75, 0.25, 0.25]
    assert up.reruns > 0


def test_strength_does_not_hide_a_black_picture():
    up = upscaler(fake(Fragile(0.0)), precision="bf16", strength=0.5)
    with pytest.warns(UserWarning, match="made again"):
        (again,) = up([Window(torch.full((1, 1, 8, 8), 0.75), ONE, range(1))])
    torch.testing.assert_close(again, torch.full_like(again, 0.75))


def test_black_is_not_broken_where_the_input_is_black():
    black = torch.zeros(1, 1, 1, 4, 4)
    assert not broken(torch.zeros(1, 1, 1, 8, 8), black)
    assert broken(torch.zeros(1, 1, 1, 8, 8), black + 0.5)
    assert broken(torch.cat([torch.zeros(1, 1, 1, 8, 8), torch.ones(1, 1, 1, 8, 8)]), torch.cat([black + 0.5, black]))
    assert broken(torch.full((1, 1, 1, 8, 8), float("-inf")), black)
    up = upscaler(fake(Mean(), before=1), precision="bf16")
    up(
        [
            Window(
                torch.cat([torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)]),
                torch.tensor([1.0, 0.0]).view(2, 1, 1, 1),
                range(1),
            )
        ]
    )
    assert up.reruns == 0  # a white neighbour, masked out, is no reason


@pytest.mark.parametrize("model", ["fast-x2", "fast-x4"])
def test_half_precision_stays_within_a_code_or_two(model):
    frame = picture(48, 64, seed=3)
    (full,) = upscaler(model).stream([frame])
    (half,) = upscaler(model, precision="bf16").stream([frame])
    off = np.abs(full.planes[0].astype(int) - half.planes[0].astype(int))
    assert off.max() <= 3
    assert off.mean() < 0.25
    assert all((a == b).all() for a, b in zip(full.planes[1:], half.planes[1:], strict=True))


def test_precision_is_what_was_asked_or_what_card_and_device_do_well(monkeypatch):
    plain = ModelCard(name="x", net="fast", scale=2)
    tested, cpu = replace(plain, precisions=("fp32", "bf16", "fp16")), torch.device("cpu")
    assert pick_precision("bf16", plain, cpu) == "bf16"
    for fast_here, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr("misr.upscaler.fast_bf16", lambda device, answer=fast_here: answer)
        assert pick_precision("auto", tested, cpu) == expected
        assert pick_precision("auto", plain, cpu) == "fp32"
    with pytest.raises(ModelError, match="fp16 on a CPU"):
        pick_precision("fp16", tested, cpu)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ModelError, match=r"'mars'.*misr doctor"):
        Upscaler("bicubic", device="mars")


# ---------------------------------------------------------------- phases, strength, size


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("model", [*MODELS, "bicubic", "lanczos"])
def test_rounding_before_the_shuffle_is_rounding_after_it(model, precision, monkeypatch):
    for depth in (8, 16):
        color = Color("yuv", depth, (2, 2), matrix=1)
        frame = picture(24, 32, seed=4)
        frame = Frame(tuple(p.astype(np.uint8 if depth == 8 else np.uint16) << depth - 8 for p in frame.planes), color)
        up = upscaler(model, precision=precision)
        assert up.can_phase
        (bytes_first,) = up.stream([frame])
        with monkeypatch.context() as m:
            m.setattr(Upscaler, "can_phase", False)
            (picture_first,) = up.stream([frame])
        assert bytes_first.planes[0].dtype == frame.planes[0].dtype
        assert most_off(bytes_first, picture_first) <= 1


def test_phases_are_taken_only_where_luma_codes_keep_their_meaning():
    up = upscaler("fast-x2")
    calls = []
    inner = up.run

    def spy(group, *, phases):
        calls.append(phases)
        return inner(group, phases=phases)

    up.run = spy
    same, rgb = picture(), Color("rgb")
    for frame, out, size, expected in (
        (same, None, None, True),
        (same, replace(YUV, depth=10), None, True),
        (same, replace(YUV, range=2), None, False),
        (same, rgb, None, False),
        (same, replace(YUV, matrix=6), None, False),
        (same, None, (100, 80), False),
        (picture(41, 56), None, None, 41 % up.card.multiple == 0),
        (picture(color=rgb), None, None, False),
    ):
        assert len(run(up, [frame], out=out, size=size)) == 1
        assert calls.pop() is expected


@pytest.mark.parametrize("model", MODELS)
def test_strength_goes_from_bicubic_to_the_net(model):
    w = window(27, 34)
    net, card = upscaler(model)([w])[0], upscaler(model).card
    bicubic = resample(w.views, (27 * card.scale, 34 * card.scale))
    assert (net - bicubic).abs().max() > 0.02
    for strength in (0.0, 0.3, 1.0):
        expected = bicubic + strength * (net - bicubic)
        torch.testing.assert_close(upscaler(model, strength=strength)([w])[0], expected, atol=1e-5, rtol=0)
    half = upscaler(model, strength=0.5, tile=16)([w])[0]
    torch.testing.assert_close(half, (bicubic + net) / 2, atol=1e-3, rtol=0)


def test_strength_zero_is_plain_bicubic_to_the_code():
    frame = picture(25, 38)
    (none,) = upscaler("fast-x2", strength=0.0).stream([frame])
    (plain,) = upscaler("bicubic", scale=2).stream([frame])
    assert most_off(none, plain) == 0


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_beyond_its_range_is_refused(strength):
    with pytest.raises(InputError, match="strength"):
        upscaler("fast-x2", strength=strength)


@pytest.mark.parametrize("size", [(112, 80), (111, 79), (57, 83), (130, 31), (20, 16)])
@pytest.mark.parametrize("model", ["fast-x2", "nearest"])
def test_the_size_asked_for_is_the_size_delivered(model, size):
    frame = picture(40, 56)
    (out,) = run(upscaler(model), [frame], size=size)
    assert (out.width, out.height) == size
    assert [p.shape for p in out.planes[1:]] == [(-(-size[1] // 2), -(-size[0] // 2))] * 2


@pytest.mark.parametrize("size", [(111, 79), (20, 16), (57, 83)])
def test_any_size_keeps_flat_colours_flat(size):
    frame = picture(40, 56)
    flat = replace(frame, planes=tuple(np.full_like(p, v) for p, v in zip(frame.planes, (120, 90, 160), strict=True)))
    (out,) = run(upscaler("bicubic"), [flat], size=size)
    assert [set(np.unique(p)) for p in out.planes] == [{120}, {90}, {160}]


def test_the_natural_size_is_the_default():
    frame = picture(40, 56)
    assert most_off(run(upscaler("fast-x2"), [frame], size=(112, 80))[0], run(upscaler("fast-x2"), [frame])[0]) == 0


def test_any_size_keeps_the_picture_in_place():
    y, x = np.mgrid[0:48, 0:64]
    ramp = Frame(((20 + 3 * x).astype(np.uint8),), Color("gray"))
    for width in (100, 128, 97):
        (out,) = run(upscaler("bicubic", scale=2), [ramp], size=(width, 96))
        at = (np.arange(width) + 0.5) * 64 / width - 0.5
        assert np.abs(out.planes[0][48, 8:-8] - (20 + 3 * at)[8:-8]).max() <= 1


def test_a_net_of_three_channels_is_given_rgb():
    up = upscaler(fake(Mean(scale=1), channels=3))
    seen = []
    up.net.register_forward_pre_hook(lambda net, args: seen.append(args[0]))
    red = Frame(tuple(np.full((8, 8), v, np.uint8) for v in (63, 102, 240)), Color("yuv", matrix=1))  # BT.709 limited
    (out,) = up.stream([red])
    assert seen[0].shape == (1, 1, 3, 8, 8)
    torch.testing.assert_close(seen[0][0, 0, :, 4, 4], torch.tensor([1.0, 0.0, 0.0]), atol=0.01, rtol=0)
    assert most_off(out, red) <= 1
    for color in (Color("rgb", alpha=True), Color("yuv", matrix=6), Color("gray", alpha=True)):
        frame = picture(color=color)
        assert most_off(next(iter(up.stream([frame]))), frame) <= 1


# ---------------------------------------------------------------- streams


def random_plans(count):
    rng = random.Random(5)
    for seed in range(count):
        lengths = [rng.randint(1, 9) for _ in range(rng.randint(1, 4))]
        before, emit, after, batch = (
            rng.randint(0, 3),
            rng.choice([1, 1, 2, 3, 5]),
            rng.randint(0, 3),
            rng.choice([1, 1, 2, 4]),
        )
        yield pytest.param(seed, lengths, before, emit, after, batch, id=f"{lengths}-{before}.{emit}.{after}x{batch}")


PLANS = list(random_plans(12))


@pytest.mark.parametrize(("seed", "lengths", "before", "emit", "after", "batch"), PLANS)
def test_as_many_frames_come_out_as_went_in_with_their_times(seed, lengths, before, emit, after, batch):
    frames, _ = shots(lengths, seed=seed)
    out = run(upscaler(fake(Mean(), before=before, emit=emit, after=after), batch=batch), frames)
    assert [f.time for f in out] == [f.time for f in frames]
    assert all((f.width, f.height) == (96, 64) for f in out)


@pytest.mark.parametrize(("seed", "lengths", "before", "emit", "after", "batch"), PLANS)
def test_frames_beside_a_cut_are_as_if_the_shots_had_come_apart(seed, lengths, before, emit, after, batch):
    frames, starts = shots(lengths, seed=seed)
    assert {i for i in range(1, len(frames)) if is_cut(frames[i - 1], frames[i])} == starts
    up = upscaler(fake(Mean(), before=before, emit=emit, after=after), batch=batch)
    whole, apart, begin = run(up, frames), [], 0
    for length in lengths:
        apart += run(up, frames[begin : begin + length], first=begin)
        begin += length
    assert_same(whole, apart)


@pytest.mark.parametrize(("seed", "lengths", "before", "emit", "after", "batch"), PLANS)
def test_any_segment_alone_is_its_part_of_the_whole(seed, lengths, before, emit, after, batch):
    frames, _ = shots([*lengths, 7], seed=seed)
    up = upscaler(fake(Mean(), before=before, emit=emit, after=after), batch=batch)
    whole, rng = run(up, frames), random.Random(seed)
    for _ in range(6):
        begin = rng.randrange(0, len(frames), emit)
        end = min(len(frames), begin + emit * rng.randint(1, 4))
        first = max(0, begin - max(before, 1) - rng.randint(0, 3))
        fed = frames[first : end + after + rng.randint(0, 3)]
        assert_same(run(up, fed, first=first, begin=begin, end=end), whole[begin:end])


def test_neighbours_within_a_shot_are_seen_and_those_beyond_a_cut_are_not():
    frames, starts = shots([4, 4])
    with_neighbours = run(upscaler(fake(Mean(), before=1, after=1)), frames)
    alone = run(upscaler(fake(Mean())), frames)
    assert starts == {4}
    assert all(most_off(a, b) > 0 for a, b in zip(with_neighbours, alone, strict=True))
    single, _ = shots([1, 1, 1])
    assert_same(run(upscaler(fake(Mean(), before=1, after=1)), single), run(upscaler(fake(Mean())), single))


def test_a_host_that_knows_of_cuts_is_believed_and_misr_looks_where_it_says_nothing():
    frames, starts = shots([4, 5])
    up = upscaler(fake(Mean(), before=2, emit=3, after=1))
    assert starts == {4}

    def told(cuts):
        session = up.session()
        out = [f for n, frame in enumerate(frames) for f in session.push(frame, cut=cuts.get(n))]
        return out + session.flush()

    whole = run(up, frames)
    assert_same(told({4: True}), whole)  # and frame 5, of which nothing is said, is compared with frame 4
    assert_same(told({0: False, 1: False, 2: False, 3: False}), whole)
    split = run(up, frames[:2]) + run(up, frames[2:4], first=2) + run(up, frames[4:], first=4)
    assert_same(told({2: True}), split)
    joined = told({4: False})
    assert max(most_off(a, b) for a, b in zip(joined, whole, strict=True)) > 0


def test_latency_is_how_many_frames_must_follow_at_most():
    frames, _ = shots([40])
    for before, emit, after, batch in ((0, 1, 0, 1), (0, 1, 0, 4), (1, 1, 2, 1), (2, 3, 1, 2), (1, 5, 0, 1)):
        up = upscaler(fake(Mean(), before=before, emit=emit, after=after), batch=batch)
        session, waits, given = up.session(), [], 0
        for n, frame in enumerate(frames):
            for _ in session.push(frame):
                waits.append(n - given)
                given += 1
        assert max(waits) == up.latency


def test_a_frame_of_another_size_is_refused_by_both_sizes():
    session = upscaler("fast-x2").session()
    session.push(picture(40, 56))
    session.push(picture(40, 56))
    with pytest.raises(InputError, match=r"frame 2 is 60x40.*began at 56x40"):
        session.push(picture(40, 60))


def test_stream_is_lazy_and_carries_everything_but_pixels():
    pushed = []

    def source():
        for i in range(3):
            pushed.append(i)
            yield replace(picture(8, 8), time=Fraction(i, 24), duration=Fraction(1, 24), source=f"side {i}")

    stream = upscaler("bicubic").stream(source())
    out = next(stream)
    assert pushed == [0]
    assert (out.time, out.duration, out.source) == (Fraction(0), Fraction(1, 24), "side 0")
    assert [f.source for f in stream] == ["side 1", "side 2"]


@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("color", [YUV, Color("yuv", 10, (2, 1), range=2), Color("rgb", 8), Color("gray", 16)])
def test_plain_kernels_at_scale_one_give_back_every_sample_with_and_without_the_way_round(kernel, color, monkeypatch):
    rng, planes = np.random.default_rng(1), []
    for i in range(color.planes):
        fx, fy = color.subsampling if color.model == "yuv" and i else (1, 1)
        codes = rng.integers(0, 2**color.depth, (20 // fy, 24 // fx))
        planes.append(codes.astype(np.uint8 if color.depth == 8 else np.uint16))
    frame, up = Frame(tuple(planes), color), Upscaler(kernel, scale=1, device="cpu")
    assert [f is frame for f in up.stream([frame])] == [True]
    monkeypatch.setattr("misr.upscaler.Session._nothing_to_do", lambda self, frame: False)
    (long,) = up.stream([frame])
    assert all((a == b).all() for a, b in zip(long.planes, frame.planes, strict=True))


def test_an_empty_stream_is_empty():
    assert list(upscaler("fast-x2").stream([])) == []


def test_what_comes_out_is_in_the_colour_that_was_asked():
    asked = Color("yuv", 10, (1, 1), matrix=1)
    (out,) = upscaler("fast-x2").stream([picture()], out=asked)
    assert out.color == asked
    assert [(p.shape, p.dtype) for p in out.planes] == [((80, 112), np.dtype(np.uint16))] * 3
