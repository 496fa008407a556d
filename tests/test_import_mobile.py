"""Nets for telephones, imported: written as another net, they make the pictures that their own layers make."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from misr import Measure, evaluate_models, zoo
from misr.errors import ModelError
from misr.importing import import_model
from misr.importing.mobile import compact
from tests.small_nets import call, shell_filled
from tests.test_import import drawn

PEERS = Path(__file__).resolve().parents[2] / "shared" / "data" / "peers" / "rt_sr"
pytestmark = pytest.mark.usefixtures("one_thread")


def conv(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    kernel = weights[f"{name}.weight"]
    return F.conv2d(x, kernel, weights[f"{name}.bias"], padding=kernel.shape[-1] // 2)


def layer(weights: dict[str, Tensor], name: str, wide: int, to: int, kernel: int = 3) -> None:
    """Add a convolution's weights, drawn so that all channels matter."""
    source = torch.Generator().manual_seed(len(weights))
    weights[f"{name}.weight"] = (
        torch.randn(to, wide, kernel, kernel, generator=source) * (2 / (wide * kernel**2)) ** 0.5
    )
    weights[f"{name}.bias"] = torch.randn(to, generator=source) / 8


def ecbsr(scale: int) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for n in range(3):
        layer(weights, f"backbone.{n}.0", 8 if n else 3, 8)
        weights[f"backbone.{n}.1.weight"] = drawn(8, seed=n)
    layer(weights, "backbone.3.0", 8, 3 * scale**2)
    return weights


def ecbsrs_picture(weights: dict[str, Tensor], x: Tensor, scale: int) -> Tensor:
    y = x
    for n in range(3):
        y = F.prelu(conv(weights, f"backbone.{n}.0", y), weights[f"backbone.{n}.1.weight"])
    return F.pixel_shuffle(conv(weights, "backbone.3.0", y) + x.repeat_interleave(scale**2, 1), scale)


def abpn(scale: int) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    for name, wide, to in (
        ("backbone.0", 3, 8),
        ("backbone.2.0", 8, 8),
        ("backbone.3.0", 8, 8),
        ("backbone.4", 8, 3 * scale**2),
        ("backbone.6", 3 * scale**2, 3 * scale**2),
    ):
        layer(weights, name, wide, to)
    return weights


def abpns_picture(weights: dict[str, Tensor], x: Tensor, scale: int) -> Tensor:
    y = x
    for name in ("backbone.0", "backbone.2.0", "backbone.3.0", "backbone.4"):
        y = conv(weights, name, y).relu()
    return F.pixel_shuffle(conv(weights, "backbone.6", y) + x.repeat_interleave(scale**2, 1), scale)


def etds(scale: int) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = {}
    made = 3 * scale**2 + (scale == 3)
    for name, wide, to, kernel in (
        ("conv_first", 3, 8, 3),
        ("backbone_convs.0", 8, 8, 3),
        ("conv_last", 8, made, 3),
        ("conv_clip", made, made, 1),
    ):
        layer(weights, name, wide, to, kernel)
    return weights


def etds_picture(weights: dict[str, Tensor], x: Tensor, scale: int) -> Tensor:
    for name in ("conv_first", "backbone_convs.0", "conv_last", "conv_clip"):
        x = conv(weights, name, x).relu()
    return F.pixel_shuffle(x[:, : 3 * scale**2], scale)


NETS = {"ECBSR": (ecbsr, ecbsrs_picture), "ABPN": (abpn, abpns_picture), "ETDS": (etds, etds_picture)}


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", NETS)
def test_pictures_are_those_of_the_nets_own_layers(tmp_path, name, scale):
    shell_filled(2)  # skips without spandrel
    weights, picture = NETS[name][0](scale), NETS[name][1]
    save_file(weights, tmp_path / "w.safetensors")
    done = import_model(tmp_path / "w.safetensors", tmp_path / "model")
    assert (done.card.net, done.card.scale, done.card.channels) == ("spandrel", scale, 3)
    assert done.card.source.startswith(f"{name}, as ")
    net, _ = zoo.build(str(tmp_path / "model"))
    x = torch.rand(1, 1, 3, 9, 11)
    wanted = picture(weights, x[0], scale)
    assert 0.05 < wanted.std() and (wanted.clamp(0, 1) == wanted).float().mean() > 0.1
    made = call(net, x, torch.ones(1, 1, 1, 1, 1))[0]
    assert torch.allclose(made, wanted.clamp(0, 1), atol=1e-5)  # spandrel's call clamps


def test_weights_of_other_nets_are_left_alone(tmp_path):
    for weights in (ecbsr(2), abpn(2), etds(2)):
        for name in list(weights):
            less = {k: v for k, v in weights.items() if k != name}
            assert compact(less | {"other.weight": drawn(3)}) is None
            if name.endswith(".bias"):
                assert compact(less) is None
    assert compact({}) is None
    one_more = abpn(2)  # what ECNUSR/ETDS call ABPN_ET: it ends otherwise
    layer(one_more, "backbone.8", 12, 12, 1)
    assert compact(one_more) is None
    smaller = abpn(2)
    layer(smaller, "backbone.6", 12, 12, 1)
    assert compact(smaller) is None
    assert compact(etds(2) | {"conv_last.weight": drawn(12, 8, 2, 2)}) is None
    assert compact(etds(2) | {"conv_clip.bias": drawn(12, 1)}) is None
    wrong = abpn(2) | {"backbone.3.0.weight": drawn(8, 7, 3, 3)}
    assert compact(wrong) is None
    save_file(wrong, tmp_path / "w.safetensors")
    with pytest.raises(ModelError):
        import_model(tmp_path / "w.safetensors", tmp_path / "model")


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("file", "scale", "gain_db"),
    [("ECBSR_M6C40_x2.pth", 2, 3), ("ABPN_M6C40_x4.pth", 4, 2.5), ("ETDS_M4C32_x3.pth", 3, 2.5)],
)
def test_published_weights_are_far_above_bicubic(tmp_path, file, scale, gain_db):
    shell_filled(2)
    import_model(PEERS / file, tmp_path / "m")
    pictures = [str(PEERS.parents[1] / "test" / "Set5" / f"{name}.webp") for name in ("butterfly", "woman")]
    report = evaluate_models([str(tmp_path / "m")], pictures, Measure(metrics=("psnr",), scale=scale), precision="fp32")
    assert report.rows[1].mean["psnr_db"] > report.rows[0].mean["psnr_db"] + gain_db
