"""Views as cameras and sites leave them: whole windows through a real H.264 encoder, single views through JPEG."""

import numpy as np
import torch
from torch import Tensor

from misr.train.camera import Dice
from misr.train.degrade import h264, jpeg

CRF = (18, 33)
QUALITY = (40, 96)


def coded(views: Tensor, dice: Dice) -> Tensor:
    """Views (t, h, w), uint8, after an encoder of a random quality.

    It gets whole macroblocks, the edges repeated: at other sizes x264 looks at memory that nobody has written. For the same
    reason it does not look ahead; so the same dice give the same views.
    """
    t, h, w = views.shape
    planes = list(np.pad(views.cpu().numpy(), ((0, 0), (0, -h % 16), (0, -w % 16)), mode="edge"))
    if len(planes) == 1:
        made = [jpeg(planes[0], QUALITY[0] + dice.below(QUALITY[1] - QUALITY[0]))]
    else:
        made = h264(planes, CRF[0] + dice.below(CRF[1] - CRF[0]), lookahead=False)
    return torch.from_numpy(np.stack(made)[:, :h, :w]).to(views.device)
