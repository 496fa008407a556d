"""The shipped models of bursts hold what is said of them, on photographs they have not seen."""

from functools import cache

import pytest
import torch

from misr import zoo
from misr.io.stills import pictures
from misr.metrics import luma601
from misr.nets.lattice import Fused, Stack
from misr.registration import register
from misr.train.bursts import Bursts, Conditions, Known

MODELS = [name for name in zoo.names() if zoo.fuses(zoo.card(name))]
BORDER = 4
SIGNALS = {"40 dB below white": 0.01, "clean": 0.002}
AHEAD_DB = {0.01: 0.5, 0.002: -0.4}  # of the method that learns nothing: where there is hardly any noise, the two are close

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.parametrize("name", MODELS)]


@cache
def lumas(folder):
    """Luma 16-235 of the first photographs of Set14."""
    views = [next(iter(pictures(str(path)))) for path in sorted(folder.iterdir())[:6]]
    rgb = [torch.from_numpy(v.read(0, 0, v.width, v.height)).expand(3, -1, -1).permute(1, 2, 0) for v in views]
    return [luma601(x).to(torch.uint8).numpy() for x in rgb]


@cache
def bursts(folder, scale, noise):
    """Nine views of pieces of the photographs; their shifts are those that registration finds."""
    how = Conditions(optics=(0.172, 0.348), noise=(noise, noise), off=(1e-4, 1e-4), far=1.5, plain=True)
    source = Bursts(
        lumas(folder), scale=scale, crop=64, device=torch.device("cpu"), seed=3, views=9, samples=9, conditions=how
    )
    found = []
    for _ in range(2):
        it = source.draw()
        places = [[register(views[0, 0], view[0]).matrix for view in views] for views in it.stack.views]
        told = torch.tensor([[(m[2], m[5]) for m in each] for each in places])[..., None, None].float()
        found.append(Known(it.stack._replace(motion=told), it.truth))
    return found


@cache
def fused(name, folder, noise, scale):
    """What a model makes of the bursts."""
    net = zoo.build(name, scale=scale)[0]
    with torch.inference_mode():
        return [net.fuse(it.stack) for it in bursts(folder, scale, noise)]


def inner(x):
    return x[..., BORDER:-BORDER, BORDER:-BORDER]


def psnr_db(made, those):
    """Mean over bursts."""
    off = torch.cat([inner(m.picture.clamp(0, 1) - it.truth) for m, it in zip(made, those, strict=True)])
    return float((-10 * off.double().square().mean((1, 2, 3)).log10()).mean())


@pytest.mark.parametrize("noise", SIGNALS.values(), ids=SIGNALS)
def test_it_is_sharper_than_the_best_view_and_than_what_learns_nothing(name, noise, shared_data):
    folder, scale = shared_data / "test" / "Set14", int(zoo.card(name).scale)
    those = bursts(folder, scale, noise)
    own, best, plain = (psnr_db(fused(n, folder, noise, scale), those) for n in (name, "best", "map"))
    assert own > best + 3.0
    assert own > plain + AHEAD_DB[noise]


@pytest.mark.parametrize("noise", SIGNALS.values(), ids=SIGNALS)
def test_the_error_it_predicts_covers_about_95_percent(name, noise, shared_data):
    folder, scale = shared_data / "test" / "Set14", int(zoo.card(name).scale)
    made, those = fused(name, folder, noise, scale), bursts(folder, scale, noise)
    within = torch.cat(
        [inner((m.picture - it.truth).abs() <= 1.96 * m.sigma).float() for m, it in zip(made, those, strict=True)]
    )
    assert 0.90 < float(within.mean()) < 0.98


def test_more_views_are_better(name, shared_data):
    folder, scale = shared_data / "test" / "Set14", int(zoo.card(name).scale)
    net = zoo.build(name)[0]
    dbs = []
    for t in (1, 2, 4, 9):
        with torch.inference_mode():
            made = [net.fuse(first(it.stack, t)) for it in bursts(folder, scale, 0.01)]
        dbs.append(psnr_db(made, bursts(folder, scale, 0.01)))
    assert dbs == sorted(dbs)


def first(stack: Stack, t: int) -> Stack:
    """The first t views."""
    return Stack(stack.views[:, :t], stack.valid[:, :t], stack.motion[:, :t], stack.sigma[:, :t], stack.optics)


def test_light_may_be_of_any_size(name, shared_data):
    """A darker scene with as much less noise gives the same picture, darker, to a twentieth of its contrast."""
    folder, scale = shared_data / "test" / "Set14", int(zoo.card(name).scale)
    it = bursts(folder, scale, 0.01)[0]
    net = zoo.build(name)[0]
    with torch.inference_mode():
        plain: Fused = net.fuse(it.stack)
        dark: Fused = net.fuse(it.stack._replace(views=0.5 * it.stack.views, sigma=0.5 * it.stack.sigma))
    off = inner(2 * dark.picture - plain.picture)
    assert float(off.square().mean().sqrt()) < float(plain.picture.std()) / 20
