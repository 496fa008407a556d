from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest

from misr.frame import FULL, LIMITED, Color, Frame


@pytest.mark.parametrize(
    ("model", "tag", "full"),
    [
        ("yuv", 0, False),
        ("yuv", LIMITED, False),
        ("yuv", FULL, True),
        ("gray", 0, False),
        ("gray", FULL, True),
        ("rgb", 0, True),
        ("rgb", FULL, True),
        ("rgb", LIMITED, False),
    ],
)
def test_untagged_rgb_is_full_range_and_untagged_yuv_is_limited(model, tag, full):
    assert Color(model, range=tag).full is full


@pytest.mark.parametrize(
    ("model", "alpha", "planes"),
    [
        ("gray", False, 1),
        ("gray", True, 2),
        ("yuv", False, 3),
        ("yuv", True, 4),
        ("rgb", False, 3),
        ("rgb", True, 4),
    ],
)
def test_alpha_is_one_plane_more(model, alpha, planes):
    assert Color(model, alpha=alpha).planes == planes


def test_a_frame_has_the_size_of_its_first_plane():
    chroma = np.zeros((3, 4), np.uint8)
    frame = Frame((np.zeros((5, 7), np.uint8), chroma, chroma), Color("yuv", subsampling=(2, 2)))
    assert (frame.width, frame.height) == (7, 5)


def test_a_frame_cannot_be_changed():
    frame = Frame((np.zeros((2, 2), np.uint8),), Color("gray"), time=Fraction(1, 24))
    with pytest.raises(FrozenInstanceError):
        frame.time = Fraction(0)
