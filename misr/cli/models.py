"""`misr models`: the shipped models, their cards, and the table in models/README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from misr.cli.completion import all_models

if TYPE_CHECKING:
    from misr.card import ModelCard

SETS = ("Set5", "Set14", "BSD100", "Vid4")
# Luma PSNR (dB) and SSIM of MATLAB's bicubic at each scale, as `scripts/score ../shared/data/test fast-x2 fast-x4` prints it
BICUBIC = {
    2.0: ("33.65 / 0.9296", "30.32 / 0.8692", "29.55 / 0.8429", "28.42 / 0.8677"),
    4.0: ("28.42 / 0.8103", "26.09 / 0.7036", "25.96 / 0.6673", "23.80 / 0.6337"),
}
NOISES = (40, 30)  # dB: signal to noise of the synthetic bursts that models of bursts are measured on
# PSNR (dB) there of the best single view, bicubic, and of `map`, as `scripts/score_bursts ../shared/data/test --write` prints it
PLAIN_BURSTS = {
    2.0: {"best": ("28.09", "28.00"), "map": ("36.34", "33.92")},
    3.0: {"best": ("25.66", "25.61"), "map": ("30.98", "29.32")},
}
HEAD = """\
# Models

One directory each: `card.json` (what the net is, where it came from, how good it is) and `weights.safetensors`. Data only;
the nets are code, in `misr/nets/`. PSNR in dB and SSIM on luma, LR made by antialiased bicubic, as papers measure:
`scripts/score ../shared/data/test MODEL --write` puts the numbers on the cards, `misr models --markdown` makes this file.

"""
BURST_COLUMNS = ["model", "scale", "parameters", "size", "views", *(f"{noise} dB" for noise in NOISES)]
BURST_HEAD = """
Of bursts, for `misr fuse`: PSNR in dB, nine views of 22 photographs at two ratios of signal to noise, shifts estimated, optics
unknown: `scripts/score_bursts ../shared/data/test MODEL --write`.

"""


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show this model's whole card.", autocompletion=all_models)
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print models/README.md.")] = False,
) -> None:
    """List the models that misr has, or show one."""
    if name is not None:
        print(whole(name))
    elif markdown:
        print(readme(), end="")
    else:
        print(aligned([["model", "scale", "parameters", "size", "views", *SETS], *rows()]))
        print(
            "\nPSNR in dB and SSIM on luma; nearest, bilinear, bicubic and lanczos work at any scale and have no weights."
        )
        print("\nOf bursts (misr fuse), PSNR in dB of nine views:\n")
        print(aligned([BURST_COLUMNS, *burst_rows()]))
        print("\nbest, mean, shift-and-add and map fuse at any whole scale and have no weights.")
        print(f"\n{nets()}")


def nets() -> str:
    """The nets that models can be made of, and how."""
    from textwrap import fill

    from misr import zoo

    told = f"Of these nets `misr train --net NAME` makes models, for -m as those above: {', '.join(zoo.trainable())}."
    return fill(told, 110, break_on_hyphens=False)


def rows() -> list[list[str]]:
    """A row per shipped model, the bicubic baseline first at each scale."""
    table: list[list[str]] = []
    for card in shipped(bursts=False):
        if (plain := f"bicubic x{card.scale:g}") not in [row[0] for row in table]:
            known = BICUBIC.get(card.scale, ())
            table.append([plain, f"{card.scale:g}", "0", "0 kB", "1", *(known or ["-"] * len(SETS))])
        table.append([*figures(card), *(measured(card, s) for s in SETS)])
    return table


def burst_rows() -> list[list[str]]:
    """A row per shipped model that fuses bursts, after what needs no learning at its scale."""
    table: list[list[str]] = []
    for card in shipped(bursts=True):
        for name, known in PLAIN_BURSTS.get(card.scale, {}).items():
            if (plain := f"{name} x{card.scale:g}") not in [row[0] for row in table]:
                table.append([plain, f"{card.scale:g}", "0", "0 kB", "1" if name == "best" else "any", *known])
        scores = (card.scores.get(f"bursts_{noise}_psnr_db") for noise in NOISES)
        table.append([*figures(card), *("-" if s is None else f"{s:.2f}" for s in scores)])
    return table


def shipped(*, bursts: bool) -> list[ModelCard]:
    """The cards of the shipped models that fuse bursts, or of the others, by scale and name."""
    from misr import zoo

    cards = (zoo.card(n) for n in zoo.names() if n not in zoo.KERNELS)
    return sorted((c for c in cards if zoo.fuses(c) == bursts), key=lambda c: (c.scale, c.name))


def figures(card: ModelCard) -> list[str]:
    """Name, scale, parameters, size and views of a model."""
    from misr import zoo

    net, _ = zoo.build(card.name)
    size_bytes = sum(p.stat().st_size for p in zoo.find(card.name).iterdir() if p.is_file())
    views = "any" if zoo.fuses(card) else str(card.before + card.emit + card.after)
    return [card.name, f"{card.scale:g}", f"{zoo.parameters(net):,}", f"{size_bytes / 1000:.0f} kB", views]


def measured(card: ModelCard, name: str) -> str:
    """PSNR / SSIM of a model on a set; a dash where it was not measured."""
    psnr_db, ssim = card.scores.get(f"{name}_y_psnr_db"), card.scores.get(f"{name}_y_ssim")
    return "-" if psnr_db is None or ssim is None else f"{psnr_db:.2f} / {ssim:.4f}"


def aligned(table: list[list[str]]) -> str:
    """Columns for a terminal: words to the left, numbers to the right."""
    widths = [max(len(row[k]) for row in table) for k in range(len(table[0]))]
    lines = [
        [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        for row in table
    ]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def readme() -> str:
    """The text of models/README.md."""
    head = ["model", "scale", "parameters", "size", "views", *SETS]
    return HEAD + drawn([head, *rows()]) + BURST_HEAD + drawn([BURST_COLUMNS, *burst_rows()]) + "\n" + provenance()


def drawn(table: list[list[str]]) -> str:
    """Rows as a table of Markdown, the first its head."""
    lines = [table[0], ["---", *["---:"] * (len(table[0]) - 1)], *table[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def provenance() -> str:
    """Where each shipped model came from, a line each."""
    from misr import zoo

    cards = [zoo.card(n) for n in zoo.names() if n not in zoo.KERNELS]
    return "".join(
        f"- `{c.name}`: {c.source or 'no paper'}. Made by `{c.recipe}` from {c.trained_on}. {c.licence}.\n"
        for c in cards
    )


def whole(name: str) -> str:
    """A card, field by field."""
    from dataclasses import asdict

    from misr import zoo

    card = zoo.card(name)
    net, _ = zoo.build(name)
    fields = asdict(card) | {"parameters": f"{zoo.parameters(net):,}"}
    if name not in zoo.KERNELS:
        fields["directory"] = str(zoo.find(name))
    shown = {
        k: ", ".join(f"{a} {b}" for a, b in v.items())
        if isinstance(v, dict)
        else ", ".join(v)
        if isinstance(v, tuple)
        else v
        for k, v in fields.items()
    }
    return "\n".join(f"{k:12}{v}" for k, v in shown.items() if v != "")
