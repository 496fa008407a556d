"""The shipped models are whole, and models/README.md is what their cards say."""

import hashlib
from pathlib import Path

import pytest

from misr import zoo
from misr.cli import models
from misr.errors import ModelError

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = [name for name in zoo.names() if name not in zoo.KERNELS]
BURSTS = [name for name in SHIPPED if zoo.fuses(zoo.card(name))]
CLIPS = [name for name in SHIPPED if name not in BURSTS]


def test_models_readme_is_generated():
    said = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    assert said == models.readme(), "a card changed: misr models --markdown > models/README.md"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_whole(name):
    folder = zoo.find(name)
    card = zoo.card(name)
    assert card.name == folder.name == name
    assert hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest() == card.sha256
    assert card.recipe
    assert card.trained_on
    assert card.licence == "Apache-2.0"
    net, _ = zoo.build(name)
    assert zoo.parameters(net) > 0


@pytest.mark.parametrize("name", CLIPS)
def test_a_shipped_model_is_better_than_bicubic(name):
    card = zoo.card(name)
    for k, folder in enumerate(models.SETS):
        plain_db = float(models.BICUBIC[card.scale][k].split(" / ")[0])
        assert card.scores[f"{folder}_y_psnr_db"] > plain_db


@pytest.mark.parametrize("name", BURSTS)
def test_a_shipped_model_of_bursts_is_better_than_what_learns_nothing(name):
    card = zoo.card(name)
    for k, noise in enumerate(models.NOISES):
        for plain in models.PLAIN_BURSTS[card.scale].values():
            assert card.scores[f"bursts_{noise}_psnr_db"] > float(plain[k])


def test_the_list_names_every_model_beside_bicubic(capsys):
    models.models()
    lines = capsys.readouterr().out.splitlines()
    first = [line.split("  ")[0] for line in lines]
    assert set(SHIPPED) <= set(first)
    assert "bicubic x2" in first


def test_the_list_names_every_net_that_models_are_made_of(capsys):
    models.models(None, markdown=False)
    said = capsys.readouterr().out.split("misr train --net NAME")[1].split()
    assert set(said) >= {f"{name}," for name in ("srcnn", "sparse", "swinir", "dbpn", "hourglass", "gru")}


def test_a_name_shows_the_whole_card(capsys):
    models.models("bicubic")
    assert "interpolate" in capsys.readouterr().out
    models.models(SHIPPED[0])
    out = capsys.readouterr().out
    card = zoo.card(SHIPPED[0])
    for text in (card.sha256, card.recipe, card.trained_on, *card.scores):
        assert text in out


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(ModelError, match=SHIPPED[0]):
        models.models("no-such-model")
