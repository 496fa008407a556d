"""FSRCNN: features on the small grid, shrunk, mapped, expanded, and one deconvolution (Dong et al., ECCV 2016)."""

from torch import Tensor, nn

from misr.nets.single import Single, conv, exactly


class Fsrcnn(Single):
    """FSRCNN(d, s, m) = (56, 12, 4) as published, PReLU after all but the last; (32, 5, 1) is FSRCNN-s.

    kernel    of the deconvolution; 0: 9 as published at x3, but 10 at x2 and x4, where 9 cannot lie evenly about a pixel: its
              middle would be half an HR pixel off the grid. Published weights of 9 can be had with kernel=9.
    """

    def __init__(
        self,
        *,
        scale: int = 2,
        channels: int = 1,
        width: int = 56,
        shrunk: int = 12,
        depth: int = 4,
        kernel: int = 0,
    ) -> None:
        super().__init__(scale, channels)
        kernel = kernel or (9 if scale == 3 else 10)
        if kernel < scale:
            raise ValueError(f"kernel {kernel}: a deconvolution x{scale} takes {scale} or more")
        sizes = [(channels, width, 5), (width, shrunk, 1), *[(shrunk, shrunk, 3)] * depth, (shrunk, width, 1)]
        self.layers = nn.ModuleList(nn.Sequential(conv(*size), nn.PReLU(size[1])) for size in sizes)
        off = -(-(kernel - self.scale) // 2)
        self.up = nn.ConvTranspose2d(
            width, channels, kernel, self.scale, padding=off, output_padding=2 * off - (kernel - self.scale)
        )
        self.halo = 2 + depth + max((off + self.scale - 1) // self.scale, (kernel - 1 - off) // self.scale)

    def picture(self, x: Tensor) -> Tensor:
        """Pictures (n, c, s*h, s*w)."""
        for layer in self.layers:
            x = layer(x)
        return exactly(self.up, x)
