"""Pages with pictures as HTML: their own files, what they tell as JSON, and pictures as text, decoded when they are looked at."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

from misr.io.embedded import MEDIA, Kind
from misr.report.look import skeleton

SCRIPTS = ("frames", "stage", "difference", "loupe", "plots", "tables", "compare")  # later ones see earlier


def page(told: dict[str, Any], kind: Kind, pictures: Sequence[Sequence[bytes | None]]) -> str:
    """The page of what is told (see misr.report.telling), with the pictures of each moment, input by input."""
    title = " | ".join(i["name"] for i in told["inputs"])
    kept = ((f"{which}-{n}", data) for n, row in enumerate(pictures) for which, data in enumerate(row) if data)
    return assembled(f"misr compare: {title}", "compare", SCRIPTS, told | {"media": MEDIA[kind]}, kept)


def assembled(
    title: str,
    name: str,
    scripts: Sequence[str],
    told: dict[str, Any],
    pictures: Iterable[tuple[str, bytes]],
    *,
    aside: dict[str, str] | None = None,
) -> str:
    """A page of assets/: name.html and name.css with the scripts, which find `told` as facts and pictures by key.

    aside    further texts by the id of their element, which scripts read when they need them
    """
    inside = json.dumps(told).replace("<", "\\u003c")  # nothing in it can end its element
    parts = [asset(f"{name}.html"), f'<script type="application/json" id="facts">{inside}</script>']
    parts += [f'<script type="text/plain" id="{key}">{text}</script>' for key, text in (aside or {}).items()]
    parts += [f'<script type="text/plain" id="p{key}">{b64encode(data).decode()}</script>' for key, data in pictures]
    parts.append("<script>" + "\n".join(asset(f"{script}.js") for script in ("page", *scripts)) + "</script>")
    return skeleton(title, asset("page.css") + asset(f"{name}.css"), "\n".join(parts), scripts=True)


def asset(name: str) -> str:
    """A file of the page."""
    return files("misr.report").joinpath("assets", name).read_text(encoding="utf-8")
