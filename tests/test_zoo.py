"""A model is what its card says it is, or it is refused by name."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from misr.card import ModelCard
from misr.errors import ModelError
from misr.nets import NETS
from misr.zoo import BEST, KERNELS, build, card, choose, find, macs_per_pixel, names, parameters, shelf

SHIPPED = [n for n in names() if n not in KERNELS]


@pytest.fixture
def copy(tmp_path):
    """A model directory of one's own, to spoil."""
    return shutil.copytree(shelf() / BEST[2], tmp_path / "mine")


def rewrite(directory, **changes):
    raw = json.loads((directory / "card.json").read_text())
    (directory / "card.json").write_text(json.dumps({**raw, **changes}))


def test_models_are_shipped_for_two_and_four():
    assert set(BEST.values()) <= set(SHIPPED)
    for scale, name in BEST.items():
        assert card(name).scale == scale


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_what_its_card_says(name):
    net, it = build(name)
    assert (it.name, it.sha256 != "") == (name, True)
    assert isinstance(net, NETS[it.net])
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in net.parameters())
    assert it.halo >= net.halo
    assert it.multiple % (getattr(net, "cell", 0) or 1) == 0
    size = 8 * it.multiple
    views = torch.rand(1, it.before + it.emit + it.after, it.channels, size, size)
    with torch.inference_mode():
        out = net(views, torch.ones(*views.shape[:2], 1, 1, 1), range(it.before, it.before + it.emit))
    assert out.shape == (1, it.emit, it.channels, size * it.scale, size * it.scale)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_card_tells_where_it_came_from(name):
    it = card(name)
    assert it.licence
    assert it.source
    assert it.recipe
    assert it.trained_on
    assert it.scores
    assert "fp32" in it.precisions


def test_shipped_models_are_small():
    assert sum(p.stat().st_size for p in shelf().rglob("*") if p.is_file()) <= 20 << 20


@pytest.mark.parametrize("kernel", KERNELS)
def test_plain_kernels_need_no_files_and_take_any_scale(kernel):
    for scale in (None, 1, 1.5, 3):
        net, it = build(kernel, scale=scale)
        assert (it.name, it.scale, it.sha256, parameters(net)) == (kernel, scale or 2, "", 0)
        assert it.halo >= net.halo


@pytest.mark.parametrize("asked", ["fast-x3", "", "no/such/place", "../models"])
def test_an_unknown_model_is_refused_with_the_names_there_are(asked):
    with pytest.raises(ModelError) as caught:
        build(asked)
    assert repr(asked) in str(caught.value)
    for name in names():
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("scale", "expected"), [(None, 2), (2, 2), (4, 4), (1, 2), (1.5, 2), (3, 4), (2.01, 4), (8, 4)]
)
def test_the_smallest_model_that_reaches_a_scale_is_chosen(scale, expected):
    assert choose(scale)[0] == BEST[expected]


def test_a_model_is_found_by_name_by_directory_and_by_card(copy):
    assert find(BEST[2]) == shelf() / BEST[2]
    assert find(copy) == find(copy / "card.json") == find(str(copy)) == copy
    ours, it = build(copy)
    theirs, _ = build(BEST[2])
    assert it == card(BEST[2])
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_tampered_weights_are_refused(copy):
    weights = bytearray((copy / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "weights.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match="sha256 differs"):
        build(copy)


def test_missing_weights_are_refused_with_their_path(copy):
    (copy / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"weights\.safetensors is missing"):
        build(copy)


def test_weights_of_another_net_are_refused(copy):
    rewrite(copy, options={**card(copy).options, "width": 32})
    with pytest.raises(ModelError, match="weights do not fit net fast"):
        build(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"net": "warp9"}, "warp9.*not one of.*fast"),
        ({"options": {"wideness": 16}}, "options.*wideness.*do not fit"),
        ({"colour": "blue"}, "unknown colour"),
    ],
)
def test_a_card_that_cannot_be_followed_is_refused(copy, changes, message):
    rewrite(copy, **changes)
    with pytest.raises(ModelError, match=message):
        build(copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not a readable model card"), ("[1]", "JSON object"), ('{"name": "x", "net": "fast"}', "lacks scale")],
)
def test_a_card_that_is_none_is_refused(copy, text, message):
    (copy / "card.json").write_text(text)
    with pytest.raises(ModelError, match=message):
        card(copy)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_card_is_read_as_it_was_written(name, tmp_path):
    it = replace(card(name), note="naïve × 2")
    it.write(tmp_path / "card.json")
    assert ModelCard.read(tmp_path / "card.json") == it


def test_a_compressed_source_gets_the_robust_variant_where_there_is_one():
    assert choose(2, compressed=True)[0] == "fast-robust-x2" != choose(2)[0]
    assert choose(4, compressed=True)[0] == choose(4)[0]
    assert choose(None, compressed=True) == choose(2, compressed=True)


def test_moving_pictures_get_the_video_net_where_the_device_is_quick_enough():
    name, why = choose(4, moving=True, device="cuda")
    assert name == "video-x4"
    assert "cuda" in why
    assert choose(4, moving=False, device="cuda")[0] == "fast-x4"


def test_on_a_cpu_the_quick_net_is_chosen_and_the_better_one_is_named():
    name, why = choose(4, moving=True, device="cpu")
    assert name == "fast-x4"
    assert "-m video-x4" in why


def test_a_compressed_source_does_not_get_a_net_that_learned_from_clean_views():
    name, why = choose(4, compressed=True, moving=True, device="cuda")
    assert name == "fast-x4"
    assert "compressed" in why


@pytest.mark.parametrize(
    ("net", "options", "each"),
    [  # weights by the times that each is used for an LR pixel; the bicubic of the first has 25 taps for an HR pixel
        ("srcnn", {}, 9 * (8032 + 25)),
        ("fsrcnn", {}, 12464),
        ("espcn", {}, 22624),
    ],
)
def test_multiply_accumulates_are_those_of_the_papers(net, options, each):
    it = ModelCard(name="x", net=net, scale=3, options=options)
    assert macs_per_pixel(NETS[net](scale=3, **options), it) == each


def test_a_window_costs_each_of_its_pictures_a_share():
    it = ModelCard(name="x", net="interpolate", scale=2, before=1, emit=3, after=1, channels=3)
    assert macs_per_pixel(NETS["interpolate"](scale=2), it) == 3 * 4 * 25
