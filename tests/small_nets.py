"""Every net there is with options that make it small, for the laws that are read to all of them."""

from typing import Any, NamedTuple

import pytest
import torch

from misr.nets import NETS

TOLD = ("kernel", "up", "shared", "dense", "activation", "tail", "part", "back")  # options that tell entries apart
KERNELS = ["nearest", "bilinear", "bicubic", "lanczos"]


class Entry(NamedTuple):
    """A net under test: its name in NETS, a scale, and options that make it small."""

    name: str
    scale: float
    options: dict[str, Any]

    def __str__(self) -> str:
        return "-".join([f"{self.name}-x{self.scale}", *(f"{k}={v}" for k, v in self.options.items() if k in TOLD)])

    def make(self) -> torch.nn.Module:
        """The net with weights that all do something, evaluating."""
        torch.manual_seed(int(self.scale))
        if self.name == "spandrel":
            return shell_filled(int(self.scale), **self.options)
        return alive(NETS[self.name](scale=self.scale, **self.options)).eval()


SMALL: dict[str, tuple[tuple[float, ...], dict[str, Any]]] = {
    "interpolate": ((2, 3, 1.5), {}),
    "fast": ((2, 4), {"depth": 3}),
    "gru": ((2, 3, 4), {"blocks": 1, "motion": {"levels": 2, "depth": 1}}),
    "sparse": ((2, 3, 4), {"atoms": 16, "features": 8, "steps": 5}),
    "srcnn": ((2, 3), {"widths": [8, 4]}),
    "vdsr": ((2, 3), {"width": 8, "depth": 4}),
    "fsrcnn": ((2, 3, 4), {"width": 8, "shrunk": 4, "depth": 1}),
    "espcn": ((2, 3), {"widths": [8, 4]}),
    "srresnet": ((2, 3, 4), {"width": 4, "blocks": 1}),
    "edsr": ((3, 4), {"width": 8, "blocks": 1}),
    "johnson": ((3, 4), {"width": 4, "blocks": 1}),
    "swinir": ((2, 3), {"width": 8, "depths": [2, 1], "heads": 2, "window": 4}),
    "lapsrn": ((2, 8), {"width": 4, "depth": 2}),
    "prosr": ((2, 8), {"width": 8, "growth": 4, "blocks": [[2, 1], [1], [1]]}),
    "dbpn": ((2, 3, 4), {"features": 8, "width": 4, "stages": 3}),
    "hourglass": ((2, 3), {"width": 8, "stacks": 2, "depth": 1}),
    "cincgan": ((2, 3), {"front": {"width": 4, "blocks": 1}, "back_options": {"depth": 3}}),
    "spandrel": ((2,), {"channels": 3}),
    "best": ((2,), {}),
    "mean": ((2,), {}),
    "shift-and-add": ((2,), {}),
    "map": ((2,), {"steps": 4}),
    "misr_gru": ((3,), {"width": 4, "blocks": 1}),
    "shift_and_pool": ((2,), {"width": 4, "before": 1, "after": 1}),
    "burst": ((2, 3), {"width": 8, "blocks": 1, "steps": 2}),
}
NET_LIST = [Entry(name, s, options) for name, (scales, options) in SMALL.items() for s in scales]
NET_LIST += [Entry("interpolate", s, {"kernel": k}) for k in KERNELS if k != "bicubic" for s in (2, 3, 1.5)]
NET_LIST += [
    Entry("swinir", 2, SMALL["swinir"][1] | {"up": "classical", "channels": 3}),
    Entry("lapsrn", 4, SMALL["lapsrn"][1] | {"shared": True, "bias": False}),
    Entry("dbpn", 4, SMALL["dbpn"][1] | {"dense": False}),
    Entry("fsrcnn", 2, SMALL["fsrcnn"][1] | {"kernel": 9}),
    Entry("fsrcnn", 2, SMALL["fsrcnn"][1] | {"kernel": 2}),
    Entry("espcn", 2, SMALL["espcn"][1] | {"activation": "relu", "squash": "tanh", "channels": 3}),
    Entry("srresnet", 4, SMALL["srresnet"][1] | {"tail": "prelu", "squash": True, "channels": 3}),
    Entry("edsr", 2, SMALL["edsr"][1] | {"part": 0.1, "channels": 3}),
    Entry("sparse", 2, SMALL["sparse"][1] | {"channels": 3}),
    Entry("cincgan", 2, {"front": {"width": 4, "blocks": 0}, "back": "swinir", "back_options": SMALL["swinir"][1]}),
]


def compact(scale: int, channels: int = 3, width: int = 8, depth: int = 2) -> dict[str, torch.Tensor]:
    """Random weights of Real-ESRGAN's Compact (SRVGGNetCompact), in the names that its files have."""
    layers: list[torch.nn.Module] = [torch.nn.Conv2d(channels, width, 3), torch.nn.PReLU(width)]
    for _ in range(depth):
        layers += [torch.nn.Conv2d(width, width, 3), torch.nn.PReLU(width)]
    body = torch.nn.Sequential(*layers, torch.nn.Conv2d(width, channels * scale**2, 3))
    return {f"body.{name}": x.detach().clone() for name, x in body.state_dict().items()}


def shell_filled(scale: int, channels: int = 3) -> torch.nn.Module:
    """A net of spandrel's with weights; skips where spandrel is not."""
    net = NETS["spandrel"](scale=scale, channels=channels)
    try:
        net.load_state_dict(compact(scale, channels))
    except ImportError as e:
        pytest.skip(str(e))
    return net.eval()


def alive(net: torch.nn.Module) -> torch.nn.Module:
    """A net of which every part does something: what begins at zero is drawn, and batch norms have seen something."""
    for name, x in [*net.named_parameters(), *net.named_buffers()]:
        with torch.no_grad():
            if name.endswith("running_mean"):
                x.normal_(std=0.1)
            elif name.endswith("running_var"):
                x.uniform_(0.5, 1.5)
            elif x.is_floating_point() and x.ndim > 1 and not x.any() and x.requires_grad:
                x.normal_(std=0.05)
    return net


def views(net: torch.nn.Module, t: int = 1, h: int = 24, w: int = 32, b: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of noise of the net's channels, all of it real."""
    c = getattr(net, "channels", 1)
    x = torch.rand(b, t, c, h, w, generator=torch.Generator().manual_seed(1))
    return x, torch.ones(b, t, 1, 1, 1)


@torch.inference_mode()
def call(net: torch.nn.Module, x: torch.Tensor, valid: torch.Tensor, centres: range = range(1)) -> torch.Tensor:
    return net(x, valid, centres)


def random_gru(scale: int) -> torch.nn.Module:
    """A Gru whose every part does something, its flow too."""
    return Entry("gru", scale, SMALL["gru"][1]).make()
