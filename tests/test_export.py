"""What `misr export` writes makes misr's own pictures in its own runtime, says what it is, and is there whole or not at all."""

import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import misr
from misr import zoo
from misr.exporting import check, run
from misr.nets import Fast
from tests.command import misr as command
from tests.command import one_sentence

for package in ("onnx", "onnxruntime", "openvino"):
    pytest.importorskip(package, reason='needs the extra: pip install "misr[export]"')
pytestmark = pytest.mark.usefixtures("one_thread")

CLIPS = [n for n in zoo.names() if n not in zoo.KERNELS and not zoo.fuses(zoo.card(n))]
SINGLE = [n for n in CLIPS if zoo.card(n).before == 0]
WINDOW = [n for n in CLIPS if n not in SINGLE]
Make = Callable[..., misr.Exported]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Make:
    """made(model, suffix, **options): the export, once for all tests."""
    folder = tmp_path_factory.mktemp("exports")

    @cache
    def make(model: str, suffix: str, **options: Any) -> misr.Exported:
        name = "-".join([model, *(f"{k}{v}" for k, v in options.items())])
        return misr.export(model, folder / f"{name}{suffix}", **options)

    return make


def runtime(done: misr.Exported) -> check.Run:
    """The file as its runtime loads it."""
    path = done.files[0]
    if done.format == "torchscript":
        return check.in_torch(path.read_bytes())
    return check.in_onnxruntime(path.read_bytes()) if done.format == "onnx" else check.in_openvino(path)


def pictures(n: int, h: int, w: int, *, c: int = 1, seed: int = 1) -> Tensor:
    """Detailed pictures (n, c, h, w) in [0, 1]."""
    dice = torch.Generator().manual_seed(seed)
    low = torch.rand(n, c, h // 4 + 2, w // 4 + 2, generator=dice)
    x = torch.nn.functional.interpolate(low, size=(h, w), mode="bicubic") * 0.8 + 0.1
    return (x + 0.05 * torch.rand(x.shape, generator=dice)).clamp(0, 1)


def upscaled(model: str, luma: Tensor, scale: float | None = None) -> np.ndarray:
    """misr's own pictures of lumas (n, 1, h, w)."""
    up = misr.load(model, scale=scale, device="cpu", precision="fp32")
    return torch.cat(up([misr.Window(x[None], torch.ones(1, 1, 1, 1), range(1)) for x in luma])).numpy()


# the same pictures


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
@pytest.mark.parametrize("model", SINGLE)
@pytest.mark.parametrize("size", [(1, 31, 45), (3, 24, 16), (1, 4, 5)])
def test_a_model_of_one_view_makes_misrs_pictures_at_any_size(made, model, suffix, size):
    luma = pictures(*size)
    got = runtime(made(model, suffix))({"luma": luma.numpy()})
    assert np.abs(got - upscaled(model, luma)).max() < 1e-5


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
@pytest.mark.parametrize("model", WINDOW)
def test_a_model_of_windows_makes_misrs_pictures(made, model, suffix):
    card = zoo.card(model)
    t, h, w = card.before + card.emit + card.after, 37, 42
    wide = pictures(1, h, w + t, seed=5)[0]
    views = torch.stack([wide[..., k : k + w] for k in range(t)])
    valid = torch.ones(t)
    valid[:3] = 0
    up = misr.load(model, device="cpu", precision="fp32")
    (want,) = up([misr.Window(views, valid[:, None, None, None], range(card.before, t - card.after))])
    got = runtime(made(model, suffix))({"views": views[None].numpy(), "valid": valid[None].numpy()})
    assert got.shape == (1, card.emit, 1, h * card.scale, w * card.scale)
    assert np.abs(got[0] - want.numpy()).max() < 1e-4


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("kernel", zoo.KERNELS)
@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".pt"])
def test_plain_kernels_are_exported_too(made, kernel, scale, suffix):
    luma = pictures(1, 9, 14)
    given = {"rgb": luma.expand(-1, 3, -1, -1).numpy()} if suffix == ".pt" else {"luma": luma.numpy()}
    got = runtime(made(kernel, suffix, scale=scale))(given)
    assert np.abs(got - upscaled(kernel, luma, scale)).max() < 2e-6


def test_an_integrator_with_the_files_own_words_gets_the_clip_that_misr_makes(made):
    """40 frames with a cut at 21: windows at multiples of emit, valid = 0 beyond cuts and ends, nothing else known."""
    frames = [*pictures(1, 32, 40 + 60, seed=2)[0, 0].unfold(1, 40, 2).movedim(1, 0)[:21], *pictures(19, 32, 40)[:, 0]]
    frames = [(f * 255).round() / 255 for f in frames]
    done = made("video-x2", ".onnx")
    before, emit, after = (int(done.told[k]) for k in ("before", "emit", "after"))
    net, found = runtime(done), {}
    for first, last in ((0, 20), (21, 39)):
        for start in range(first // emit * emit, last + 1, emit):
            numbers = range(start - before, start + emit + after)
            real = [first <= n <= last for n in numbers]
            views = torch.stack(
                [frames[n] if r else torch.full((32, 40), 0.5) for n, r in zip(numbers, real, strict=True)]
            )
            out = net({"views": views[None, :, None].numpy(), "valid": np.array([real], np.float32)})
            found |= {n: p[0] for n, p in enumerate(out[0], start) if first <= n <= last}
    up = misr.load("video-x2", device="cpu", precision="fp32")
    session, gray = up.session(), misr.Color("gray", range=2)
    sharp = []
    for n, f in enumerate(frames):
        plane = (f * 255).round().to(torch.uint8).numpy()
        sharp += session.push(misr.Frame((plane,), gray, Fraction(n), Fraction(1)), cut=n == 21)
    sharp += session.flush()
    assert sorted(found) == list(range(40))
    for n, frame in enumerate(sharp):
        codes = np.clip(found[n] * 255 + 0.5, 0, 255).astype(np.uint8)
        assert np.abs(codes.astype(int) - frame.planes[0]).max() <= 1, n


def test_padding_to_cells_is_inside():
    card = misr.ModelCard("cells", "fast", 2, {"cell": 2}, multiple=2, halo=14)
    net = Fast(scale=2, cell=2)
    up = misr.Upscaler((net, card), device="cpu", precision="fp32")
    form = run.form(net.eval(), card, rgb=False)
    x = pictures(1, 11, 13)
    with torch.no_grad():
        assert torch.allclose(form(x), up([misr.Window(x, torch.ones(1, 1, 1, 1), range(1))])[0], atol=1e-6)


@pytest.mark.parametrize("suffix", [".onnx", ".pt"])
def test_grey_stays_grey_through_rgb(made, suffix):
    luma = pictures(1, 20, 26)
    got = runtime(made("fast-x2", suffix, rgb=True))({"rgb": luma.expand(-1, 3, -1, -1).numpy()})
    assert np.abs(got - upscaled("fast-x2", luma)).max() < 2e-6


def test_windows_of_rgb_come_out_in_misrs_colours(made):
    done = made("video-x2", ".onnx", rgb=True)
    assert done.inputs["views"] == ("n", 20, 3, "h", "w")
    assert done.outputs["sharp"] == ("n", 16, 3, "H", "W")
    assert done.error < 1e-4  # against misr's own colour conversion


LOADED = """
import sys, numpy as np, torch
torch.set_num_threads(1)
net = torch.jit.load(sys.argv[1])
with torch.no_grad():
    outs = [net(torch.from_numpy(x)) for x in np.load(sys.argv[2]).values()]
assert all(o.is_contiguous() and o.dtype == torch.float32 for o in outs)
assert "misr" not in sys.modules
np.savez(sys.argv[3], *[o.numpy() for o in outs])
"""


def test_torchscript_needs_no_misr_and_gives_what_misr_upscale_gives_for_rgb(made, tmp_path):
    codes = [(pictures(1, h, w, c=3, seed=h) * 255).round().to(torch.uint8) for h, w in ((23, 38), (48, 64))]
    np.savez(tmp_path / "in.npz", *[(x.float() / 255).numpy() for x in codes])  # as FFmpeg gives rgb24
    files = [str(made("fast-x2", ".pt").files[0]), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    done = subprocess.run([sys.executable, "-I", "-c", LOADED, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    up = misr.load("fast-x2", device="cpu", precision="fp32")
    for x, got in zip(codes, np.load(tmp_path / "out.npz").values(), strict=True):
        frame = misr.Frame(tuple(x[0].numpy()), misr.Color("rgb", matrix=1), Fraction(0), Fraction(1))
        session = up.session()
        (want,) = [*session.push(frame), *session.flush()]
        ours = np.clip(got[0] * 255 + 0.5, 0, 255).astype(np.uint8)
        assert np.abs(ours.astype(int) - np.stack(want.planes)).max() <= 1


# what a file says


def test_files_say_what_they_are(made):
    import onnx
    import openvino

    video = made("video-x2", ".onnx")
    told = {p.key: p.value for p in onnx.load(video.files[0]).metadata_props}
    assert told == video.told
    assert (told["name"], told["scale"], told["before"], told["emit"]) == ("video-x2", "2", "4", "16")
    card = zoo.card("fast-x2")
    ir = openvino.Core().read_model(made("fast-x2", ".xml").files[0])
    assert ir.get_rt_info(["misr", "licence"]).value == card.licence
    assert ir.get_rt_info(["misr", "sha256"]).value == card.sha256
    extra = {"misr.json": ""}
    torch.jit.load(made("fast-x2", ".pt").files[0], _extra_files=extra)
    assert json.loads(extra["misr.json"])["matrix"].startswith("BT.709")


@pytest.mark.parametrize("model", ["fast-x2", "video-x2"])
def test_tensors_are_as_they_are_told(made, model):
    import onnx

    graph = onnx.load(made(model, ".onnx").files[0]).graph
    done = made(model, ".onnx")
    for tensors, told in ((graph.input, done.inputs), (graph.output, done.outputs)):
        dims = {t.name: tuple(d.dim_param or d.dim_value for d in t.type.tensor_type.shape.dim) for t in tensors}
        assert dims == told


def test_no_path_of_this_machine_is_in_a_file(made):
    for done in (made("video-x2", ".onnx"), made("fast-x2", ".onnx"), made("fast-x2", ".xml")):
        assert str(zoo.shelf()).encode() not in done.files[0].read_bytes()


def test_fp16_halves_the_weights(made):
    sizes = [made("fast-x2", ".xml", **o).files[1].stat().st_size for o in ({}, {"fp16": True})]
    assert sizes[1] < 0.6 * sizes[0]
    assert made("fast-x2", ".xml", fp16=True).error < run.AGREES_FP16


def test_a_model_that_does_not_bear_fp16_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "AGREES_FP16", 1e-6)  # video-x2 is 1e-2 off; fast-x2 stands in, as it is quicker
    with pytest.raises(misr.OutputError, match="leave --fp16 out"):
        misr.export("fast-x2", tmp_path / "x.xml", fp16=True)
    assert list(tmp_path.iterdir()) == []


def test_an_export_leaves_the_net_and_misrs_pixels_as_they_were(made, tmp_path):
    up = misr.load("fast-x2", device="cpu", precision="fp32")
    x = misr.Window(pictures(1, 20, 30), torch.ones(1, 1, 1, 1), range(1))
    before = up([x])[0]
    strides = [p.stride() for p in up.net.parameters()]
    misr.export((up.net, up.card), tmp_path / "x.pt")
    assert torch.equal(up([x])[0], before)
    assert [p.stride() for p in up.net.parameters()] == strides


# refusals, and nothing half written


@pytest.mark.parametrize(
    ("model", "name", "options", "error", "said"),
    [
        ("burst-x2", "x.onnx", {}, misr.ModelError, "misr fuse"),
        ("video-x2", "x.pt", {}, misr.ModelError, "fast-x2"),
        ("bicubic", "x.onnx", {"scale": 1.5}, misr.ModelError, "whole"),
        ("bicubic", "x.onnx", {"scale": 1}, misr.ModelError, "whole"),
        ("fast-x2", "x.onnx", {"scale": 3}, misr.InputError, "x2"),
        ("fast-x2", "x.foo", {}, misr.InputError, ".onnx"),
        ("fast-x2", "x.bin", {"format": "openvino"}, misr.InputError, ".xml"),
        ("fast-x2", "x.onnx", {"opset": 12}, misr.InputError, "16 to 20"),
        ("fast-x2", "x.onnx", {"fp16": True}, misr.InputError, "OpenVINO"),
        ("fast-x2", "none/x.onnx", {}, misr.OutputError, "folder"),
        ("no-such-model", "x.onnx", {}, misr.ModelError, "fast-x2"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_no_file(tmp_path, model, name, options, error, said):
    with pytest.raises(error, match=said) as e:
        misr.export(model, tmp_path / name, **options)
    assert "\n" not in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_its_cure(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    with pytest.raises(misr.InputError, match=r'onnx and openvino; pip install "misr\[export\]"'):
        misr.export("fast-x2", tmp_path / "x.xml")
    misr.export("fast-x2", tmp_path / "x.pt")  # TorchScript needs nothing


def worse(*_: Any) -> check.Run:
    """A runtime whose pictures are a little off."""
    return lambda given: np.repeat(np.repeat(given["luma"], 2, -1), 2, -2) + np.float32(0.5)


def broken(*_: Any) -> check.Run:
    """A runtime that fails."""

    def run(given: dict[str, np.ndarray]) -> np.ndarray:
        raise RuntimeError("no kernel for this\nand a long story")

    return run


def unloadable(*_: Any) -> check.Run:
    """A runtime too old for the file."""
    raise ValueError("opset 17 is not known")


@pytest.mark.parametrize(("suffix", "place"), [(".onnx", "in_onnxruntime"), (".xml", "in_openvino")])
@pytest.mark.parametrize(
    ("runtime", "said"), [(worse, "off misr's"), (broken, "no kernel for this"), (unloadable, "not known")]
)
def test_a_file_its_runtime_disagrees_with_is_not_left_and_the_old_one_stays(
    tmp_path, monkeypatch, suffix, place, runtime, said
):
    old = {tmp_path / f"x{s}": s.encode() for s in {suffix, ".bin"}}
    for path, text in old.items():
        path.write_bytes(text)
    monkeypatch.setattr(check, place, runtime)
    with pytest.raises(misr.OutputError, match=said) as e:
        misr.export("fast-x2", tmp_path / f"x{suffix}", overwrite=True)
    assert "\n" not in str(e.value)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == old


def test_an_existing_file_is_kept_unless_told(tmp_path):
    path = tmp_path / "x.pt"
    path.write_text("mine")
    with pytest.raises(misr.OutputError, match="-y"):
        misr.export("fast-x2", path)
    assert path.read_text() == "mine"
    assert runtime(misr.export("fast-x2", path, overwrite=True))


def test_the_check_sees_wrong_pixels_wrong_shapes_and_no_numbers():
    up = misr.load("bicubic", device="cpu", precision="fp32")

    def right(given: dict[str, np.ndarray]) -> np.ndarray:
        return upscaled("bicubic", torch.from_numpy(given["luma"]))

    assert check.worst(lambda: right, up, rgb=False, window=False) < 1e-6
    assert check.worst(lambda: lambda g: right(g) + np.float32(0.01), up, rgb=False, window=False) > 0.009
    for bad in (lambda g: right(g)[..., 1:], lambda g: right(g) * np.float32("nan")):
        with pytest.raises(misr.OutputError):
            check.worst(lambda bad=bad: bad, up, rgb=False, window=False)


def test_the_command_writes_and_says_what(tmp_path, capsys):
    assert command("export", "fast-x2", tmp_path / "x.onnx", "--rgb") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "rgb (n, 3, h, w)" in err
    assert (tmp_path / "x.onnx").stat().st_size > 10_000


@pytest.mark.parametrize(
    "args", [("fast-x2", "x.foo"), ("burst-x3", "x.onnx"), ("video-x4", "x.pt"), ("bicubic", "x.onnx", "-s", "0.5")]
)
def test_the_command_refuses_in_one_sentence(tmp_path, capsys, args):
    model, name, *more = args
    assert command("export", model, tmp_path / name, *more) == 1
    assert one_sentence(capsys.readouterr().err)
