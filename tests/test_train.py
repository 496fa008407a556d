"""`misr train`: what it makes is a model, what stops goes on, what cannot be meant is said, and no clip judges itself."""

import json
import os
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from misr import zoo
from misr.errors import InputError, MisrError
from misr.train import proxy, valid
from misr.train.fit import Training, fit
from misr.train.footage import gather, sources, split
from misr.train.loop import Run
from misr.train.ranks import average, count, gathered, mine
from misr.train.sources import Ahead, Mixture
from tests import command, media

TINY = {
    "fast": {"width": 8, "depth": 2},
    "gru": {"width": 8, "blocks": 1, "motion": {"levels": 2, "width": 4, "depth": 1}},
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def little_validation(monkeypatch):
    monkeypatch.setattr(valid, "LONGEST", 3)
    monkeypatch.setattr(valid, "MOST_SCENES", 1)
    monkeypatch.setattr(proxy, "EACH", 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three pictures, two clips of which one is in a folder of its own, and a numbered sequence."""
    root = tmp_path_factory.mktemp("data")
    media.photos(root)
    (root / "deep").mkdir()
    media.clip(root, name="one", frames=16, codec="ffv1")
    media.clip(root / "deep", name="two", frames=16, codec="ffv1", size=(112, 64))
    media.sequence(root, frames=6)
    (root / "notes.txt").write_text("not a picture")
    return root


def training(data, out, net="fast", **more):
    usual = {
        "scale": 2,
        "steps": 6,
        "crop": 16,
        "frames": 6,
        "views": 3,
        "every": 3,
        "options": TINY.get(net, {}),
        "device": "cpu",
    }
    return Training(data=(str(data),), out=out, net=net, **({"run": out.parent / "run"} | usual | more))


def texture(h, w, seed=1):
    """Detail of several sizes (h, w), uint8."""
    rng, out = np.random.default_rng(seed), np.zeros((h, w))
    for cell, light in ((2, 10), (4, 22), (12, 30)):
        noise = torch.from_numpy(rng.normal(size=(1, 1, -(-h // cell), -(-w // cell)))).float()
        out += light * F.interpolate(noise, scale_factor=cell, mode="bicubic")[0, 0, :h, :w].numpy()
    return (126 + out).clip(16, 235).astype(np.uint8)


class Stop(Exception):
    """As a power cut would."""


def stopping_at(step):
    def stepped(run):
        if run.step == step:
            raise Stop

    return stepped


def weights(model):
    return (model / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("net", ["fast", "gru"])
def test_what_it_makes_upscales(data, tmp_path, net):
    options = [f"{k}={json.dumps(v)}" for k, v in TINY[net].items()]
    words = [w for o in options for w in ("--option", o)]
    code = command.misr("train", data, "--net", net, "-s", "2", "-o", tmp_path / "mine", "--run", tmp_path / "run",
                        "--steps", "2", "--crop", "16", "--frames", "4", "--views", "2", *words)  # fmt: skip
    assert code == 0
    it = zoo.card(tmp_path / "mine")
    assert (it.net, it.scale, it.options) == (net, 2, TINY[net]) and it.scores["valid_psnr_db"] > 0
    assert (it.before, it.emit, it.after) == ((4, 16, 0) if net == "gru" else (0, 1, 0))
    assert (tmp_path / "mine" / "plot.png").read_bytes().startswith(b"\x89PNG") and (
        tmp_path / "mine" / "log.jsonl"
    ).is_file()
    out = tmp_path / "out.mkv"
    assert command.up(data / "one.mkv", out, "-m", tmp_path / "mine", "-c:v", "ffv1") == 0
    assert [(f.width, f.height) for f in media.read(out)] == [(192, 128)] * 16


@pytest.mark.parametrize(
    ("net", "how", "labels"),
    [("fast", "mixed", "hr"), ("gru", "codec", "hr"), ("fast", "bi", "heldout"), ("gru", "bi", "both")],
)
def test_a_stopped_training_ends_bit_for_bit_as_an_unbroken_one(data, tmp_path, net, how, labels):
    whole, broken = (tmp_path / n / "mine" for n in ("whole", "broken"))
    fit(training(data, whole, net, degradation=how, labels=labels))
    with pytest.raises(Stop):
        fit(training(data, broken, net, degradation=how, labels=labels), stepped=stopping_at(4))
    assert not broken.exists()
    told = []
    fit(training(data, broken, net, degradation=how, labels=labels), say=told.append)
    assert any("going on at step 3" in line for line in told)
    assert weights(whole) == weights(broken)


def test_training_begins_where_a_model_is(data, tmp_path):
    fit(training(data, tmp_path / "first", "gru", run=tmp_path / "r1"))
    fit(
        training(data, tmp_path / "second", "", start=str(tmp_path / "first"), run=tmp_path / "r2", options={}, scale=0)
    )
    one, two = (
        torch.cat([p.flatten() for p in zoo.build(tmp_path / n)[0].motion.parameters()]) for n in ("first", "second")
    )
    assert torch.equal(one, two), "motion stays where a net starts from a model"
    assert weights(tmp_path / "first") != weights(tmp_path / "second")
    wide = TINY["gru"] | {"width": 16}
    fit(
        training(
            data, tmp_path / "wide", "gru", motion=str(tmp_path / "first"), run=tmp_path / "r3", options=wide, steps=2
        )
    )
    assert torch.equal(one, torch.cat([p.flatten() for p in zoo.build(tmp_path / "wide")[0].motion.parameters()]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"minutes": 1.0}, "only one"),
        ({"steps": 0}, "how long"),
        ({"net": "resnet"}, "there is fast"),
        ({"net": "interpolate"}, "there is fast"),
        ({"start": "fast-x4"}, "fast x4"),
        ({"start": "fast-x5"}, "no model"),
        ({"options": {"breadth": 3}}, "do not fit"),
        ({"crop": 256}, "smaller --crop"),
        ({"crop": 15}, "even"),
        ({"freeze": ("motion",)}, "--freeze motion"),
        ({"motion": "fast-x2"}, "no part that finds motion"),
        ({"data": ("nowhere",)}, "no such file"),
        ({"data": ()}, "no clip and no picture"),
        ({"scale": 0}, "which scale"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(data, tmp_path, change, words):
    with pytest.raises(MisrError, match=words) as said:
        fit(replace(training(data, tmp_path / "mine"), **change))
    assert "\n" not in str(said.value)


def test_what_self_training_made_worse_is_not_kept(data, tmp_path):
    fit(training(data, tmp_path / "first", run=tmp_path / "r1", steps=30))
    start = str(tmp_path / "first")
    made = fit(training(data, tmp_path / "second", "", start=start, labels="heldout", rate=0.5, run=tmp_path / "r2"))
    assert "no better" in made.card.note and "heldout_psnr_db" in made.card.scores
    one, two = (zoo.build(tmp_path / n)[0].state_dict() for n in ("first", "second"))
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_hidden_views_need_clips(data, tmp_path):
    with pytest.raises(InputError, match="needs clips"):
        fit(
            replace(training(data, tmp_path / "mine", labels="heldout"), data=tuple(str(p) for p in data.glob("*.png")))
        )


def test_a_run_of_other_settings_is_refused_until_restarted(data, tmp_path):
    fit(training(data, tmp_path / "mine"))
    with pytest.raises(InputError, match=r"seed 0, not 3; --restart"):
        fit(training(data, tmp_path / "mine", seed=3))
    fit(training(data, tmp_path / "mine", seed=3, restart=True))


def test_a_model_that_no_run_made_is_not_overwritten(data, tmp_path):
    fit(training(data, tmp_path / "mine", run=tmp_path / "here"))
    with pytest.raises(InputError, match="choose another"):
        fit(training(data, tmp_path / "mine", run=tmp_path / "there"))


# ---------------------------------------------------------------- footage


def test_sources_are_found_once_each_in_folders_and_below(data):
    _, clips, pictures = sources([data, data / "one.mkv", str(data / "deep")])
    names = [p.rsplit("/", 1)[1] for p in (*clips, *pictures)]
    assert sorted(names) == ["one.mkv", "photoa.png", "photob.png", "photoc.png", "shot", "two.mkv"]


def test_no_source_is_on_both_sides(data):
    it = gather([data], share=0.3)
    assert not set(it.train) & set(it.valid) and len(it.train) + len(it.valid) == 6
    assert it.material.valid_clips and it.material.valid_stills and it.material.clips and it.material.stills
    ours = {frame.tobytes() for clip in it.material.clips for frame in clip}
    assert not any(frame.tobytes() in ours for clip in it.material.valid_clips for frame in clip)


@pytest.mark.parametrize("n", [2, 3, 10, 57])
def test_a_split_keeps_all_and_holds_some_out(n):
    paths = [str(i) for i in range(n)]
    kept, out = split(paths, 0.1)
    assert sorted(kept + out) == sorted(paths) and len(out) == max(1, round(0.1 * n)) and kept


def test_an_only_clip_gives_its_end(data):
    it = gather([data / "one.mkv"])
    (clip,), (end,) = it.material.clips, it.material.valid_clips
    assert len(clip) + len(end) == 16 and "only clip" in " ".join(it.notes)


def test_an_only_picture_is_too_little(data):
    with pytest.raises(InputError, match="a single picture"):
        gather([data / "photoa.png"])


def test_memory_is_kept_to_and_told(data):
    it = gather([data / "one.mkv", data / "deep"], most_bytes=2 * 96 * 64 * 6)
    assert sum(c.nbytes for c in it.material.clips) <= 96 * 64 * 16
    wide = gather([data / "one.mkv"], most_bytes=96 * 64 * 4)
    assert any("to stay in memory" in note for note in wide.notes)


def test_a_pack_is_data_too(data, tmp_path):
    from misr.train.data import save

    planes = [np.random.default_rng(n).integers(16, 235, (256, 256)).astype(np.uint8) for n in range(3)]
    save(tmp_path / "pack.npz", planes[:2], planes[2:])
    it = gather([tmp_path / "pack.npz"]).material
    assert (len(it.stills), len(it.valid_stills), it.clips) == (2, 1, [])
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="not a pack"):
        gather([tmp_path / "other.npz"])


# ---------------------------------------------------------------- sources


class Count:
    """Counts."""

    def __init__(self, name):
        self.name, self.n = name, 0

    def draw(self):
        self.n += 1
        return f"{self.name}{self.n}"

    def state(self):
        return self.n

    def restore(self, state):
        self.n = state


def test_a_mixture_keeps_its_shares_and_goes_on():
    it = Mixture(Count("a"), Count("b"), 0.4)
    drawn = [it.draw() for _ in range(7)]
    state = it.state()
    rest = [it.draw() for _ in range(13)]
    assert sum(d[0] == "b" for d in drawn + rest) == 8
    again = Mixture(Count("a"), Count("b"), 0.4)
    again.restore(state)
    assert [again.draw() for _ in range(13)] == rest


def test_drawing_ahead_changes_nothing():
    it = Ahead(Count("a"))
    assert [it.draw() for _ in range(3)] == ["a1", "a2", "a3"] and it.state() == 3
    again = Ahead(Count("a"))
    again.draw()
    again.restore(it.state())
    assert again.draw() == it.draw() == "a4"


# ---------------------------------------------------------------- several processes


def one_of_two(rank, port, data, out):
    """A process as torchrun would start it."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    torch.set_num_threads(1)

    def keep(run: Run):
        if run.step == 4:
            assert count() == 2 and mine() == rank
            one = torch.tensor([float(rank)])
            average([one])
            mean = one.item(), gathered(rank)
            torch.save((run.net.state_dict(), run.seconds, mean), out.parent / f"rank{rank}.pt")

    fit(training(data, out, steps=4), stepped=keep)


def test_two_processes_learn_one_net_from_different_data(data, tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    both = [command.FORKS.Process(target=one_of_two, args=(n, port, data, tmp_path / "mine")) for n in range(2)]
    for p in both:
        p.start()
    for p in both:
        p.join(90)
        assert p.exitcode == 0
    (a, seconds, mean), (b, others, same) = (torch.load(tmp_path / f"rank{n}.pt") for n in range(2))
    assert mean == same == (0.5, [0, 1]) and seconds == others
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert zoo.card(tmp_path / "mine").net == "fast"
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert len(state["sources"]) == 2 and state["sources"][0] != state["sources"][1]
    with pytest.raises(InputError, match="2 processes"):
        fit(training(data, tmp_path / "mine", steps=4))
