"""What a shell offers at a press of Tab: commands, options, names of models; and the script that makes it ask."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from misr import zoo
from misr.cli.completion import all_models, among, burst_models, clip_models
from tests.command import misr

Said = pytest.CaptureFixture[str]
KILL_LINE = "\x15"


def at_home(home: Path) -> dict[str, str]:
    """An environment with `misr` on its path and a home of its own."""
    clean = {k: v for k, v in os.environ.items() if k not in ("ZDOTDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    return clean | {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TERM": "dumb"}


def in_shell(name: str, line: str, home: Path) -> str:
    """What a shell says to a line."""
    if not shutil.which(name):
        pytest.skip(f"no {name} on the PATH; scripts/packages installs it")
    words = {"bash": ["bash", "--norc"], "zsh": ["zsh", "-f"], "fish": ["fish"]}[name]
    done = subprocess.run(
        [*words, "-c", line], cwd=home, capture_output=True, text=True, env=at_home(home), check=True, timeout=120
    )
    return done.stdout


def offered(line: str, capsys: Said, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What misr tells bash at the end of a line."""
    monkeypatch.setenv("_MISR_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    assert misr() == 0
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("misr up", {"upscale"}),
        ("misr upscale -m video-x4", {"video-x4", "video-x4-quality"}),
        ("misr upscale --model bi", {"bicubic", "bilinear"}),
        ("misr fuse -m shi", {"shift-and-add"}),
        ("misr train --start burst-x3", {"burst-x3"}),
        ("misr eval -m fast-x2,lan", {"fast-x2,lanczos"}),
        ("misr upscale --precision b", {"bf16"}),
        ("misr filter --progress ", {"bar", "json", "none"}),
        ("misr fuse --no-c", {"--no-clouds"}),
        ("misr upscale -m nothing-is-called-so", set()),
    ],
)
def test_a_press_of_tab_offers_what_fits(
    line: str, words: set[str], capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(offered(line, capsys, monkeypatch)) == words


def test_what_is_offered_is_what_the_commands_take() -> None:
    assert clip_models("") == list(zoo.models())
    assert set(burst_models("")) == {*zoo.METHODS, *(n for n in zoo.names() if zoo.fuses(zoo.card(n)))}
    assert all_models("") == zoo.names()
    assert among("stop", "repeat")("r") == ["repeat"]


def test_bash_completes_with_the_script_that_misr_shows(tmp_path: Path) -> None:
    ask = "COMP_WORDS=(misr upscale -m video-x2); COMP_CWORD=3; _misr_completion misr; echo ${COMPREPLY[*]}"
    assert in_shell("bash", f'eval "$(misr --show-completion)"; complete -p misr; {ask}', tmp_path).splitlines() == [
        "complete -o default -F _misr_completion misr",
        "video-x2",
    ]


def test_completion_is_installed_into_the_home_of_the_user(tmp_path: Path) -> None:
    assert "completion" in in_shell("bash", "misr --install-completion; true", tmp_path)
    assert any("_misr_completion" in p.read_text() for p in tmp_path.rglob("*") if p.is_file())


def test_fish_completes_once_it_is_installed(tmp_path: Path) -> None:
    in_shell("fish", "misr --install-completion; true", tmp_path)
    (tmp_path / "clip.mkv").touch()
    ask = "for line in 'misr upscale -m video-x4-' 'misr upscale cl'; complete -C $line; end"
    assert in_shell("fish", ask, tmp_path).split() == ["video-x4-quality", "clip.mkv"]


def test_zsh_completes_at_a_real_press_of_tab(tmp_path: Path) -> None:
    in_shell("zsh", "misr --install-completion; true", tmp_path)
    (tmp_path / "clip.mkv").touch()
    master, terminal = pty.openpty()
    shell = subprocess.Popen(
        ["zsh", "-d", "-i"], stdin=terminal, stdout=terminal, stderr=terminal, cwd=tmp_path, env=at_home(tmp_path)
    )
    os.close(terminal)
    try:
        for typed, shown in (
            ('echo rea""dy\n', "ready"),
            ("misr upscale -m video-x4-q\t", "video-x4-quality "),
            (f"{KILL_LINE}misr upscale cl\t", "clip.mkv "),
        ):
            os.write(master, typed.encode())
            assert shown in seen_until(shown, master)
    finally:
        shell.kill()
        shell.wait()
        os.close(master)


def seen_until(shown: str, master: int, seconds: float = 60) -> str:
    """What a terminal shows until `shown` is in it, or the time is over."""
    seen, until = "", time.monotonic() + seconds
    while shown not in seen and time.monotonic() < until:
        if select.select([master], [], [], 0.5)[0]:
            seen += os.read(master, 4096).decode(errors="replace")
    return seen


def test_asking_loads_nothing_heavy() -> None:
    code = "import sys, misr.cli, misr.cli.completion as c; c.all_models(''); print({'torch', 'av', 'cv2'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
