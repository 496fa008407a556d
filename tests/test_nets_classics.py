"""Nets of one view: what their papers say of them, and what misr says of their grid."""

from itertools import pairwise

import pytest
import torch

from misr.nets import NETS
from misr.nets.single import Single
from misr.nets.swinir import kept
from misr.resample import resample
from tests.small_nets import NET_LIST, SMALL, Entry, call, views

ONE_VIEW = [it for it in NET_LIST if issubclass(NETS[it.name], Single)]
EVEN = [
    it for it in ONE_VIEW if "swinir" not in (it.name, it.options.get("back")) and it.options.get("kernel") != 9
]  # windows are not; 9: see Fsrcnn
every_net_of_one_view = pytest.mark.parametrize("it", ONE_VIEW, ids=str)

pytestmark = pytest.mark.usefixtures("one_thread")

ABLE = {"lapsrn": (2, 4, 8), "prosr": (2, 4, 8), "srresnet": (2, 3, 4, 8), "johnson": (2, 3, 4, 8)}
ABLE |= {"swinir": (2, 3, 4, 8), "dbpn": (2, 3, 4, 8)}


@pytest.mark.parametrize("name", sorted({it.name for it in ONE_VIEW}))
def test_a_net_of_one_view_enlarges_any_picture_by_the_scales_its_paper_allows_and_by_no_other(name):
    for scale in (1, 2, 2.5, 3, 4, 8):
        if scale not in ABLE.get(name, (2, 3, 4)):
            with pytest.raises(ValueError, match=f"not by {scale:g}$"):
                NETS[name](scale=scale, **SMALL[name][1])
            continue
        net = Entry(name, scale, SMALL[name][1]).make()
        x = torch.rand(1, 1, 1, 7, 9)
        assert call(net, x, torch.ones(1, 1, 1, 1, 1)).shape[-2:] == (7 * scale, 9 * scale)


@torch.no_grad()
def even_atoms(net):
    """Make the features of sparse codes, and what its atoms add, the same from left to right."""
    net.look.copy_((net.look + net.look.flip(-1)) / 2)
    side = 3 * net.scale
    patches = net.high.reshape(-1, side, side)
    net.high.copy_(((patches + patches.flip(-1)) / 2).flatten(1))


@pytest.mark.parametrize("it", EVEN, ids=str)
def test_a_net_of_one_view_lies_evenly_about_the_grid(it):
    """With weights that are the same from left to right, a mirrored picture gives the mirrored result."""
    net = it.make()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            with torch.no_grad():
                module.weight.copy_((module.weight + module.weight.flip(-1)) / 2)
        if isinstance(module, torch.nn.Sequential):
            for a, b in pairwise(module):
                if isinstance(b, torch.nn.PixelShuffle):
                    even(a, b.upscale_factor)
    for layer in shuffled(net):
        even(layer, net.scale)
    if it.name == "sparse":
        even_atoms(net)
    x, valid = views(net)
    assert torch.allclose(call(net, x.flip(-1), valid), call(net, x, valid).flip(-1), atol=1e-5)


def shuffled(net: torch.nn.Module) -> list[torch.nn.Module]:
    """The layers whose channels a net itself shuffles to its picture."""
    if hasattr(net, "stages"):
        return [stage.detail for stage in net.stages]
    if type(net).__name__ == "Cincgan":
        return shuffled(net.back)
    return [net.layers[-1]] if type(net).__name__ in ("Espcn", "Fast") else []


def even(layer: torch.nn.Module, factor: int) -> None:
    """Make all columns of a sub-pixel convolution's cells the same."""
    with torch.no_grad():
        for x in (layer.weight, layer.bias):
            cells = x.view(-1, factor, factor, *x.shape[1:])
            cells.copy_(cells.mean(2, keepdim=True).expand_as(cells))


@every_net_of_one_view
def test_a_picture_made_in_bf16_has_more_levels_than_bf16(it):
    net = it.make()
    x, valid = views(net)
    with torch.autocast("cpu", torch.bfloat16):
        half = call(net, x, valid)
    assert half.dtype == torch.float32
    assert (half != half.bfloat16()).float().mean() > 0.9
    assert (half - call(net, x, valid)).square().mean().sqrt() < 0.1 * call(net, x, valid).std()


@every_net_of_one_view
def test_the_last_level_is_the_picture(it):
    net = it.make()
    x = torch.rand(2, net.channels, 9, 11)
    with torch.inference_mode():
        levels = net.levels(x)
        assert torch.allclose(levels[-1], net.picture(x), atol=1e-6)
    assert all(level.shape[-1] % 11 == 0 for level in levels)


@pytest.mark.parametrize("name", ["lapsrn", "prosr"])
def test_progressive_nets_give_every_power_of_two_on_the_way(name):
    net = Entry(name, 8, SMALL[name][1]).make()
    with torch.inference_mode():
        assert [x.shape[-1] for x in net.levels(torch.rand(1, 1, 5, 6))] == [12, 24, 48]


@pytest.mark.parametrize("name", ["vdsr", "prosr", "hourglass"])
def test_nets_that_add_to_the_bicubic_begin_as_it(name):
    net, x = NETS[name](scale=2, **SMALL[name][1]).eval(), torch.rand(1, 1, 1, 9, 11)
    assert torch.allclose(call(net, x, torch.ones(1, 1, 1, 1, 1)), resample(x, (18, 22)), atol=1e-6)


def test_lapsrn_begins_as_the_bilinear_enlargement_on_our_grid():
    net, x = NETS["lapsrn"](scale=4, width=4, depth=1), torch.rand(1, 1, 1, 9, 11)
    twice = resample(resample(x, (18, 22), kernel="bilinear"), (36, 44), kernel="bilinear")
    assert torch.allclose(call(net, x, torch.ones(1, 1, 1, 1, 1))[..., 4:-4, 4:-4], twice[..., 4:-4, 4:-4], atol=1e-6)


def test_prosr_grows_level_by_level_and_blends_each_in():
    net = Entry("prosr", 8, SMALL["prosr"][1]).make()
    grown = [net.grown(done / 100) for done in range(101)]
    assert grown == sorted(grown)
    assert (grown[0], grown[30], grown[60]) == (1, 2, 3)
    with torch.inference_mode():
        x = torch.rand(1, 1, 5, 6)
        whole = net.levels(x)
        assert len(net.levels(x, 1)) == 1 and len(net.levels(x, 1.2)) == 2
        assert torch.equal(net.levels(x, 2)[1], whole[1])
        low, middle, high = (net.levels(x, g)[1] for g in (1.001, 1.5, 1.999))
        assert torch.allclose(middle, (low + high) / 2, atol=2e-3)
        assert not torch.allclose(low, high, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("srcnn", {"channels": 2}, "1 for a plane, or 3 for RGB"),
        ("srcnn", {"kernels": [9, 2, 5]}, "are to be odd"),
        ("espcn", {"widths": [64]}, "one more than widths"),
        ("espcn", {"activation": "gelu"}, "tanh or relu"),
        ("fsrcnn", {"kernel": 1}, "takes 2 or more"),
        ("srresnet", {"tail": "x"}, "norm or prelu"),
        ("edsr", {"mean": [0.5, 0.5]}, "one number for each of 1 channels"),
        ("swinir", {"heads": 7}, "multiple of heads"),
        ("swinir", {"up": "x"}, "direct or classical"),
        ("swinir", {"drop_path": 1}, "from 0 to below 1"),
        ("prosr", {"blocks": []}, "takes 1"),
        ("cincgan", {"channels": 3}, "front and back see a plane"),
        ("cincgan", {"front": {"width": 0}}, "a channel or more"),
        ("cincgan", {"back": "gru"}, "back 'gru': a net of one view is wanted; there is fast, srcnn, "),
        ("cincgan", {"back": "cincgan"}, "a net of one view is wanted"),
        ("cincgan", {"back": "edsr", "back_options": {"channels": 3}}, "has 3 channels; one of a plane is wanted"),
    ],
)
def test_options_that_cannot_be_are_named(name, options, said):
    with pytest.raises(ValueError, match=said):
        NETS[name](scale=2, **options)


def test_shifted_windows_see_no_pixel_from_the_opposite_edge():
    net = Entry("swinir", 2, SMALL["swinir"][1]).make()
    x, valid = views(net, h=8, w=2 * net.halo + 8)
    other = x.clone()
    other[..., -1] += 0.5
    assert torch.allclose(call(net, x, valid)[..., :8], call(net, other, valid)[..., :8], atol=1e-6)


def test_layers_of_swinir_are_left_out_whole_in_learning_alone_and_change_no_mean():
    torch.manual_seed(0)
    made = kept(torch.ones(20000, 2, 3, 1), 0.25)
    assert torch.equal(made, made[:, :1, :1].expand_as(made))  # a picture wholly or not at all
    assert made.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(made[:, 0, 0].mean()) == pytest.approx(1, abs=0.025)  # five deviations
    small = SMALL["swinir"][1]
    often, never = (NETS["swinir"](scale=2, **small, drop_path=chance) for chance in (0.9, 0))
    never.load_state_dict(often.state_dict())
    assert [layer.drop for block in often.blocks for layer in block.layers] == pytest.approx([0, 0.45, 0.9])
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(often.eval().picture(x), never.eval().picture(x))
    assert torch.equal(never.train().picture(x), never.eval().picture(x))
    assert not torch.equal(often.train().picture(x), often.picture(x))


@pytest.mark.parametrize(
    ("name", "scale", "options", "published"),
    [  # weights and biases by the papers, or by what their authors' code builds
        ("srcnn", 3, {}, 8032 + 97),
        ("vdsr", 2, {"bias": False}, 664704),
        ("fsrcnn", 3, {}, 12464 + 56 + 12 + 4 * 12 + 56 + 1 + 56 + 12 + 4 * 12 + 56),
        ("espcn", 3, {}, 22624 + 64 + 32 + 9),
        ("swinir", 2, {"channels": 3}, 910152),
        ("edsr", 2, {"channels": 3}, 1369859),
        ("edsr", 2, {"channels": 3, "blocks": 32, "width": 256}, 40729603),
    ],
)
def test_nets_have_the_size_of_their_papers(name, scale, options, published):
    net = NETS[name](scale=scale, **options)
    assert sum(p.numel() for p in net.parameters()) == published
