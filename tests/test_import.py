"""misr import: published weights become models that make the pictures of the nets they are of; other files are refused.

The published files themselves are tried by tests/test_import_published.py; here every one is made up, small, in their names.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import misr
from misr import zoo
from misr.errors import InputError, ModelError, OutputError
from misr.importing import import_model
from misr.importing.tensors import read
from tests import command
from tests.small_nets import compact

pytestmark = pytest.mark.usefixtures("one_thread")


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * 0.1


def picture(channels: int = 1, h: int = 24, w: int = 28) -> torch.Tensor:
    return torch.rand(1, channels, h, w, generator=torch.Generator().manual_seed(3))


@torch.inference_mode()
def made(folder: Path, x: torch.Tensor) -> torch.Tensor:
    """What the model in a directory makes of pictures (1, c, h, w)."""
    net, _ = zoo.build(folder)
    return net(x[None], x.new_ones(1, 1, 1, 1, 1), range(1))[0]


# ---------------------------------------------------------------- published weights, made up small


def vdsr_npz(path: Path, depth: int = 4, width: int = 6) -> list[torch.Tensor]:
    """As pytorch-vdsr's file, converted: the layers in order."""
    layers = [
        drawn(width, 1, 3, 3),
        *[drawn(width, width, 3, 3, seed=k) for k in range(depth - 2)],
        drawn(1, width, 3, 3),
    ]
    names = ["input", *[f"residual_layer.{k}.conv" for k in range(depth - 2)], "output"]
    np.savez(path, **{f"model.{n}.weight": x.numpy() for n, x in zip(names, layers, strict=True)})
    return layers


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_vdsr_adds_its_layers_to_the_bicubic_at_every_scale(tmp_path, scale):
    layers = vdsr_npz(tmp_path / "v.npz")
    done = import_model(tmp_path / "v.npz", tmp_path / "vdsr", scale=scale)
    assert (done.card.net, done.card.scale, done.card.channels) == ("vdsr", scale, 1)
    base = misr.resample.resample(picture(), (24 * scale, 28 * scale), (scale, scale))
    x = base
    for n, layer in enumerate(layers):
        x = F.conv2d(x if n == 0 else x.relu(), layer, padding=1)
    assert torch.allclose(made(tmp_path / "vdsr", picture()), base + x, atol=1e-5)


def test_vdsr_wants_to_be_told_the_scale(tmp_path):
    vdsr_npz(tmp_path / "v.npz")
    with pytest.raises(InputError, match="say which with -s"):
        import_model(tmp_path / "v.npz", tmp_path / "vdsr")
    with pytest.raises(ModelError, match="not by 8"):
        import_model(tmp_path / "v.npz", tmp_path / "vdsr", scale=8)
    assert not (tmp_path / "vdsr").exists()


def lapsrn_npz(path: Path, depth: int = 2, width: int = 5) -> dict[str, torch.Tensor]:
    """As pytorch-LapSRN's file, converted."""
    told = {"conv_input.weight": drawn(width, 1, 3, 3)}
    for n in (1, 2):
        told |= {f"convt_I{n}.weight": drawn(1, 1, 4, 4, seed=n), f"convt_R{n}.weight": drawn(1, width, 3, 3, seed=n)}
        for k in range(depth):
            told[f"convt_F{n}.0.cov_block.{2 * k}.weight"] = drawn(width, width, 3, 3, seed=10 * n + k)
        told[f"convt_F{n}.0.cov_block.{2 * depth}.weight"] = drawn(width, width, 4, 4, seed=n)
    np.savez(path, **{f"model.{k}": v.numpy() for k, v in told.items()})
    return told


@pytest.mark.parametrize("scale", [2, 4])
def test_lapsrn_is_had_at_every_level(tmp_path, scale):
    told = lapsrn_npz(tmp_path / "l.npz")
    import_model(tmp_path / "l.npz", tmp_path / "lapsrn", scale=scale)
    x = picture()
    wide = F.leaky_relu(F.conv2d(x, told["conv_input.weight"], padding=1), 0.2)
    for n in range(1, scale.bit_length()):
        for k in range(2):
            wide = F.leaky_relu(F.conv2d(wide, told[f"convt_F{n}.0.cov_block.{2 * k}.weight"], padding=1), 0.2)
        wide = F.leaky_relu(
            F.conv_transpose2d(wide, told[f"convt_F{n}.0.cov_block.4.weight"], stride=2, padding=1), 0.2
        )
        x = F.conv_transpose2d(x, told[f"convt_I{n}.weight"], stride=2, padding=1)
        x = x + F.conv2d(wide, told[f"convt_R{n}.weight"], padding=1)
    assert torch.allclose(made(tmp_path / "lapsrn", picture()), x, atol=1e-5)


def espcn_pth(path: Path) -> dict[str, torch.Tensor]:
    """As EGVSR's ESPCN: with the ends it does not use."""
    shapes = {"conv1": (8, 1, 5, 5), "conv2": (6, 8, 3, 3), "conv3": (6, 6, 3, 3), "pwconv": (9, 6, 1, 1)}
    shapes |= {"reconv": (1, 6, 1, 1), "deconv": (6, 1, 5, 5)}
    told = {f"{n}.weight": drawn(*s) for n, s in shapes.items()}
    told |= {f"{n}.bias": drawn(1 if n == "deconv" else s[0], seed=5) for n, s in shapes.items()}
    torch.save(told, path)
    return told


def test_espcn_ends_in_a_sigmoid_where_it_was_trained_so(tmp_path):
    told = espcn_pth(tmp_path / "e.pth")
    import_model(tmp_path / "e.pth", tmp_path / "espcn")
    x = picture()
    for name in ("conv1", "conv2", "conv3"):
        x = torch.tanh(F.conv2d(x, told[f"{name}.weight"], told[f"{name}.bias"], padding="same"))
    x = F.conv2d(x, told["pwconv.weight"], told["pwconv.bias"])
    assert torch.allclose(made(tmp_path / "espcn", picture()), F.pixel_shuffle(x, 3).sigmoid(), atol=1e-5)


def srgan_pth(path: Path, blocks: int = 2, width: int = 4, ups: int = 1) -> None:
    """As leftthomas/SRGAN's generator, in PyTorch's old format."""

    def layer(name: str, to: int, wide: int, k: int) -> dict[str, torch.Tensor]:
        return {f"{name}.weight": drawn(to, wide, k, k), f"{name}.bias": drawn(to)}

    told = layer("block1.0", width, 3, 9) | {"block1.1.weight": torch.tensor([0.2])}
    for n in range(2, blocks + 2):
        told |= layer(f"block{n}.conv1", width, width, 3) | layer(f"block{n}.conv2", width, width, 3)
        told[f"block{n}.prelu.weight"] = torch.tensor([0.3])
        for norm in ("bn1", "bn2"):
            told |= {
                f"block{n}.{norm}.{part}": drawn(width).abs() + 0.5
                for part in ("weight", "bias", "running_mean", "running_var")
            }
    told |= layer(f"block{blocks + 2}.0", width, width, 3) | {f"block{blocks + 2}.1.weight": torch.tensor([0.1])}
    for n in range(ups):
        told |= layer(f"block{blocks + 3}.{n}.conv", 4 * width, width, 3)
        told[f"block{blocks + 3}.{n}.prelu.weight"] = torch.tensor([0.4])
    torch.save(told | layer(f"block{blocks + 3}.{ups}", 3, width, 9), path, _use_new_zipfile_serialization=False)


def test_srgans_generator_is_an_srresnet_of_rgb(tmp_path):
    srgan_pth(tmp_path / "g.pth")
    done = import_model(tmp_path / "g.pth", tmp_path / "srgan", licence="MIT")
    assert (done.card.net, done.card.scale, done.card.channels, done.card.licence) == ("srresnet", 2, 3, "MIT")
    out = made(tmp_path / "srgan", picture(3))
    assert out.shape == (1, 3, 48, 56)
    assert 0 <= out.min() and out.max() <= 1


# ---------------------------------------------------------------- TensorFlow's graphs


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def message(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(name: str, operation: str, value: np.ndarray | None = None, *, listed: bool = False) -> bytes:
    """A NodeDef; a constant's numbers as bytes, or `listed` one by one as float_val."""
    body = message(1, name.encode()) + message(2, operation.encode())
    if value is not None:
        shape = b"".join(message(2, b"\x08" + varint(n)) for n in value.shape)
        numbers = value.astype("<f4").tobytes()
        tensor = b"\x08\x01" + message(2, shape) + message(5 if listed else 4, numbers)
        body += message(5, message(1, b"value") + message(2, message(8, tensor)))
    return message(1, body)


def graph(path: Path, told: dict[str, np.ndarray], *operations: str) -> None:
    nodes = [node(k, "Const", v, listed=v.size == 1) for k, v in told.items()]
    path.write_bytes(b"".join([*nodes, *(node(f"op{n}", op) for n, op in enumerate(operations))]))


def same(x: torch.Tensor, kernel: np.ndarray, bias: np.ndarray | None = None) -> torch.Tensor:
    """TensorFlow's Conv2D with SAME padding; the kernel is (h, w, in, out)."""
    weight = torch.from_numpy(kernel).permute(3, 2, 0, 1)
    return F.conv2d(x, weight, None if bias is None else torch.from_numpy(bias), padding="same")


@pytest.mark.parametrize("scale", [2, 3])
def test_opencvs_fsrcnn_is_a_deconvolution_of_side_scale(tmp_path, scale):
    shapes = [(5, 5, 1, 8), (1, 1, 8, 4), (3, 3, 4, 4), (1, 1, 4, 8), (1, 1, 8, scale**2)]
    told = {f"f{n}": drawn(*s).numpy() for n, s in enumerate(shapes, 1)}
    told |= {f"b{n}": drawn(s[3] if n < 5 else 1, seed=2).numpy() for n, s in enumerate(shapes, 1)}
    told |= {f"alpha{n}": drawn(s[3], seed=3).numpy() for n, s in enumerate(shapes[:4], 1)}
    graph(tmp_path / "f.pb", told, "Conv2D", "DepthToSpace")
    done = import_model(tmp_path / "f.pb", tmp_path / "fsrcnn")
    assert done.card.scale == scale
    x = picture()
    for n in range(1, 5):
        x = F.prelu(same(x, told[f"f{n}"], told[f"b{n}"]), torch.from_numpy(told[f"alpha{n}"]))
    x = F.pixel_shuffle(same(x, told["f5"]), scale) + float(told["b5"][0])
    assert torch.allclose(made(tmp_path / "fsrcnn", picture()), x, atol=1e-5)
    assert "without antialiasing" in done.card.note


def test_opencvs_espcn_has_a_tanh_on_the_picture(tmp_path):
    shapes = [(5, 5, 1, 8), (3, 3, 8, 4), (3, 3, 4, 4)]
    told = {f"f{n}": drawn(*s).numpy() for n, s in enumerate(shapes, 1)}
    told |= {f"b{n}": drawn(s[3], seed=2).numpy() for n, s in enumerate(shapes, 1)}
    graph(tmp_path / "e.pb", told, "Conv2D", "DepthToSpace", "Tanh")
    import_model(tmp_path / "e.pb", tmp_path / "espcn")
    x = same(picture(), told["f1"], told["b1"]).relu()
    x = same(same(x, told["f2"], told["b2"]).relu(), told["f3"], told["b3"])
    assert torch.allclose(made(tmp_path / "espcn", picture()), F.pixel_shuffle(x, 2).tanh(), atol=1e-5)


def test_opencvs_lapsrn_is_no_lapsrn_and_says_why(tmp_path):
    graph(tmp_path / "l.pb", {"reconstruction_2_deconv_f": drawn(4, 4, 8, 4).numpy()}, "Conv2D", "DepthToSpace")
    with pytest.raises(ModelError, match="not LapSRN as published"):
        import_model(tmp_path / "l.pb", tmp_path / "lapsrn")


# ---------------------------------------------------------------- the community's, by spandrel


@pytest.mark.parametrize("size", [(24, 32), (17, 23)])
def test_pixels_of_upscale_are_those_of_spandrels_own_call(tmp_path, size):
    from tests.small_nets import shell_filled

    shell_filled(2)  # skips without spandrel
    from misr.nets.spandrel import loaded

    save_file(compact(2), tmp_path / "c.safetensors")
    done = import_model(tmp_path / "c.safetensors", tmp_path / "compact")
    assert (done.card.net, done.card.scale, done.card.channels) == ("spandrel", 2, 3)
    rgb = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "in.png"), rgb[..., ::-1])
    assert command.misr("upscale", tmp_path / "in.png", tmp_path / "out.png", "-m", tmp_path / "compact") == 0
    ours = cv2.imread(str(tmp_path / "out.png"))[..., ::-1].astype(int)
    theirs = loaded().ModelLoader().load_from_file(tmp_path / "c.safetensors")
    x = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    wanted = (theirs(x)[0].permute(1, 2, 0) * 255).round().numpy().astype(int)
    assert wanted.std() > 5
    assert np.abs(ours - wanted).max() <= 1


def test_clips_go_through_an_imported_net_of_rgb(tmp_path):
    from tests.small_nets import shell_filled

    shell_filled(2)
    save_file(compact(2), tmp_path / "c.safetensors")
    import_model(tmp_path / "c.safetensors", tmp_path / "m")
    command.clip(tmp_path / "in.mkv", 3, codec="ffv1", size=(32, 24))
    assert command.misr("upscale", tmp_path / "in.mkv", tmp_path / "out.mkv", "-m", tmp_path / "m", "-c:v", "ffv1") == 0
    assert [len(data) for _, data in command.decoded(tmp_path / "out.mkv")] == [64 * 48 * 3 // 2] * 3


def test_an_imported_net_is_exported_like_any_other(tmp_path):
    from tests.small_nets import shell_filled

    pytest.importorskip("onnxruntime")
    shell_filled(2)
    save_file(compact(2), tmp_path / "c.safetensors")
    import_model(tmp_path / "c.safetensors", tmp_path / "m")
    assert misr.export(str(tmp_path / "m"), tmp_path / "x.onnx").error < 1e-4


def test_a_checkpoints_best_weights_are_taken_from_within_it(tmp_path):
    from tests.small_nets import shell_filled

    shell_filled(2)
    good, other = compact(2), {k: v + 1 for k, v in compact(2).items()}
    torch.save({"params": other, "params_ema": good, "iter": 5}, tmp_path / "c.pth")
    import_model(tmp_path / "c.pth", tmp_path / "compact")
    assert read(tmp_path / "compact" / "weights.safetensors").tensors.keys() == good.keys()
    assert torch.equal(read(tmp_path / "compact" / "weights.safetensors").tensors["body.0.bias"], good["body.0.bias"])


def test_without_spandrel_the_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    save_file(compact(2), tmp_path / "c.safetensors")
    with pytest.raises(ModelError, match=r'pip install "misr\[spandrel\]"'):
        import_model(tmp_path / "c.safetensors", tmp_path / "compact")
    assert not (tmp_path / "compact").exists()


def test_weights_that_nobody_knows_are_told(tmp_path):
    from tests.small_nets import shell_filled

    shell_filled(2)
    save_file({"a": drawn(3, 3)}, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="no architecture that spandrel knows"):
        import_model(tmp_path / "x.safetensors", tmp_path / "x")


def test_a_net_without_weights_says_so_and_is_not_trained():
    net = zoo.NETS["spandrel"](scale=2)
    with pytest.raises(RuntimeError, match="no shape before it has weights"):
        net(torch.rand(1, 1, 3, 8, 8), torch.ones(1, 1, 1, 1, 1), range(1))


# ---------------------------------------------------------------- the directory that is made


def test_a_place_that_holds_something_is_left_alone(tmp_path, capsys):
    vdsr_npz(tmp_path / "v.npz")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        import_model(tmp_path / "v.npz", tmp_path / "full", scale=2)
    with pytest.raises(OutputError, match="is a file"):
        import_model(tmp_path / "v.npz", tmp_path / "v.npz", scale=2)
    import_model(tmp_path / "v.npz", tmp_path / "m", scale=2)
    with pytest.raises(OutputError, match="-y overwrites"):
        import_model(tmp_path / "v.npz", tmp_path / "m", scale=3)
    assert zoo.card(tmp_path / "m").scale == 2
    assert command.misr("import", tmp_path / "v.npz", "-o", tmp_path / "m", "-s", 3, "-y") == 0
    assert zoo.card(tmp_path / "m").scale == 3
    assert "its licence is not known" in capsys.readouterr().out


def test_the_wrong_net_or_scale_is_told(tmp_path):
    espcn_pth(tmp_path / "e.pth")
    with pytest.raises(ModelError, match="are of espcn, not of vdsr"):
        import_model(tmp_path / "e.pth", tmp_path / "m", net="vdsr")
    with pytest.raises(ModelError, match="not by 2"):
        import_model(tmp_path / "e.pth", tmp_path / "m", scale=2)
    with pytest.raises(InputError, match="--net what: there is"):
        import_model(tmp_path / "e.pth", tmp_path / "m", net="what")


def test_the_card_says_where_weights_are_from_and_models_lists_it(tmp_path, capsys):
    vdsr_npz(tmp_path / "v.npz")
    assert command.misr("import", tmp_path / "v.npz", "-o", tmp_path / "m", "-s", 2) == 0
    told = json.loads((tmp_path / "m" / "card.json").read_text())
    assert (told["licence"], told["trained_on"], told["name"]) == ("unknown", "unknown", "m")
    assert "v.npz (sha256 " in told["note"]
    capsys.readouterr()
    assert command.misr("models", tmp_path / "m") == 0
    assert "vdsr" in capsys.readouterr().out
