"""The table of the classics: what papers say of them is told once, and whole; what is measured is measured as elsewhere."""

import json
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
import torch

from misr import Measure, evaluate_models
from misr.card import ModelCard
from misr.nets import NETS
from misr.nets.single import Single
from misr.train import export
from tests import media
from tests.small_nets import SMALL

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "classics.md").read_text(encoding="utf-8")
PERCEPTUAL = {"srgan", "johnson"}  # which give PSNR away

pytestmark = pytest.mark.usefixtures("one_thread")


def loaded(name):
    """A script as a module."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        loader = SourceFileLoader(Path(name).stem, str(ROOT / "scripts" / name))
        module = module_from_spec(spec_from_loader(loader.name, loader))
        sys.modules[loader.name] = module  # dataclasses look there
        loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


published, classics = loaded("published.py"), loaded("classics")


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def rows(text):
    """The rows of a markdown text's tables."""
    return [cells(line) for line in text.splitlines() if line.startswith("|") and "---" not in line]


# what is said of papers


def test_every_net_of_one_view_has_its_paper_and_its_line_on_the_page():
    nets = {name for name, net in NETS.items() if issubclass(net, Single)} | {"fast"}
    assert nets - set(published.PAPERS) == set()
    told = {row[0].strip("`") for row in rows(PAGE.partition("## Train one")[0])}
    assert nets - told == set() and told - {"--net"} <= set(published.PAPERS)


def test_claims_are_of_methods_that_are_there_and_say_where_else_they_were_seen():
    for it in published.claims():
        assert it.method.partition("-")[0] in published.PAPERS
        assert set(it.seen) <= set(published.PLACES)
    known = [(it.method, it.scale) for it in published.claims()]
    assert len(known) == len(set(known))
    assert {it.method for it in published.claims() if not it.seen} == {"johnson"}  # the page says what is marked


def test_no_claim_has_a_slip():
    """A method loses less at a smaller scale; who is after PSNR is above bicubic, and nobody far above all others."""
    for it in published.claims():
        plain = published.claim("bicubic", it.scale)
        smaller = [other for other in published.claims() if other.method == it.method and other.scale < it.scale]
        for name, (psnr, ssim) in it.scores.items():
            if psnr is None:
                continue
            low, low_ssim = plain.scores[name]
            if it.method not in PERCEPTUAL:
                assert low <= psnr <= low + (6.1 if name == "Urban100" else 4.5)
            assert ssim is None or (it.method in PERCEPTUAL or low_ssim <= ssim) and ssim < low_ssim + 0.16
            for other in smaller:
                higher = other.scores[name]
                assert higher[0] is None or higher[0] > psnr + 0.9 and (ssim is None or higher[1] > ssim)


def test_what_papers_say_stands_on_the_page():
    told = rows(PAGE.partition(classics.BEGIN)[2])
    for it in published.claims():
        scores = [classics.cell(it.scores[name], "-") for name in published.SETS]
        assert any(row[0] == it.method.partition("-")[0] and row[2:] == [f"x{it.scale}", *scores] for row in told), it


# what is measured


@pytest.fixture
def data(tmp_path):
    """Two pictures as Set5, and one model of misr's own."""
    (tmp_path / "test" / "Set5").mkdir(parents=True)
    for n in range(2):
        media.picture(tmp_path / "test" / "Set5", "png", name=f"photo{n}", n=n, size=(64, 48))
    torch.manual_seed(0)
    net = NETS["fsrcnn"](scale=2, **SMALL["fsrcnn"][1])
    card = ModelCard("fsrcnn-x2", "fsrcnn", 2, options=SMALL["fsrcnn"][1], halo=net.halo)
    export.export(net, card, tmp_path / "models" / "fsrcnn-x2")
    return tmp_path


def call(monkeypatch, *argv):
    monkeypatch.setattr(sys, "argv", ["classics", *map(str, argv)])
    classics.main()


def test_a_row_is_what_misr_eval_says_and_is_not_measured_twice(data, monkeypatch, capsys):
    usual = [data, "--models", data / "models", "--only", "fsrcnn", "--cache", data / "kept.json", "--no-time"]
    call(monkeypatch, *usual, "--json", data / "told.json")
    told = rows(first := capsys.readouterr().out)
    model = str(data / "models" / "fsrcnn-x2")
    mean = evaluate_models([model], [data / "test" / "Set5"], Measure(scale=2), precision="fp32").rows[-1].mean
    wanted = f"{mean['psnr_db']:.2f} / {mean['ssim']:.4f}"
    assert ["fsrcnn", "ours, `fsrcnn-x2`", "x2", wanted, *["not at hand"] * 3] in told
    assert ["fsrcnn", "no weights", "x4", *["-"] * 4] in told
    assert ["fsrcnn", "paper", "x2", "37.00 / 0.9558", "32.63 / 0.9088", "31.53 / 0.8920", "29.88 / 0.9020"] in told
    parameters = sum(p.numel() for p in NETS["fsrcnn"](scale=2, **SMALL["fsrcnn"][1]).parameters())
    assert ["x2", f"{parameters:,}"] in [row[2:4] for row in told]
    quality = json.loads((data / "told.json").read_text())["quality"]
    assert [row["whose"] for row in quality if row["scale"] == 2] == ["ours", "paper"]
    monkeypatch.setattr(classics, "evaluate_models", lambda *a, **k: pytest.fail("it is in the cache"))
    call(monkeypatch, *usual)
    assert capsys.readouterr().out == first


def test_a_stopped_table_goes_on_with_what_is_missing(data, monkeypatch, capsys):
    (data / "test" / "Set14").mkdir()
    media.picture(data / "test" / "Set14", "png", name="photo", n=3, size=(64, 48))
    usual = [data, "--models", data / "models", "--only", "fsrcnn", "--cache", data / "kept.json", "--no-time"]
    asked = []

    def stopping(models, sets, *rest, **more):
        asked.append(sets[0].name)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return evaluate_models(models, sets, *rest, **more)

    monkeypatch.setattr(classics, "evaluate_models", stopping)
    with pytest.raises(KeyboardInterrupt):
        call(monkeypatch, *usual)
    call(monkeypatch, *usual)
    assert asked == ["Set5", "Set14", "Set14"]


def test_times_are_taken_of_every_method_and_again_only_when_asked(data, monkeypatch, capsys):
    taken = []
    monkeypatch.setattr(classics, "seconds", lambda net, card, macs: float(taken.append(card.scale) or len(taken)))
    usual = [data, "--models", data / "models", "--only", "fsrcnn", "--cache", data / "kept.json"]
    for more in ([], [], ["--time"]):
        call(monkeypatch, *usual, *more)
    assert taken == [2, 4, 2, 4]
    out = capsys.readouterr().out
    assert [row[5] for row in rows(out) if row[1].startswith("Dong")] == list("121234")
    assert out.count("Times: 1 thread, torch ") == 3
    monkeypatch.setattr(classics, "USUAL", (2, 3, 4))  # a method more: all again, as all are of one run
    call(monkeypatch, *usual)
    assert taken == [2, 4, 2, 4, 2, 3, 4]


def test_a_heavy_net_is_timed_on_a_smaller_picture():
    for macs in (1e4, 1e6, 1e8):
        frame = classics.picture(macs, 2)
        assert macs * frame.width * frame.height <= classics.MOST or (frame.height, frame.width) == (16, 16)
        assert frame.width <= 640 and frame.height <= 360
    assert classics.picture(1e4, 2).width == 640
    net = NETS["espcn"](scale=2, **SMALL["espcn"][1]).eval()
    assert 0 < classics.seconds(net, ModelCard("x", "espcn", 2, halo=net.halo), 1e8) < 60


def test_a_net_counts_as_many_multiply_accumulates_as_papers_have():
    net = NETS["vdsr"](scale=2, bias=False)
    per_pixel = classics.zoo.macs_per_pixel(net, ModelCard("x", "vdsr", 2, halo=net.halo))
    assert per_pixel * 640 * 360 / 1e9 == pytest.approx(612.6, abs=0.1)


# what is written


def test_the_tables_replace_the_former_ones_between_the_marks(tmp_path, monkeypatch):
    monkeypatch.setattr(classics, "PAGE", tmp_path / "page.md")
    (tmp_path / "page.md").write_text(f"a\n{classics.BEGIN}\nold\n{classics.END}\nb\n")
    classics.write("new\n")
    classics.write("newer\n")
    assert (tmp_path / "page.md").read_text() == f"a\n{classics.BEGIN}\n\nnewer\n\n{classics.END}\nb\n"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--only", "gone"], "a name of bicubic, sparse"),
        (["--only", "srcnn", "--write"], "not with --write"),
        (["--time", "--no-time"], "contradict"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(data, monkeypatch, more, said):
    with pytest.raises(SystemExit, match=said):
        call(monkeypatch, data, *more)
    with pytest.raises(SystemExit, match=r"has no test/Set5"):
        call(monkeypatch, data / "models")
