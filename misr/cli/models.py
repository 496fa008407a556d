"""`misr models`: the shipped models, their cards, and the table in models/README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from misr.card import ModelCard

SETS = ("Set5", "Set14", "BSD100", "Vid4")
# Luma PSNR (dB) and SSIM of MATLAB's bicubic at each scale, as `scripts/score ../shared/data/test fast-x2 fast-x4` prints it
BICUBIC = {
    2.0: ("33.65 / 0.9296", "30.32 / 0.8692", "29.55 / 0.8429", "28.42 / 0.8677"),
    4.0: ("28.42 / 0.8103", "26.09 / 0.7036", "25.96 / 0.6673", "23.80 / 0.6337"),
}
HEAD = """\
# Models

One directory each: `card.json` (what the net is, where it came from, how good it is) and `weights.safetensors`. Data only;
the nets are code, in `misr/nets/`. PSNR in dB and SSIM on luma, LR made by antialiased bicubic, as papers measure:
`scripts/score ../shared/data/test MODEL --write` puts the numbers on the cards, `misr models --markdown` makes this file.

"""


def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this model's whole card.")] = None,
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


def rows() -> list[list[str]]:
    """A row per shipped model, the bicubic baseline first at each scale."""
    from misr import zoo

    shipped = sorted((zoo.card(n) for n in zoo.names() if n not in zoo.KERNELS), key=lambda c: (c.scale, c.name))
    table: list[list[str]] = []
    for card in shipped:
        if (plain := f"bicubic x{card.scale:g}") not in [row[0] for row in table]:
            known = BICUBIC.get(card.scale, ())
            table.append([plain, f"{card.scale:g}", "0", "0 kB", "1", *(known or ["-"] * len(SETS))])
        net, _ = zoo.build(card.name)
        size_bytes = sum(p.stat().st_size for p in zoo.find(card.name).iterdir() if p.is_file())
        table.append(
            [
                card.name,
                f"{card.scale:g}",
                f"{zoo.parameters(net):,}",
                f"{size_bytes / 1000:.0f} kB",
                str(card.before + card.emit + card.after),
                *(measured(card, s) for s in SETS),
            ]
        )
    return table


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
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows()]
    return HEAD + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n" + provenance()


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
