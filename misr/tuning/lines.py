"""The facts of a clip as plain lines: a name, a number with its unit, and what it means."""

from __future__ import annotations

from misr.io.reader import ClipInfo
from misr.plan import LOSSY
from misr.tuning.advice import BLOCKY, NOISY, REPEATS, SOFT, WORN
from misr.tuning.facts import Facts


def lines(facts: Facts, info: ClipInfo) -> list[tuple[str, str]]:
    """(name, what is known of it) for each fact, in the order of a signal's way from the scene to the file."""
    found = [
        ("clip", clip(info)),
        ("looked at", looked(facts, info)),
        ("noise", noise(facts)),
        ("detail", detail(facts, info)),
        ("compression", compression(facts, info)),
        ("blocks", blocks(facts)),
        ("fields", fields(facts, info)),
        ("repeats", repeats(facts)),
        ("cuts", cuts(facts, info)),
        ("motion", motion(facts)),
        ("neighbours", neighbours(facts)),
    ]
    return [(name, words) for name, words in found if words]


def clip(info: ClipInfo) -> str:
    """What the file says of itself."""
    count = f"{info.frames} frames" if info.frames else "frames not counted in the file"
    length = f", {float(info.duration):.1f} s" if info.duration else ""
    return f"{info.width}x{info.height} {info.codec} {info.pix_fmt}, {float(info.rate):.3f} per second, {count}{length}"


def looked(facts: Facts, info: ClipInfo) -> str:
    """How much of the clip the rest is about."""
    of = f" of {info.frames}" if info.frames else ""
    return (
        f"{facts.frames} frames{of}, in {facts.places} place{'s' * (facts.places != 1)}; what lies between was not seen"
    )


def noise(facts: Facts) -> str:
    """Noise, and whether it matters."""
    if facts.noise is None:
        return "not measured: the picture is black, white or busy everywhere"
    much = (
        "none to speak of"
        if facts.noise < NOISY / 3
        else "little"
        if facts.noise < NOISY
        else "enough to be sharpened too"
    )
    return f"{facts.noise:.1f} codes of 255 (standard deviation, to about 15 %): {much}"


def detail(facts: Facts, info: ClipInfo) -> str:
    """How fine the picture is, beside what its pixels could show."""
    if facts.reach is None:
        return "not measured: there is hardly any detail"
    share = facts.reach / 0.5
    if facts.reach >= SOFT:
        return f"down to {facts.reach:.2f} cycles/px: as fine as pixels can show (0.5), or nearly"
    return (
        f"down to {facts.reach:.2f} cycles/px of 0.5: soft, or enlarged before; {info.width * share:.0f}x"
        f"{info.height * share:.0f} would hold it all; models, made for sharp pictures, may do better on that"
    )


def compression(facts: Facts, info: ClipInfo) -> str:
    """How coarsely it was compressed."""
    rate = f", {facts.bits_per_pixel:.2f} bits per pixel" if facts.bits_per_pixel else ""
    if info.codec not in LOSSY:
        return f"{info.codec} keeps detail whole, or nearly{rate}"
    if facts.quantiser is None:
        return f"{info.codec} does not tell how coarse it is, so it is taken for worn{rate}"
    worn = "detail is worn" if facts.quantiser >= WORN else "detail is whole"
    return f"quantiser {facts.quantiser:.0f} of 51 by H.264's own word (0 is lossless; {WORN:.0f} and up: worn){rate}: {worn}"


def blocks(facts: Facts) -> str:
    """Whether blocks show. Most codecs filter them away, so little says little."""
    if facts.blocking >= BLOCKY:
        return f"steps at the borders of 8x8 blocks stand out by {100 * facts.blocking:.0f} %: blocks may show"
    return f"steps at the borders of 8x8 blocks stand out by {100 * facts.blocking:.0f} %: not seen"


def fields(facts: Facts, info: ClipInfo) -> str:
    """Whether frames are woven of two fields."""
    if not facts.fields:
        return "progressive" + (", though flagged as interlaced" if info.woven else "")
    order = {"tff": "upper", "bff": "lower"}[facts.fields]
    if facts.pulled:
        return (
            f"film pulled down to video (3:2), {order} field first: restore it first (ffmpeg -vf fieldmatch,decimate), "
            "else deinterlacing blurs what was whole on film"
        )
    return f"interlaced, {order} field first: deinterlaced by misr, one frame for each"


def repeats(facts: Facts) -> str:
    """Frames that show the one before once more."""
    if facts.still:
        return "cannot be told: nothing moves"
    known = {
        0.5: "every second: drawn on twos",
        0.2: "one in five: 24 pictures in 30 frames",
        0.6: "24 pictures in 60 frames",
    }
    near = next((words for share, words in known.items() if abs(facts.duplicates - share) < 0.03), "")
    if facts.duplicates < REPEATS:
        return f"{100 * facts.duplicates:.0f} % of the frames repeat the one before"
    told = f" ({near})" if near else ""
    return f"{100 * facts.duplicates:.0f} % of the frames repeat the one before{told}: they cost time and bring models nothing"


def cuts(facts: Facts, info: ClipInfo) -> str:
    """How often a shot begins."""
    if not facts.cuts:
        return "none among the frames looked at"
    return f"{facts.cuts} among the frames looked at; misr finds all of them and looks at no neighbour beyond"


def motion(facts: Facts) -> str:
    """How far things move between frames."""
    if facts.moves_px is None:
        return "not measured: no two frames could be laid over each other"
    return f"{facts.moves_px:.2f} px from frame to frame where there is most detail"


def neighbours(facts: Facts) -> str:
    """Whether several frames hold more than one, in the words of misr.registration, as misr adapt says it too."""
    return facts.why


def lasting(seconds: float) -> str:
    """A length of time in the unit people would use."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"
