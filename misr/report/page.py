"""A comparison as HTML: the page's own files, what it tells as JSON, and pictures as text, decoded when they are looked at."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from misr.io.embedded import MEDIA, Kind
from misr.report.look import skeleton

SCRIPTS = ("frames", "stage", "difference", "loupe", "plots", "tables", "compare")  # later ones see earlier


def page(told: dict[str, Any], kind: Kind, pictures: Sequence[Sequence[bytes | None]]) -> str:
    """The page of what is told (see misr.report.telling), with the pictures of each moment, input by input."""
    title = " | ".join(i["name"] for i in told["inputs"])
    inside = json.dumps(told | {"media": MEDIA[kind]}).replace("<", "\\u003c")  # nothing in it can end its element
    parts = [asset("compare.html"), f'<script type="application/json" id="facts">{inside}</script>']
    for n, row in enumerate(pictures):
        parts += [
            f'<script type="text/plain" id="p{which}-{n}">{b64encode(data).decode()}</script>'
            for which, data in enumerate(row)
            if data is not None
        ]
    parts.append("<script>" + "\n".join(asset(f"{name}.js") for name in SCRIPTS) + "</script>")
    return skeleton(f"misr compare: {title}", asset("compare.css"), "\n".join(parts), scripts=True)


def asset(name: str) -> str:
    """A file of the page."""
    return files("misr.report").joinpath("assets", name).read_text(encoding="utf-8")
