"""A real Chromium without a window, driven over a pipe by the DevTools protocol: NUL-separated JSON on descriptors 3 and 4."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

CHROMIUM = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "ArrowUp": 38, "ArrowDown": 40, "Home": 36, "End": 35, " ": 32, "Escape": 27}


class Browser:
    """One page of one browser; close() ends it."""

    def __init__(self, profile: Path) -> None:
        ours_r, theirs_w = os.pipe()
        theirs_r, ours_w = os.pipe()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        flags += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", "about:blank"]
        # sh takes descriptors of one digit only
        shell = f'exec "$@" 3<&{theirs_r} 4>&{theirs_w}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", str(CHROMIUM), *flags],
            pass_fds=(theirs_r, theirs_w),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_r)
        os.close(theirs_w)
        self._in, self._out = os.fdopen(ours_r, "rb"), os.fdopen(ours_w, "wb")
        self._number, self._session = 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """A command's result; what else arrives meanwhile goes to `events`."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        self._out.write(json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode() + b"\0")
        self._out.flush()
        while True:
            got = self._read()
            if got.get("id") == self._number:
                assert "error" not in got, (method, got["error"])
                result: dict[str, Any] = got["result"]
                return result
            self.events.append(got)

    def _read(self) -> dict[str, Any]:
        data = bytearray()
        while (byte := self._in.read(1)) != b"\0":
            assert byte, "the browser has gone"
            data += byte
        message: dict[str, Any] = json.loads(data)
        return message

    def open(self, path: Path, width: int = 1280, height: int = 900) -> None:
        """Load a file and wait until its first frame is painted."""
        self.size(width, height)
        self.events.clear()
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait("typeof shown !== 'undefined' && shown >= 0")

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        """The window's inside, CSS pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def theme(self, name: str) -> None:
        """What the system prefers: light or dark."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def js(self, code: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        got = self.send("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in got, got
        return got["result"].get("value")

    def wait(self, condition: str, seconds: float = 30) -> None:
        """Until an expression is true."""
        until = time.monotonic() + seconds
        while not self.js(condition):
            assert time.monotonic() < until, f"never true: {condition}"
            time.sleep(0.02)

    def key(self, key: str, *, shift: bool = False, alt: bool = False) -> None:
        """Press and let go of a key."""
        code = f"Digit{key}" if key.isdigit() else key
        word = {
            "key": key,
            "code": code,
            "modifiers": 8 * shift + alt,
            "windowsVirtualKeyCode": KEYS.get(key, ord(key[0])),
        }
        self.send("Input.dispatchKeyEvent", type="keyDown", **word)
        self.send("Input.dispatchKeyEvent", type="keyUp", **word)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """mousePressed, mouseMoved, mouseReleased at a point of the window."""
        held = {"button": "left", "buttons": 1, "clickCount": 1} if kind != "mouseMoved" or more.pop("held", 0) else {}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **held, **more)

    def drag(self, *points: tuple[float, float]) -> None:
        """Press at the first point, move through the others, let go at the last."""
        self.mouse("mousePressed", *points[0])
        for point in points[1:]:
            self.mouse("mouseMoved", *point, held=1)
        self.mouse("mouseReleased", *points[-1])

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        self.js(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
        x, y, w, h = self.box(selector)
        self.drag((x + w / 2, y + h / 2))

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width, height of an element in the window."""
        box = f"const b = document.querySelector({selector!r}).getBoundingClientRect()"
        code = f"(() => {{ {box}; return [b.x, b.y, b.width, b.height] }})()"
        x, y, w, h = self.js(code)
        return x, y, w, h

    def point(self, across: float, down: float = 0.5, selector: str = "#canvas") -> tuple[float, float]:
        """A point of an element in the window, by shares of its sides."""
        x, y, w, h = self.box(selector)
        return x + across * w, y + down * h

    def code(self, across: float, down: float = 0.5, canvas: str = "#canvas") -> int:
        """The code of green of a canvas at a place in it, by shares of its sides; read from a copy."""
        found: int = self.js(f"""(() => {{
            const c = document.querySelector({canvas!r}), copy = document.createElement("canvas");
            const pen = copy.getContext("2d", {{ willReadFrequently: true }});
            pen.drawImage(c, -Math.floor(c.width * {across}), -Math.floor(c.height * {down}));
            return pen.getImageData(0, 0, 1, 1).data[1];
        }})()""")
        return found

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        got = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(got["data"]))

    def complaints(self) -> list[str]:
        """Errors and warnings of the page, and what it asked for beyond itself, since it was opened."""
        found = []
        for event in self.events:
            method, what = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                found.append(what["exceptionDetails"].get("exception", {}).get("description", "an exception"))
            elif method == "Log.entryAdded":
                found.append(what["entry"]["text"])
            elif method == "Network.requestWillBeSent" and not what["request"]["url"].startswith(
                ("file:", "data:", "blob:")
            ):
                found.append(what["request"]["url"])
        return found

    def close(self) -> None:
        """End the browser."""
        try:
            self._session = ""
            self.send("Browser.close")
            self.process.wait(10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
