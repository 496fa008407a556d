"""A model that travels is the same net wherever it arrives, or it is refused."""

import pickle
import shutil
from dataclasses import replace

import pytest
import torch

from misr import zoo
from misr.errors import ModelError, WorkerError
from misr.spread.model import Model

pytestmark = pytest.mark.usefixtures("one_thread")


def sent(model: Model) -> Model:
    return pickle.loads(pickle.dumps(model))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize(("name", "scale"), [("fast-x2", None), ("bicubic", 3), ("map", 2), ("burst-x2", 2)])
def test_what_arrives_is_what_was_sent(name, scale):
    net, card = sent(Model.of(name, scale)).build()
    there, its = zoo.build(name, scale=scale)
    assert card == its
    assert type(net) is type(there)
    assert not net.training
    assert same(net, there)


def test_a_shipped_model_goes_by_name_and_ones_own_with_its_weights(tmp_path, monkeypatch):
    mine = shutil.copytree(zoo.find("fast-x2"), tmp_path / "mine")
    weights = (mine / "weights.safetensors").read_bytes()
    by_name, whole = (pickle.dumps(Model.of(m)) for m in ("fast-x2", mine))
    assert len(by_name) < 10_000
    assert weights in whole
    shutil.rmtree(mine)
    monkeypatch.chdir(tmp_path)  # a worker's folder may hold anything
    (tmp_path / "fast-x2").mkdir()
    (tmp_path / "fast-x2" / "card.json").write_text("{}")
    net, _ = pickle.loads(whole).build()
    assert same(net, pickle.loads(by_name).build()[0])


def test_the_shelf_by_its_path_is_the_shelf():
    assert Model.of(zoo.find("fast-x2")) == Model.of("fast-x2")


def test_another_misr_is_refused_with_both_versions():
    with pytest.raises(WorkerError, match=r"0\.0\.7.*same misr"):
        replace(Model.of("bicubic"), misr="0.0.7", host="far").build()


def test_a_shelf_with_other_weights_is_refused_with_both_machines(tmp_path, monkeypatch):
    model = replace(Model.of("fast-x2"), host="far")
    shutil.copytree(zoo.find("fsrcnn-x2"), tmp_path / "fast-x2")
    monkeypatch.setattr(zoo, "shelf", lambda: tmp_path)
    with pytest.raises(WorkerError, match=r"far.*same misr"):
        model.build()
    shutil.rmtree(tmp_path / "fast-x2")
    with pytest.raises(WorkerError, match="not there"):
        model.build()


def test_weights_that_are_not_those_of_the_card_do_not_leave(tmp_path):
    mine = shutil.copytree(zoo.find("fast-x2"), tmp_path / "mine")
    stored = bytearray((mine / "weights.safetensors").read_bytes())
    stored[-1] ^= 1
    (mine / "weights.safetensors").write_bytes(stored)
    with pytest.raises(ModelError, match="sha256"):
        Model.of(mine)


def test_a_key_tells_models_apart(tmp_path):
    made = [Model.of("map", 2), Model.of("map", 3), Model.of("fast-x2"), Model.of("mean", 2)]
    assert len({m.key for m in made}) == len(made)
    assert sent(made[0]).key == made[0].key
