"""A terminal of 100 columns, and what a command shows on it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path


def on_a_terminal(words: list[str], folder: Path, **environment: str) -> tuple[int, str]:
    """The exit code of `python WORDS` in a folder, and what its standard output and error show."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    where = {**os.environ, **environment}
    with subprocess.Popen([sys.executable, *words], stdout=terminal, stderr=terminal, cwd=folder, env=where) as run:
        os.close(terminal)
        shown = b""
        while piece := read(master):
            shown += piece
        code = run.wait()
    os.close(master)
    return code, shown.decode()


def read(master: int) -> bytes:
    """What has come to the terminal; nothing when it is closed."""
    try:
        return os.read(master, 4096)
    except OSError:  # how Linux says that the other side is gone
        return b""
