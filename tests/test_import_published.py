"""misr import on files as they were published, where the data beside the checkout has them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from misr import zoo
from misr.errors import MisrError
from misr.importing import import_model
from misr.metrics import bi, luma601, luma_psnr_db
from misr.nets.spandrel import loaded
from tests import command

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PEERS = DATA / "peers"
pytestmark = [pytest.mark.shared_data, pytest.mark.usefixtures("one_thread")]

GAINS = [  # file, scale, dB over bicubic that it has on Set5's butterfly, BI, at least: weights in wrong places have none
    ("vdsr_model_epoch_50.npz", 4, 4.0),
    ("lapsrn_model_epoch_100.npz", 4, 4.0),
    ("lapsrn_model_epoch_100.npz", 2, 4.0),
    ("espcn_x4_subconv_100.pth", 4, 1.0),
    ("opencv_sr/ESPCN_x2.pb", 2, 2.0),
    ("opencv_sr/FSRCNN_x2.pb", 2, 2.0),
    ("opencv_sr/FSRCNN-small_x2.pb", 2, 1.5),
]


def butterfly() -> np.ndarray:
    picture = cv2.imread(str(DATA / "test" / "Set5" / "butterfly.webp"))
    assert picture is not None
    return picture


@pytest.mark.parametrize(("file", "scale", "gain_db"), GAINS)
def test_published_weights_are_far_above_bicubic(tmp_path, file, scale, gain_db):
    import_model(PEERS / file, tmp_path / "m", scale=scale)
    truth = luma601(torch.from_numpy(butterfly()[..., ::-1].copy()))
    truth = truth[: truth.shape[0] // scale * scale, : truth.shape[1] // scale * scale]
    x = (bi(truth, scale) / 255)[None, None, None]
    found = []
    for model in ("bicubic", str(tmp_path / "m")):
        net, _ = zoo.build(model, scale=scale)
        with torch.inference_mode():
            out = net(x, x.new_ones(1, 1, 1, 1, 1), range(1))[0, 0, 0] * 255
        found.append(luma_psnr_db(out, truth, scale))
    assert found[1] - found[0] > gain_db


def test_real_esrgans_pixels_are_those_of_spandrels_own_call(tmp_path):
    try:
        spandrel = loaded()
    except ImportError as e:
        pytest.skip(str(e))
    import_model(PEERS / "realesr-animevideov3.pth", tmp_path / "m")
    small = np.ascontiguousarray(butterfly()[60:101, 80:127])
    cv2.imwrite(str(tmp_path / "in.png"), small)
    assert command.misr("upscale", tmp_path / "in.png", tmp_path / "out.png", "-m", tmp_path / "m") == 0
    ours = cv2.imread(str(tmp_path / "out.png")).astype(int)
    theirs = spandrel.ModelLoader().load_from_file(PEERS / "realesr-animevideov3.pth")
    x = torch.from_numpy(small[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    wanted = (theirs(x)[0].permute(1, 2, 0) * 255).round().numpy().astype(int)[..., ::-1]
    assert ours.shape == wanted.shape == (164, 188, 3)
    assert np.abs(ours - wanted).max() <= 1
    tiled = tmp_path / "tiled.png"  # its eighteen convolutions reach less far than tiles overlap
    assert command.misr("upscale", tmp_path / "in.png", tiled, "-m", tmp_path / "m", "--tile", 16) == 0
    assert np.abs(cv2.imread(str(tiled)).astype(int) - ours).max() <= 1


@pytest.mark.parametrize(
    "file", ["opencv_sr/LapSRN_x2.pb", "niqe_pris_params.npz", "MISR-GRU.pth", "squeezenet_v11_notop_tf.h5"]
)
def test_what_no_net_takes_is_one_sentence(tmp_path, file):
    with pytest.raises(MisrError) as caught:
        import_model(PEERS / file, tmp_path / "m")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m").exists()
