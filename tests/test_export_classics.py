"""Nets of one view other than the shipped ones leave misr too: `misr export` checks each in its own runtime before it writes."""

import pytest

import misr
from misr.card import ModelCard
from misr.nets import NETS
from misr.nets.single import Single
from tests.small_nets import NET_LIST, Entry

for package in ("onnx", "onnxruntime"):
    pytest.importorskip(package, reason='needs the extra: pip install "misr[export]"')
pytestmark = pytest.mark.usefixtures("one_thread")

ONE_VIEW = {it.name: it for it in NET_LIST if issubclass(NETS[it.name], Single) and "channels" not in it.options}
RGB = [it for it in NET_LIST if issubclass(NETS[it.name], Single) and it.options.get("channels") == 3]


def exported(it: Entry, path):
    net = it.make()
    card = ModelCard(name=it.name, net=it.name, scale=it.scale, options=it.options, channels=net.channels,
                     multiple=net.multiple, halo=net.halo)  # fmt: skip
    return misr.export((net, card), path)


@pytest.mark.parametrize("it", ONE_VIEW.values(), ids=str)
def test_every_net_of_one_view_is_exported(it, tmp_path):
    assert exported(it, tmp_path / "net.onnx").files[0].is_file()


@pytest.mark.parametrize("it", RGB, ids=str)
def test_nets_of_rgb_are_exported_for_ffmpeg(it, tmp_path):
    assert exported(it, tmp_path / "net.pt").files[0].is_file()
