"""docs/limits.md says of the README's tables only what stands in them: every number it repeats is worked out again from there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LIMITS = " ".join((ROOT / "docs" / "limits.md").read_text(encoding="utf-8").split())
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


def table(*columns: str) -> dict[str, list[list[float]]]:
    """The README's table with these heads: the name in each row's first cell -> the numbers of each other cell."""
    heads = r"\|".join(f" {re.escape(c)} " for c in columns)
    found = re.search(rf"^\| \|{heads}\|\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.M)
    assert found, (
        f"the README has no table of {', '.join(columns)}; say here, and in docs/limits.md, where its numbers went"
    )
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in found[1].splitlines()]
    return {name.replace("`", ""): [[float(n) for n in NUMBER.findall(c)] for c in cells] for name, *cells in rows}


DEGRADED = table("BI", "BD", "CRF 18", "CRF 23", "CRF 28")
VID4 = table("scale", "parameters", "PSNR / SSIM")
HELDOUT = table("carphone", "city, BI x2", "walk, BI x2")
BURSTS = table("x2, 40 dB", "x2, 30 dB", "x3, 40 dB", "x3, 30 dB")


def above(a: str, b: str, column: int) -> float:
    """dB of one model over another's on degraded clips; columns as they stand."""
    return DEGRADED[a][column][0] - DEGRADED[b][column][0]


def learned(column: int, number: int) -> float:
    """dB that training on the clip's hidden frames brought: 0 on such frames, 1 against the truth."""
    return HELDOUT["video-x2, self-trained on the clip"][column][number] - HELDOUT["video-x2"][column][number]


def covered(name: str) -> list[float]:
    """The shares of errors within 1.96 sigma, %, column by column."""
    return [cell[1] for cell in BURSTS[name]]


CLAIMS = [
    (r"at CRF 28, x4, about ([\d.]+) dB for `fast-x4`", above("fast-x4", "bicubic x4", 4)),
    (r"x2, ([\d.]+) dB for `fast-robust-x2`", above("fast-robust-x2", "bicubic x2", 4)),
    (r"`fast-x2` is ([\d.]+) dB above bicubic on BI", above("fast-x2", "bicubic x2", 0)),
    (r"on BI \(([\d.]+) against", DEGRADED["fast-x2"][0][0]),
    (r"on BI \([\d.]+ against ([\d.]+)\)", DEGRADED["bicubic x2"][0][0]),
    (r"against [\d.]+\), ([\d.]+) at CRF 18", above("fast-x2", "bicubic x2", 2)),
    (r"and ([\d.]+) at CRF 28\. None", above("fast-x2", "bicubic x2", 4)),
    (r"there `video-x4` is ([\d.]+) dB above `fast-x4`", VID4["video-x4"][2][0] - VID4["fast-x4"][2][0]),
    (r"\| city, after training on itself \| ([-+][\d.]+) dB", learned(1, 0)),
    (r"\| city, after training on itself \| [-+\d. dB]+ \| ([-+][\d.]+) dB", learned(1, 1)),
    (r"\| walk, after training on itself \| ([-+][\d.]+) dB", learned(2, 0)),
    (r"\| walk, after training on itself \| [-+\d. dB]+ \| ([-+][\d.]+) dB", learned(2, 1)),
    (r"([\d.]+) to [\d.]+ % of the errors of `burst-x2`", min(covered("burst-x2, burst-x3"))),
    (r"to ([\d.]+) % of the errors of `burst-x2`", max(covered("burst-x2, burst-x3"))),
    (r"`map` with strong noise: ([\d.]+) to", covered("map")[3]),
    (r"`map` with strong noise: [\d.]+ to ([\d.]+) %", covered("map")[1]),
]


@pytest.mark.parametrize(("says", "value"), CLAIMS)
def test_a_number_of_the_page_is_that_of_the_readmes_table(says: str, value: float) -> None:
    found = re.search(says, LIMITS)
    assert found, f"docs/limits.md no longer says {says}; take the claim out here"
    digits = len(found[1].partition(".")[2])
    assert abs(float(found[1]) - value) <= 0.5 * 10**-digits + 1e-6


def test_what_it_says_of_clips_of_the_wild_stands_in_the_readmes_words() -> None:
    assert "0.02 dB above, from +0.8 to -0.7" in LIMITS
    words = r"`fast-x4` has ([\d.]+) dB on average and `video-x4` ([\d.]+): 0\.8 dB more .* 0\.7 less"
    found = re.search(words, " ".join(README.split()))
    assert found
    assert float(found[2]) - float(found[1]) == pytest.approx(0.02)
