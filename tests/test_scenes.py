"""Laws of the training windows: what moves, what stands, what is cut, and that the views are the degradation's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from misr.train import data, scenes
from misr.train.camera import Dice, Path, blob, box, moved, path, render, still_path
from misr.train.degrade import bi, gaussian
from misr.train.scenes import Scenes, degraded, fitted, mirrored


def texture(h=160, w=200, seed=1):
    noise = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, 1, h // 3, w // 3)))
    smooth = F.interpolate(noise.float(), size=(h, w), mode="bicubic")[0, 0]
    return (120 + 40 * smooth).clamp(16, 235).to(torch.uint8).numpy()


def clip(frames=8, h=120, w=130):
    wide = texture(h, w + 2 * frames, seed=5)
    return np.stack([wide[:, 2 * n : 2 * n + w] for n in range(frames)])


def windows(n=4, t=5, **options):
    options = {"scale": 4, "crop": 12, **options}
    return Scenes([texture(), texture(190, 170, seed=2)], [clip()], **options).batch(n, t)


def only(monkeypatch, **shares):
    for name in ("STATIC", "LAYER", "CUT", "RAMP"):
        monkeypatch.setattr(scenes, name, shares.get(name, 0))


def codes(batch):
    return (batch * 255).round().to(torch.uint8).numpy()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("degradation", ["bi", "bd", "mixed"])
def test_shapes_and_ranges(scale, degradation):
    batch = windows(2, 3, scale=scale, degradation=degradation)
    assert batch.views.shape == (2, 3, 1, 12, 12)
    assert batch.sharp.shape == (2, 3, 1, 12 * scale, 12 * scale)
    for side in (batch.views, batch.sharp):
        assert side.dtype == torch.float32 and 0 <= side.min() < side.max() <= 1
        assert torch.allclose(side * 255, (side * 255).round(), atol=1e-4)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_views_are_bi_of_the_sharp_frames(scale):
    batch = windows(6, 2, scale=scale)
    views, frames = codes(batch.views).reshape(12, 12, 12), codes(batch.sharp).reshape(12, 12 * scale, 12 * scale)
    for view, sharp in zip(views, frames, strict=True):
        off = np.abs(view.astype(int) - bi(sharp, scale))[2:-2, 2:-2]
        assert off.max() <= 1 and (off > 0).mean() < 0.01  # a tie may round otherwise


def test_crops_have_no_borders_of_their_own():
    """The views of a crop are a crop of the views: what lies beyond the crop was seen."""
    plane, side = texture(), 12 * 4 + 2 * 8
    whole = bi(plane, 4)
    view = degraded(torch.from_numpy(plane)[None, 8 : 8 + side, 16 : 16 + side], 4, "bi", Dice(0))[0, 2:-2, 2:-2]
    off = np.abs(view.numpy().astype(int) - whole[4 : 4 + 12, 6 : 6 + 12])
    assert off.max() <= 1 and (off > 0).mean() < 0.01


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bd_is_a_gaussian_of_1_6_on_the_area_aligned_grid(scale):
    plane = torch.zeros(1, 24 * scale, 24 * scale, dtype=torch.uint8)
    plane[0, 12 * scale : 13 * scale, 12 * scale : 13 * scale] = 255  # one cell: its view's light is centred on it
    view = degraded(plane, scale, "bd", Dice(0))[0].float()
    assert torch.equal(view[:24], view[:24].T) and torch.equal(view[10:15, 10:15], view[10:15, 10:15].flip(0, 1))
    weight = gaussian(scale, 1.6, 1.6, 0.0)
    k = (weight.shape[0] - scale) // 2
    assert abs(float(view[12, 12]) - 255 * float(weight[k : k + scale, k : k + scale].sum())) <= 0.5


def test_a_constant_stays_constant_under_every_kernel():
    plane, dice = torch.full((2, 32, 32), 90, dtype=torch.uint8), Dice(3)
    for how in ("bi", "bd"):
        assert (degraded(plane, 4, how, dice) == 90).all()
    means = [float(degraded(plane, 4, "mixed", dice).float().mean()) for _ in range(20)]
    assert max(abs(m - 90) for m in means) < 3 and min(abs(m - 90) for m in means) == 0


def poses_of(offset, step=1.0, angle=0.0):
    offset = torch.tensor(offset, dtype=torch.float32)
    t = len(offset)
    return Path(offset, torch.full((t,), angle), torch.full((t,), step), torch.zeros(t, 2)).poses()


def test_whole_pixel_paths_give_shifted_pixels():
    still = torch.from_numpy(texture()).float()
    poses = moved(poses_of([(0, 0), (3, 0), (3, -2), (-7, 5)]), 80, 70)
    frames = render([still], poses, 41)[:, 0]
    for frame, (dx, dy) in zip(frames, [(0, 0), (3, 0), (3, -2), (-7, 5)], strict=True):
        assert torch.allclose(frame, still[50 + dy : 91 + dy, 60 + dx : 101 + dx], atol=0.02)


def test_a_ramp_is_seen_where_the_pose_says():
    """On a linear ramp values tell positions, under turns, steps and tilts; torch's bicubic is off by up to 0.05 px."""
    y, x = torch.meshgrid(torch.arange(150.0), torch.arange(180.0), indexing="ij")
    way = Path(torch.tensor([(0.0, 0.0), (4.3, -2.6)]), torch.tensor([0.3, -0.2]), torch.tensor([0.8, 1.1]),
               torch.tensor([(1e-3, 0.0), (-5e-4, 8e-4)]))  # fmt: skip
    poses = moved(way.poses(), 90, 75)
    seen = render([x, y], poses, 33)
    for u, v in ((0, 0), (16, 16), (32, 5)):
        at = poses @ torch.tensor([u - 16.0, v - 16.0, 1.0])
        assert torch.allclose(seen[:, :, v, u], at[:, :2] / at[:, 2:], rtol=0, atol=0.06)
    assert torch.allclose(torch.tensor([90, 75]) + way.offset * way.step[:, None], poses[:, :2, 2])


def test_boxes_hold_what_is_seen():
    y, x = torch.meshgrid(torch.arange(300.0), torch.arange(300.0), indexing="ij")
    for seed in range(10):
        poses = moved(fitted(path(Dice(seed), 6, 4), 64, 300, 300), 150, 150)
        left, top, right, bottom = box(poses, 64)
        assert right - left <= 295 and bottom - top <= 295
        seen = render([x, y], moved(poses, 2 - left - 0.5, 2 - top - 0.5), 64)
        assert seen.amin() > 1 and abs(float(seen[:, 0].max() - seen[:, 0].min()) - (right - left)) < 0.1


def test_standing_cameras_see_the_same_frame(monkeypatch):
    only(monkeypatch, STATIC=1, LAYER=0.5)
    sharp = windows(6, 4, clip_share=0).sharp
    assert (sharp == sharp[:, :1]).all()
    assert still_path(Dice(0), 3).poses().unique(dim=0).shape[0] == 1


def test_moving_cameras_do_not(monkeypatch):
    only(monkeypatch, LAYER=0.5)
    sharp = windows(8, 4, clip_share=0).sharp
    assert ((sharp[:, 1:] - sharp[:, :-1]).abs().amax((2, 3, 4)) > 0).all()


def test_noise_differs_between_the_views_of_a_standing_camera(monkeypatch):
    only(monkeypatch, STATIC=1)
    batch = windows(12, 3, clip_share=0, degradation="mixed")
    still = (batch.views == batch.views[:, :1]).flatten(1).all(1)
    assert 0 < still.sum() < 12


def test_cut_windows_are_two_shots(monkeypatch):
    only(monkeypatch, STATIC=1, CUT=1)
    sharp = windows(8, 6, clip_share=0).sharp
    changes = (sharp[:, 1:] != sharp[:, :-1]).flatten(2).any(2)
    assert (changes.sum(1) == 1).all()


def test_ramps_change_the_light(monkeypatch):
    only(monkeypatch, RAMP=1)
    light = windows(8, 6, clip_share=0).sharp.mean((2, 3, 4))
    only(monkeypatch)
    steady = windows(8, 6, clip_share=0).sharp.mean((2, 3, 4))
    assert light.diff().abs().mean() > 1.5 * steady.diff().abs().mean()


def test_clips_come_as_they_are(monkeypatch):
    """Every frame of a window is the same place of the clip, at a steady pace, to and fro."""
    only(monkeypatch)
    monkeypatch.setattr(scenes, "turned", lambda dice, frames: frames)
    film = clip()
    patches = np.lib.stride_tricks.sliding_window_view(film, (48, 48), axis=(1, 2))
    for window in codes(Scenes([], [film], scale=4, crop=12).batch(6, 5).sharp)[:, :, 0]:
        places = np.argwhere((patches == window[0]).all((3, 4)))
        times = [mirrored(n + torch.arange(5) * stride, 8, twice=False) for n in places[:, 0] for stride in (1, 2)]
        crops = [patches[at.numpy(), y, x] for at, (_, y, x) in zip(times, places.repeat(2, 0), strict=True)]
        assert any((crop == window).all() for crop in crops)


def test_mirrored_indices():
    assert mirrored(torch.arange(-3, 7), 4).tolist() == [2, 1, 0, 0, 1, 2, 3, 3, 2, 1]
    assert mirrored(torch.arange(0, 8), 4, twice=False).tolist() == [0, 1, 2, 3, 2, 1, 0, 1]
    assert mirrored(torch.arange(3), 1, twice=False).tolist() == [0, 0, 0]


@pytest.mark.parametrize("degradation", ["bi", "mixed"])
def test_same_seed_same_windows(degradation):
    a, b, c = (windows(3, 3, seed=seed, degradation=degradation) for seed in (7, 7, 8))
    assert torch.equal(a.views, b.views) and torch.equal(a.sharp, b.sharp)
    assert not torch.equal(a.sharp, c.sharp)


def test_a_restored_run_goes_on_identically():
    first, second = (Scenes([texture()], [clip()], scale=4, crop=12, degradation="mixed") for _ in range(2))
    first.batch(3, 4)
    second.restore(first.state())
    assert torch.equal(first.batch(3, 4).views, second.batch(3, 4).views)


def test_masks_are_soft_and_partial():
    for seed in range(6):
        mask = blob(Dice(seed), torch.zeros(90, 120), 40)
        assert mask.shape == (90, 120) and mask.min() >= 0 and mask.max() <= 1
        assert (mask.diff(dim=1).abs() > 0).float().mean() < 0.6


def test_windows_without_room_are_refused():
    with pytest.raises(ValueError, match="no still"):
        Scenes([], [clip(h=40)], scale=4, crop=12)


def test_stacks_survive_a_pack(tmp_path):
    stills = [texture(256, 264, seed=n) for n in range(3)]
    clips = [clip(4), clip(6, 64, 80), clip(5)]
    data.save(tmp_path / "pack.npz", stills[:2], stills[2:], clips[:2], clips[2:])
    it = data.load_scenes(tmp_path / "pack.npz")
    found = (it.stills, it.valid_stills, it.clips, it.valid_clips)
    for those, put in zip(found, (stills[:2], stills[2:], clips[:2], clips[2:]), strict=True):
        assert all((a == b).all() for a, b in zip(those, put, strict=True))


def test_the_busiest_part_is_kept():
    stack = np.full((4, 64, 96), 100, np.uint8)
    stack[2:, 40:60, 70:90] = 200
    assert data.busiest(stack, 32).shape == (4, 32, 32)
    assert (data.busiest(stack, 32)[2] == 200).sum() == 400
