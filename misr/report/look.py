"""How the pages of misr look: colours for light and dark, type, tables. Pages need nothing but themselves."""

from __future__ import annotations

from html import escape

STYLE = """
:root { color-scheme: light dark;
  --paper: light-dark(#ffffff, #14181c); --raised: light-dark(#f3f5f7, #1d2329); --line: light-dark(#d5dae0, #3a424b);
  --ink: light-dark(#1c2127, #e4e8ec); --dim: light-dark(#5f6873, #97a1ac); --accent: light-dark(#2563a8, #6aa9e9);
  --used: var(--accent); --rejected: light-dark(#c4442e, #f07c64); --reference: var(--ink); }
*, ::before, ::after { box-sizing: border-box; }
body { margin: 2rem auto; max-width: 68rem; padding: 0 1.2rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.35rem; margin: 0 0 .4rem; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 2rem 0 .6rem; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, td:last-child, th:last-child { text-align: left; }
svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: var(--ink); }
svg .grid { fill: none; stroke: var(--line); }
details { margin-top: 2rem; } pre { overflow-x: auto; font-size: 12px; }
"""


def skeleton(title: str, style: str, body: str, *, scripts: bool = False) -> str:
    """A page: HTML that asks for nothing from anywhere, and is not allowed to; scripts are those it carries."""
    name = escape(title.encode("utf-8", "replace").decode())
    allowed = "img-src data: blob:; style-src 'unsafe-inline'" + ("; script-src 'unsafe-inline'" if scripts else "")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; {allowed}">
<title>{name}</title><link rel="icon" href="data:,"><style>{STYLE}{style}</style></head><body>
{body}
</body></html>
"""
