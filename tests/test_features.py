"""Nets that terms of a loss ask: VGG19 is torchvision's, or refused; the one of our own learns, and is kept."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from misr.errors import InputError
from misr.nets.spandrel import loaded
from misr.train import features, fit
from misr.train.data import Material
from misr.train.features import MEAN, OWN_FILE, STD, VGG19, VGG19_FILE, Features, known, own, vgg19
from misr.train.loop import Run
from tests import media
from tests.small_nets import SMALL

pytestmark = pytest.mark.usefixtures("one_thread")
THIN = ((2, 2), (3, 2), (4, 4), (5, 4), (6, 4))  # VGG19 in all but its widths


@pytest.fixture
def thin(monkeypatch):
    """VGG19 so thin that files of it are small; its weights by torchvision's names, those of the classifier too."""
    monkeypatch.setattr(features, "VGG19", THIN)
    torch.manual_seed(1)
    return Features(THIN, MEAN, STD).state_dict() | {"classifier.0.weight": torch.zeros(2, 2)}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Where torchvision keeps what it downloads: nothing yet."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_layers_are_those_of_vgg19():
    wanted = [f"relu{stage}_{n}" for stage, count in enumerate((2, 2, 4, 4, 4), 1) for n in range(1, count + 1)]
    assert list(Features(THIN, MEAN, STD).layers) == wanted and wanted[-1] == "relu5_4"


def test_features_are_torchvisions_own(tmp_path, thin):
    try:
        loaded()  # declares what torchvision misses beside a torch of another build
        from torchvision.models.vgg import cfgs, make_layers
    except (ImportError, RuntimeError) as e:
        pytest.skip(f"torchvision is not here: {e}")
    sizes = [n for width, count in VGG19 for n in (*[width] * count, "M")]
    assert sizes == cfgs["E"]  # which is VGG19; what they build of such a list is compared where it is thin
    torch.manual_seed(0)
    theirs = make_layers([n for width, count in THIN for n in (*[width] * count, "M")]).eval()
    for part in theirs:
        if isinstance(part, torch.nn.Conv2d):  # so that deep layers still have something to say
            torch.nn.init.kaiming_normal_(part.weight)
            torch.nn.init.normal_(part.bias, std=0.1)
    torch.save({f"features.{k}": v for k, v in theirs.state_dict().items()}, tmp_path / "vgg19.pth")
    ours = vgg19(tmp_path / "vgg19.pth")
    plane = (16 + 219 * torch.rand(1, 1, 40, 72)) / 255
    grey = (255 * plane - 16) / 219  # black is 0 and white is 1, to torchvision
    x = (grey.expand(-1, 3, -1, -1) - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    found, stage, n = ours(plane, ours.layers), 1, 0
    with torch.no_grad():
        for part in theirs:
            x = part(x)
            if isinstance(part, torch.nn.MaxPool2d):
                stage, n = stage + 1, 0
            elif isinstance(part, torch.nn.ReLU):
                n += 1
                assert float(x.abs().max()) > 0.01
                torch.testing.assert_close(found.pop(f"relu{stage}_{n}"), x.clone(), rtol=1e-4, atol=1e-4)
    assert not found


def test_a_map_is_as_large_as_its_poolings_leave_it_and_no_deeper_layer_is_computed():
    net = Features(THIN, MEAN, STD)
    maps = net(torch.rand(1, 1, 17, 35), ("relu1_1", "relu3_4", "relu5_1"))
    assert [tuple(maps[k].shape[1:]) for k in maps] == [(2, 17, 35), (4, 4, 8), (6, 1, 2)]
    assert set(net(torch.rand(1, 1, 2, 2), ("relu2_1",))) == {"relu2_1"}  # though too small for relu3_1


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_both_kinds_of_files_are_read_and_learn_no_more(thin, tmp_path, suffix):
    path = tmp_path / f"weights.{suffix}"
    save_file(thin, path) if suffix == "safetensors" else torch.save(thin, path)
    net = known(str(path))
    assert all(torch.equal(v, thin[k]) for k, v in net.state_dict().items())
    assert not net.training and not any(p.requires_grad for p in net.parameters())


def test_torchvisions_cache_is_looked_into_and_nothing_is_fetched(thin, home):
    with pytest.raises(
        InputError, match=rf"{home / VGG19_FILE} is not there; give --features FILE .* or --features self"
    ):
        known(None)
    assert list(home.iterdir()) == []
    torch.save(thin, home / VGG19_FILE)
    assert torch.equal(known(None).features[0].weight, thin["features.0.weight"])
    assert known("self") is None


class Calls:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return (print, ("ran",))


def test_files_that_are_no_vgg19_are_refused_in_a_sentence(thin, tmp_path, capsys):
    def refused(said, name="weights.pth"):
        with pytest.raises(InputError, match=said):
            known(str(tmp_path / name))

    path = tmp_path / "weights.pth"
    refused("no such file; give the weights of VGG19, or self")
    torch.save(thin | {"more": Calls()}, path)
    refused("more than plain tensors is in it, or it is cut short; nothing in it was run")
    assert capsys.readouterr().out == ""
    torch.save({k: v for k, v in thin.items() if k != "features.34.weight"}, path)
    refused("not the weights of VGG19, as 'features.34.weight' is not in it; give torchvision's vgg19-dcbb9e9d.pth")
    torch.save(thin | {"features.0.weight": torch.zeros(1, 3, 3, 3)}, path)
    refused("cannot be read as the weights of VGG19")
    torch.save(thin | {"features.0.bias": torch.full((2,), torch.nan)}, path)
    refused("features.0.bias holds what is no number")
    torch.save([1, 2], path)
    refused("cannot be read as the weights of VGG19")
    torch.save(thin, path)
    path.write_bytes(path.read_bytes()[:300])
    refused("cannot be read as the weights of VGG19")
    path.write_text("no weights", encoding="utf-8")
    refused("cannot be read as the weights of VGG19|cut short")
    (tmp_path / "weights.safetensors").write_bytes(b"\0" * 64)
    refused("cannot be read as the weights of VGG19", "weights.safetensors")
    refused("cannot be read as the weights of VGG19", ".")


def material(seed=0, size=(96, 128)):
    """Planes with detail of all sizes."""
    rng = np.random.default_rng(seed)

    def plane():
        noise = sum(np.kron(rng.normal(0, 14, (size[0] // k, size[1] // k)), np.ones((k, k))) for k in (1, 2, 4, 8, 16))
        return (126 + noise).clip(16, 235).astype(np.uint8)

    return Material([plane() for _ in range(3)], [plane()], [], [])


def test_the_net_of_our_own_learns_to_tell_degradations_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "STEPS", 60)
    lines: list[str] = []
    own(material(), tmp_path, torch.device("cpu"), seed=0, say=lines.append)
    assert "9 kinds of degradation" in lines[0]
    right = int(lines[1].split("right on ")[1].split("%")[0])
    assert right >= 40 and "11% is chance" in lines[1]


def test_the_net_of_our_own_is_the_same_for_a_seed_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "STEPS", 2)
    nets, lines = [], []
    for name, seed in (("a", 4), ("b", 4), ("c", 5), ("a", 4)):
        (tmp_path / name).mkdir(exist_ok=True)
        state = torch.get_rng_state()
        nets.append(own(material(), tmp_path / name, torch.device("cpu"), seed=seed, say=lines.append).state_dict())
        torch.set_rng_state(state)
    same = [all(torch.equal(v, it[k]) for k, v in nets[0].items()) for it in nets]
    assert same == [True, True, False, True]
    assert len(lines) == 3 * 2  # nothing was learned for the last
    assert [p.name for p in (tmp_path / "a").iterdir()] == [OWN_FILE]


def test_layers_of_our_own_have_a_mean_square_of_one_on_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "STEPS", 2)
    net = own(material(), tmp_path, torch.device("cpu"), seed=0)
    views, kinds = features.crops(features.large(material(1).stills), 180, np.random.default_rng(1))
    for maps in net(views[kinds == 0], net.layers).values():
        assert 0.6 < float(maps.square().mean()) < 1.6


def test_every_kind_of_degradation_changes_a_plane_and_keeps_its_size():
    plane = material().stills[0][:48, :48].copy()
    made = {name: way(plane, np.random.default_rng(0)) for name, way in features.KINDS.items()}
    assert all(it.shape == plane.shape and it.dtype == np.uint8 for it in made.values())
    off = {name: np.abs(it.astype(float) - plane).mean() for name, it in made.items()}
    assert off.pop("as it is") == 0 and min(off.values()) > 0.5
    for mild, strong in (
        ("blur 0.8", "blur 1.6"),
        ("noise 4", "noise 10"),
        ("JPEG 60", "JPEG 20"),
        ("shrink 2", "shrink 4"),
    ):
        assert off[mild] < off[strong]


def test_pictures_too_small_to_learn_features_from_are_said(tmp_path):
    with pytest.raises(InputError, match="--features self: no picture has 48 pixels along its short side"):
        own(material(size=(32, 64)), tmp_path, torch.device("cpu"), seed=0)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def photos(tmp_path):
    """Three pictures."""
    root = tmp_path / "photos"
    root.mkdir()
    media.photos(root)
    return root


def training(photos, tmp_path, **more):
    return fit.Training(
        data=(str(photos),), out=tmp_path / "model", run=tmp_path / "run", net="espcn", scale=2, crop=16, frames=2,
        device="cpu", options=SMALL["espcn"][1], loss="l1 + 0.1*content + texture:relu1_2", **({"steps": 4} | more),
    )  # fmt: skip


def test_a_run_by_features_of_its_own_keeps_them_and_a_stopped_one_goes_on_exactly(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "STEPS", 2)
    whole = fit.fit(training(photos, tmp_path, features="self", every=2)).folder / "weights.safetensors"
    bytes_ = whole.read_bytes()
    assert (tmp_path / "run" / OWN_FILE).is_file()

    class Stopped(Exception):
        pass

    def stop(run: Run) -> None:
        if run.step == 3:
            raise Stopped

    again = training(photos, tmp_path, features="self", every=2, restart=True)
    with pytest.raises(Stopped):
        fit.fit(again, stepped=stop)
    monkeypatch.setattr(features, "STEPS", 0)  # were it to learn again, it would be another
    lines: list[str] = []
    fit.fit(training(photos, tmp_path, features="self", every=2), say=lines.append)
    assert "going on at step 2" in lines and not any("learns to tell" in line for line in lines)
    assert whole.read_bytes() == bytes_


def test_without_weights_nothing_is_made(photos, tmp_path, home):
    with pytest.raises(InputError, match=f"{VGG19_FILE} is not there"):
        fit.fit(training(photos, tmp_path))
    assert not (tmp_path / "run").exists() and not (tmp_path / "model").exists()


def test_a_run_by_vgg19s_features(photos, tmp_path, home, thin):
    torch.save(thin, home / VGG19_FILE)
    lines: list[str] = []
    made = fit.fit(training(photos, tmp_path), say=lines.append)
    assert np.isfinite(made.valid_db) and not (tmp_path / "run" / OWN_FILE).exists()
    assert any("0.1*content:relu5_4 " in line and "texture:relu1_2 " in line for line in lines)
