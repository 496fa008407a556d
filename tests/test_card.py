import json
from dataclasses import replace

import pytest

from misr.card import ModelCard
from misr.errors import ModelError

CARD = ModelCard(
    "test-x2",
    "fast",
    2,
    {"width": 16},
    before=1,
    emit=4,
    after=2,
    multiple=2,
    halo=14,
    precisions=("fp32", "bf16"),
    light=True,
    note="größer",
    scores={"set5_psnr_db": 37.0},
)


def test_a_card_comes_back_as_it_was_written(tmp_path):
    CARD.write(tmp_path / "card.json")
    assert ModelCard.read(tmp_path / "card.json") == CARD


def test_writing_a_card_twice_gives_the_same_bytes(tmp_path):
    CARD.write(tmp_path / "a")
    ModelCard.read(tmp_path / "a").write(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_shortest_card_describes_a_single_image_model(tmp_path):
    path = tmp_path / "card.json"
    path.write_text(json.dumps({"name": "bicubic", "net": "interpolate", "scale": 2}))
    card = ModelCard.read(path)
    assert (card.before, card.emit, card.after, card.channels) == (0, 1, 0, 1)
    assert card.precisions == ("fp32",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a readable model card"),
        ("[1]", "JSON object"),
        ('{"name": "a", "net": "fast"}', "lacks scale"),
        ('{"name": "a", "net": "fast", "scale": 2, "colour": 1}', "unknown colour"),
    ],
)
def test_a_wrong_card_is_refused_with_its_path_and_fault(tmp_path, text, said):
    path = tmp_path / "card.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=said) as e:
        ModelCard.read(path)
    assert str(path) in str(e.value)


def test_a_missing_card_is_a_model_error(tmp_path):
    with pytest.raises(ModelError, match=r"card\.json"):
        ModelCard.read(tmp_path / "card.json")


def test_cards_do_not_share_their_dictionaries():
    one, other = ModelCard("a", "fast", 2), ModelCard("b", "fast", 2)
    assert one.options is not other.options
    assert replace(one, name="b") == other
