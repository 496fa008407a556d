"""Nets that tell made pictures from true ones, and learn to while another net learns to deceive them.

Goodfellow et al., NIPS 2014; for super-resolution SRGAN, Ledig et al., CVPR 2017. All run in float32 and take batch statistics
for their norms, always: a batch of made pictures and a batch of true ones go through apart.
"""

from __future__ import annotations

from torch import Tensor, nn

from misr.errors import InputError

SLOPE = 0.2  # of leaky ReLUs below zero, as in both papers


class Discriminator(nn.Module):
    """SRGAN's: eight convolutions 3x3 from 64 to 512 channels, every second one halves the grid, then dense 1024 and 1.

    In front of the dense layers the map is averaged to 6x6, which it is for the paper's pictures of 96x96, so that any
    size can be judged; SRGAN's last sigmoid is left to the loss.

    channels    of what is judged: 1 of luma, those of a layer of features
    width       channels of the first layer, 64 as published; all others go with it
    """

    def __init__(self, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(SLOPE)]
        wide = width
        for times, stride in ((1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)):
            parts += stage(nn.Conv2d(wide, times * width, 3, stride, 1, bias=False))
            wide = times * width
        self.layers = nn.Sequential(*parts)
        self.dense = nn.Sequential(
            nn.AdaptiveAvgPool2d(6),
            nn.Flatten(),
            nn.Linear(36 * wide, 16 * width),
            nn.LeakyReLU(SLOPE),
            nn.Linear(16 * width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (b, 1), above 0 for what looks true, of x (b, channels, h, w) of any size.

        InputError for one picture of 16x16 or less, in which a batch norm sees no spread.
        """
        b, _, h, w = x.shape
        if b == 1 and max(h, w) <= 16:
            raise InputError(
                f"a discriminator cannot judge one picture of {w}x{h} at a time; give more --frames, or a larger --crop"
            )
        out: Tensor = self.dense(self.layers(x))
        return out


class Patches(nn.Module):
    """A PatchGAN, of Isola et al., CVPR 2017: five convolutions 4x4, one logit for every patch.

    channels    of what is judged
    width       channels of the first layer, 64 as published; then 2, 4 and 8 times as many
    stride      of the first three layers: 2, as published, for patches of 70x70; 1 for patches of 16x16
    """

    def __init__(self, channels: int = 1, width: int = 64, stride: int = 2) -> None:
        super().__init__()
        self.least = 24 if stride == 2 else 6  # pixels along a side that leave one logit
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride, 1),
            nn.LeakyReLU(SLOPE),
            *stage(nn.Conv2d(width, 2 * width, 4, stride, 1, bias=False)),
            *stage(nn.Conv2d(2 * width, 4 * width, 4, stride, 1, bias=False)),
            *stage(nn.Conv2d(4 * width, 8 * width, 4, 1, 1, bias=False)),
            nn.Conv2d(8 * width, 1, 4, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (b, 1, h', w'), above 0 where a patch of x (b, channels, h, w) looks true.

        InputError for a picture that is too small to have a patch.
        """
        h, w = x.shape[-2:]
        if min(h, w) < self.least:
            raise InputError(
                f"a picture of {w}x{h} is too small for a discriminator of patches, which wants {self.least} pixels; "
                "give a larger --crop"
            )
        out: Tensor = self.layers(x)
        return out


def stage(convolution: nn.Conv2d) -> list[nn.Module]:
    """A convolution with its batch norm, which keeps no running mean, and its leaky ReLU."""
    norm = nn.BatchNorm2d(convolution.out_channels, track_running_stats=False)
    return [convolution, norm, nn.LeakyReLU(SLOPE)]
