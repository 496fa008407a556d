"""Upscaler: a net, its card and a device; padding, tiling, batching and precision live here and nowhere else."""

from __future__ import annotations

import ctypes
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from misr.card import ModelCard
from misr.color import luma_view, on_host, picture_planes, rgb_planes, rgb_view, shuffle, store, wrap_planes
from misr.errors import InputError, ModelError
from misr.frame import Color, Frame
from misr.resample import resample
from misr.scene import Signature, is_cut_between, signature
from misr.window import Sliding, Window
from misr.zoo import build, device_of

Precision = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SMALLEST_TILE = 32  # LR pixels; below this a tile is mostly halo


def fast_bf16(device: torch.device) -> bool:
    """Whether bf16 is worth it: emulated bf16 on an older CPU was measured 2 to 10 times slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu":
        return False
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check() for check in checks if check)


def pick_precision(asked: Precision, card: ModelCard, device: torch.device) -> str:
    """The precision to run: what was asked, or the fastest that the card was tested in and the device does well."""
    if asked != "auto":
        if asked == "fp16" and device.type == "cpu":
            raise ModelError("fp16 on a CPU is about 20 times slower than fp32; use --precision fp32, bf16 or auto")
        return asked
    if "bf16" in card.precisions and fast_bf16(device):
        return "bf16"
    if "fp16" in card.precisions and device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 7:
        return "fp16"
    return "fp32"


def keep_heap() -> None:
    """Ask glibc to keep freed tensors mapped: fresh pages cost more than the arithmetic (5.7 against 0.6 ms for 8 MB)."""
    if sys.platform == "linux":
        try:
            libc = ctypes.CDLL(None)
            libc.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, its maximum
            libc.mallopt(-1, 512 << 20)  # M_TRIM_THRESHOLD
        except (OSError, AttributeError):
            pass  # another C library: only slower


class Upscaler:
    """A loaded model. up(windows) is pure; session() and stream() carry frames through it in order.

    model       a shipped name, a directory, or a ready (net, card)
    device      "cpu", "cuda", "cuda:1"; None picks the GPU where there is one
    tile        LR pixels of a square tile, 0 for the whole picture; halved by itself when memory runs out
    strength    0 plain bicubic .. 1 the whole learned detail
    """

    def __init__(
        self,
        model: str | tuple[nn.Module, ModelCard] = "fast-x2",
        *,
        scale: float | None = None,
        device: str | torch.device | None = None,
        precision: Precision = "auto",
        tile: int = 0,
        batch: int = 0,
        strength: float = 1.0,
    ) -> None:
        net, self.card = build(model, scale=scale) if isinstance(model, str) else model
        if getattr(net, "bursts", False):
            raise ModelError(f"{self.card.name} fuses pictures of one place; use it with `misr fuse`, not on a clip")
        self.device = device_of(device)
        self.net = net.to(self.device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        if not 0 <= strength <= 1:
            raise InputError(f"strength {strength} is outside 0 (plain interpolation) to 1 (all learned detail)")
        self.precision = pick_precision(precision, self.card, self.device)
        self.tile, self.strength = tile, strength
        self.batch = batch or (4 if self.device.type == "cuda" else 1)
        self.reruns = 0  # pictures that came out broken in half precision and were made again in fp32
        if self.device.type == "cpu":
            keep_heap()

    def __call__(self, windows: Sequence[Window]) -> list[Tensor]:
        """Sharp centres of each window, float32 (n, c, s*h, s*w); windows alike in shape and centres share a batch."""
        pictures = []
        for group in alike(windows, self.batch):
            pictures += list(self.run(group, phases=False))
        return pictures

    def run(self, group: Sequence[Window], *, phases: bool) -> Tensor:
        """One batch of like windows: pictures (b, n, c, s*h, s*w), or their phases (see misr.nets) where asked.

        Where memory is too short for even the smallest tile, the batch is halved.
        """
        try:
            return self._batch(group, phases)
        except (RuntimeError, MemoryError) as e:
            if len(group) == 1 or not out_of_memory(e):
                raise
        half = self.batch = len(group) // 2
        return torch.cat([self.run(group[:half], phases=phases), self.run(group[half:], phases=phases)])

    def _batch(self, group: Sequence[Window], phases: bool) -> Tensor:
        """run, in the memory there is; what half precision broke is made again in fp32."""
        views = torch.stack([w.views for w in group]) if len(group) > 1 else group[0].views[None]
        valid = torch.stack([w.valid for w in group]) if len(group) > 1 else group[0].valid[None]
        views, valid, centres = views.to(self.device), valid.to(self.device), group[0].centres
        out = self._padded(views, valid, centres, self.precision, phases)
        middle = views[:, centres.start : centres.stop]
        if self.precision != "fp32" and broken(out, middle):
            self.reruns += out.shape[0] * out.shape[1]
            warnings.warn(
                f"{self.card.name}: a picture came out broken in {self.precision}; made again in fp32", stacklevel=3
            )
            out = self._padded(views, valid, centres, "fp32", phases)
        if self.strength == 1 or phases:
            return out
        base = resample(middle, (out.shape[-2], out.shape[-1]), (self.card.scale, self.card.scale))
        return torch.lerp(base, out.to(base.dtype), self.strength)

    def _padded(self, views: Tensor, valid: Tensor, centres: range, precision: str, phases: bool) -> Tensor:
        h, w = views.shape[-2:]
        m = self.card.multiple
        down, right = -h % m, -w % m
        if down or right:
            views = rearrange(
                F.pad(rearrange(views, "b t c h w -> (b t) c h w"), (0, right, 0, down), mode="replicate"),
                "(b t) c h w -> b t c h w",
                b=views.shape[0],
            )
            if valid.shape[-1] > 1 or valid.shape[-2] > 1:
                valid = F.pad(valid[:, :, 0], (0, right, 0, down)).unsqueeze(2)
            phases = False  # whole cells cannot be cropped to part of one
        out = self._tiled(views, valid, centres, precision, phases)
        s = self.card.scale
        return out if phases else out[..., : round(h * s), : round(w * s)]

    def _tiled(self, views: Tensor, valid: Tensor, centres: range, precision: str, phases: bool) -> Tensor:
        """The whole picture, or tiles that each carry `halo` pixels around; the tile is halved while memory is short."""
        h, w = views.shape[-2:]
        whole_scale = self.card.scale == int(self.card.scale)  # else tiles would begin between output pixels
        while True:
            try:
                if not self.tile or self.tile >= max(h, w) or not whole_scale:
                    return self._net(views, valid, centres, precision, phases)
                return self._tiles(views, valid, centres, precision, phases)
            except (RuntimeError, MemoryError) as e:
                if not out_of_memory(e) or not whole_scale:
                    raise
                smaller = (min(self.tile or max(h, w), max(h, w)) // 2 + 7) // 8 * 8
                if smaller < SMALLEST_TILE:
                    raise
                self.tile = smaller
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()

    def _tiles(self, views: Tensor, valid: Tensor, centres: range, precision: str, phases: bool) -> Tensor:
        h, w = views.shape[-2:]
        m = self.card.multiple
        step, halo = max(m, self.tile // m * m), -(-self.card.halo // m) * m
        out = None
        for y in range(0, h, step):
            for x in range(0, w, step):
                top, left, bottom, right = (
                    max(0, y - halo),
                    max(0, x - halo),
                    min(h, y + step + halo),
                    min(w, x + step + halo),
                )
                mask = valid[..., top:bottom, left:right] if valid.shape[-1] > 1 else valid
                part = self._net(views[..., top:bottom, left:right], mask, centres, precision, phases)
                num, den = (
                    part.shape[-1],
                    right - left,
                )  # output samples per LR pixel = num / den, exact on whole multiples
                cut = [v * num // den for v in (y - top, min(h, y + step) - top, x - left, min(w, x + step) - left)]
                if out is None:
                    out = part.new_empty(*part.shape[:-2], h * num // den, w * num // den)
                out[..., y * num // den :, x * num // den :][..., : cut[1] - cut[0], : cut[3] - cut[2]] = part[
                    ..., cut[0] : cut[1], cut[2] : cut[3]
                ]
        assert out is not None
        return out

    def _net(self, views: Tensor, valid: Tensor, centres: range, precision: str, phases: bool) -> Tensor:
        half = precision != "fp32"
        context = torch.autocast(self.device.type, dtype=DTYPES[precision]) if half else nullcontext()
        with torch.inference_mode(), context:
            call = self.net.phases if phases else self.net
            out = call(views, valid, centres)
        return out

    @property
    def can_phase(self) -> bool:
        """Whether pictures can leave the net as phases, to be rounded before they are shuffled."""
        return bool(getattr(self.net, "cell", 0)) and self.strength == 1 and self.card.channels == 1

    @property
    def latency(self) -> int:
        """How many frames must follow a frame, at most, before a session gives it out."""
        return self.card.emit * self.batch - 1 + self.card.after

    def session(
        self,
        *,
        out: Color | None = None,
        size: tuple[int, int] | None = None,
        first: int = 0,
        begin: int | None = None,
        end: int | None = None,
    ) -> Session:
        """A push/flush session; see Session."""
        return Session(self, out=out, size=size, first=first, begin=begin, end=end)

    def stream(
        self, frames: Iterable[Frame], *, out: Color | None = None, size: tuple[int, int] | None = None
    ) -> Iterator[Frame]:
        """Sharp frames, one for each frame, in order."""
        session = self.session(out=out, size=size)
        for frame in frames:
            yield from session.push(frame)
        yield from session.flush()


def alike(windows: Sequence[Window], most: int) -> Iterator[Sequence[Window]]:
    """Runs of windows that can share a batch, at most `most` long."""
    start = 0
    for i in range(1, len(windows) + 1):
        a = windows[start]
        same = i < len(windows) and windows[i].views.shape == a.views.shape and windows[i].centres == a.centres
        if not same or i - start == most:
            yield windows[start:i]
            start = i


def out_of_memory(e: BaseException) -> bool:
    """Whether an error says that memory was short; torch's CPU allocator has no type of its own for it."""
    return isinstance(e, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(e)


def broken(out: Tensor, views: Tensor) -> bool:
    """Whether any picture (b, n, ...) is not finite, or black where its own view (b, n, c, h, w) was not."""
    level = torch.stack([torch.maximum(x.amax(), -x.amin()) for x in out.flatten(0, 1)])
    light = torch.stack([x.amax() for x in views.flatten(0, 1)])
    return bool((~level.isfinite() | (level < 1e-3) & (light > 0.1)).any())


class Session:
    """Frames in, sharp frames out: push(frame) and flush() return what became ready; n in, n out, in order.

    out         colour to store; the frames' own by default
    size        (width, height) to deliver; the model's scale by default
    first       number in the clip of the first frame pushed; pictures are wanted for begin <= number < end
    """

    def __init__(
        self,
        up: Upscaler,
        *,
        out: Color | None,
        size: tuple[int, int] | None,
        first: int,
        begin: int | None,
        end: int | None,
    ) -> None:
        card = up.card
        self.up, self.out, self.size = up, out, size
        self.alone = card.before == card.after == 0 and card.emit == 1
        self.sliding = Sliding(before=card.before, emit=card.emit, after=card.after, first=first, begin=begin, end=end)
        self.number, self.begin, self.end = first, first if begin is None else begin, end
        self.frames: deque[Frame] = deque()
        self.windows: list[Window] = []
        self.last: Signature | None = None
        self.shape: tuple[int, int] | None = None

    def push(self, frame: Frame, *, cut: bool | None = None) -> list[Frame]:
        """Take the next frame; InputError when its size is not the clip's.

        cut     whether it begins a new shot, for hosts that know; None: misr looks
        """
        self._check(frame)
        if self._nothing_to_do(frame):
            self.number += 1
            return [frame] if self.begin < self.number and (self.end is None or self.number <= self.end) else []
        cut = self._cut(frame, cut)
        if self.begin <= self.number and (self.end is None or self.number < self.end):
            self.frames.append(frame)
        self.number += 1
        x = rgb_view(frame, self.up.device) if self.up.card.channels == 3 else luma_view(frame, self.up.device)
        self.windows += self.sliding.push(x, cut=cut)
        return self._ready(final=False)

    def _nothing_to_do(self, frame: Frame) -> bool:
        """Whether a plain kernel would give back every sample it is given: at scale 1 they all do."""
        same = self.size in (None, (frame.width, frame.height)) and self.out in (None, frame.color)
        return same and self.up.card.net == "interpolate" and self.up.card.scale == 1 and not self.frames

    def flush(self) -> list[Frame]:
        """The frames still inside; call once, after the last push."""
        self.windows += self.sliding.flush()
        return self._ready(final=True)

    def _check(self, frame: Frame) -> None:
        shape = frame.width, frame.height
        self.shape = self.shape or shape
        if shape != self.shape:
            raise InputError(
                f"frame {self.number} is {shape[0]}x{shape[1]}, the clip began at {self.shape[0]}x{self.shape[1]}; "
                "split it at the change"
            )

    def _cut(self, frame: Frame, told: bool | None) -> bool:
        if self.alone:
            return False  # one view knows no neighbours
        now, before = signature(frame), self.last
        self.last = now  # also where the host tells: it may not of the next frame
        return told if told is not None else before is not None and is_cut_between(before, now)

    def _ready(self, *, final: bool) -> list[Frame]:
        done: list[Frame] = []
        while self.windows and (final or len(self.windows) >= self.up.batch):
            group = next(alike(self.windows, self.up.batch))
            del self.windows[: len(group)]
            done += self._pictures(group)
        return done

    def _pictures(self, group: Sequence[Window]) -> list[Frame]:
        """The group's windows as finished frames."""
        first = self.frames[0]
        out = self.out or first.color
        target = self.size or (round(first.width * self.up.card.scale), round(first.height * self.up.card.scale))
        bytes_first = self.up.can_phase and keeps_luma(first.color, out) and self._exact(first, target)
        x = self.up.run(group, phases=bytes_first)
        done = []
        for picture in rearrange(x, "b n c h w -> (b n) 1 c h w"):
            frame = self.frames.popleft()
            planes = self._finish(frame, picture, out, target, bytes_first)
            done.append(replace(frame, planes=on_host(planes), color=out))
        return done

    def _exact(self, frame: Frame, target: tuple[int, int]) -> bool:
        s = self.up.card.scale
        m = self.up.card.multiple
        return (
            s == int(s) and target == (frame.width * s, frame.height * s) and frame.width % m == frame.height % m == 0
        )

    def _finish(
        self, frame: Frame, picture: Tensor, out: Color, target: tuple[int, int], phases: bool
    ) -> tuple[Tensor, ...]:
        scale = target[0] / frame.width, target[1] / frame.height
        if phases:
            ratio = round((picture.shape[1]) ** 0.5)
            return wrap_planes(frame, shuffle(store(picture, out), ratio), out, scale)
        picture = picture.to(torch.float32)
        if (picture.shape[-1], picture.shape[-2]) != target:
            picture = resample(picture, (target[1], target[0]), kernel="lanczos")
        if self.up.card.channels == 3:
            return rgb_planes(frame, picture, out, scale)
        return picture_planes(frame, picture, out, scale)


def keeps_luma(source: Color, out: Color) -> bool:
    """Whether luma codes mean the same on both sides, so that a net's output can be stored as it is."""
    same = (
        source.model != "rgb" and out.model != "rgb" and source.full == out.full and 32 not in (source.depth, out.depth)
    )
    return same and (out.model == "gray" or source.model == "gray" or source.matrix == out.matrix)
