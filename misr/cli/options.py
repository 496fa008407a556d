"""Options that more than one command has, each said once; and what several of them come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from misr.cli.completion import among, clip_models
from misr.errors import InputError

if TYPE_CHECKING:
    from fractions import Fraction

    from misr.frame import Retag

LINE: list[str] = []  # the words after `misr`, put there by main()

Text = str | None
Flag = bool
Model = Annotated[
    Text,
    typer.Option("-m", "--model", help="Name or directory of a model; see `misr models`.", autocompletion=clip_models),
]
Scale = Annotated[float | None, typer.Option("-s", "--scale", help="SR size / source size: 2, 4, 1.5 ...")]
Strength = Annotated[float, typer.Option("--strength", help="Share of the learned detail, 0 (plain bicubic) to 1.")]
Size = Annotated[Text, typer.Option("--size", help="1080p, WxH, Wx-2 or -2xH instead of a scale.")]
PixFmt = Annotated[Text, typer.Option("-pix_fmt", help="Pixel format; the source's, or the closest, by default.")]
Yes = Annotated[Flag, typer.Option("-y", help="Overwrite the output.")]
Device = Annotated[Text, typer.Option("--device", help="cpu, cuda, cuda:1.")]
PrecisionName = Annotated[
    str,
    typer.Option("--precision", help="auto, fp32, bf16, fp16.", autocompletion=among("auto", "fp32", "bf16", "fp16")),
]
Tile = Annotated[int, typer.Option("--tile", help="Square tiles of this many source pixels; 0: whole pictures.")]
Batch = Annotated[int, typer.Option("--batch", help="Windows per call; 0: the device's best.")]
Threads = Annotated[int, typer.Option("--threads", help="CPU threads for net and encoder; 0: all.")]
ProgressKind = Annotated[
    str,
    typer.Option(
        "--progress",
        help="bar (on a terminal), json (lines on stderr), none.",
        autocompletion=among("bar", "json", "none"),
    ),
]
Debug = Annotated[Flag, typer.Option("--debug", help="Show a traceback when something fails.")]
OnErrorName = Annotated[
    str,
    typer.Option(
        "--on-error",
        help="When a frame does not decode: stop, or repeat the last.",
        autocompletion=among("stop", "repeat"),
    ),
]

COLOR = "of the clip, whatever its own tag says"
Matrix = Annotated[Text, typer.Option("--color-matrix", help=f"Matrix {COLOR}: bt709, smpte170m, bt2020nc ...")]
Range = Annotated[Text, typer.Option("--color-range", help=f"Range {COLOR}: limited (tv) or full (pc).")]
Primaries = Annotated[Text, typer.Option("--color-primaries", help=f"Primaries {COLOR}: bt709, bt2020 ...")]
Transfer = Annotated[
    Text, typer.Option("--color-transfer", help=f"Transfer {COLOR}: bt709, smpte2084, arib-std-b67 ...")
]
Siting = Annotated[Text, typer.Option("--color-siting", help=f"Place of chroma {COLOR}: left, center, topleft.")]

MATRICES = {  # FFmpeg's names of the codes of H.273, its short forms for the same thing after them
    "gbr": 0,
    "rgb": 0,
    "bt709": 1,
    "fcc": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "bt2020nc": 9,
    "bt2020_ncl": 9,
    "bt601": 6,
}
RANGES = {"limited": 1, "tv": 1, "mpeg": 1, "full": 2, "pc": 2, "jpeg": 2}
PRIMARIES = {
    "bt709": 1,
    "bt470m": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "film": 8,
    "bt2020": 9,
    "smpte428": 10,
    "smpte431": 11,
    "smpte432": 12,
    "jedec-p22": 22,
    "ebu3213": 22,
}
TRANSFERS = {
    "bt709": 1,
    "gamma22": 4,
    "bt470m": 4,
    "gamma28": 5,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "linear": 8,
    "log100": 9,
    "log316": 10,
    "iec61966-2-4": 11,
    "bt1361e": 12,
    "iec61966-2-1": 13,
    "srgb": 13,
    "bt2020-10": 14,
    "bt2020-12": 15,
    "smpte2084": 16,
    "smpte428": 17,
    "arib-std-b67": 18,
}
SITINGS = {"left": 1, "center": 2, "topleft": 3, "top": 4, "bottomleft": 5, "bottom": 6}


def retag(matrix: Text, span: Text, primaries: Text, transfer: Text, siting: Text) -> Retag:
    """What --color-* say together; InputError for a name outside their tables."""
    from misr.frame import Retag

    return Retag(
        matrix=code("--color-matrix", matrix, MATRICES),
        range=code("--color-range", span, RANGES),
        primaries=code("--color-primaries", primaries, PRIMARIES),
        transfer=code("--color-transfer", transfer, TRANSFERS),
        siting=code("--color-siting", siting, SITINGS),
    )


def code(option: str, name: Text, table: dict[str, int]) -> int | None:
    """The number of a name."""
    if name is None:
        return None
    if name.lower() not in table:
        raise InputError(f"{option} {name}: no such name; there is {', '.join(table)}")
    return table[name.lower()]


def one_of(option: str, value: str, *choices: str) -> None:
    """Refuse a value outside a closed set."""
    if value not in choices:
        raise typer.BadParameter(f"{option} is one of {', '.join(choices)}, not {value!r}")


def whole(**counts: int) -> None:
    """Refuse counts below 0; named as their options are."""
    for option, value in counts.items():
        if value < 0:
            raise InputError(f"--{option} {value}: a whole number from 0 is wanted; 0 lets misr decide")


def extra_options(tokens: list[str]) -> dict[str, str]:
    """`-name value` pairs after `--`."""
    if len(tokens) % 2 or any(not t.startswith("-") for t in tokens[::2]):
        raise InputError(f"after `--` come pairs such as -x264-params keyint=60, not {' '.join(tokens)!r}")
    return {name.lstrip("-").removesuffix(":v"): value for name, value in zip(tokens[::2], tokens[1::2], strict=True)}


def clock(option: str, text: str | None) -> Fraction | None:
    """Seconds, or [hh:]mm:ss[.fraction], exactly."""
    from fractions import Fraction

    if text is None:
        return None
    try:
        parts = [Fraction(p) for p in text.split(":")]
        if len(parts) > 3 or any(p < 0 for p in parts):
            raise ValueError
        return sum((p * 60**i for i, p in enumerate(reversed(parts))), Fraction(0))
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{option} {text}: not a time; write seconds or hh:mm:ss") from None


def ratio(text: str | None) -> Fraction | None:
    """A frame rate: 24, 23.976 or 24000/1001."""
    from fractions import Fraction

    try:
        value = Fraction(text) if text else None
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if value is not None and value <= 0:
        raise InputError(f"-framerate {text}: not a rate; write 24 or 24000/1001")
    return value


def use_threads(threads: int) -> None:
    """The net's share of the CPU."""
    if threads:
        import torch

        torch.set_num_threads(threads)


def say(line: str) -> None:
    """A line for people, on stderr; above a bar where there is one."""
    from misr.cli.progress import above

    above(line)
