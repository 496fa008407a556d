"""What a shell offers at a press of Tab: commands, options, names of models; and the script that makes it ask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from misr import zoo
from misr.cli.completion import all_models, among, burst_models, clip_models
from tests.command import misr

Said = pytest.CaptureFixture[str]


def in_bash(line: str, home: Path) -> str:
    """What bash says, with `misr` on its path and a home of its own."""
    where = {**os.environ, "HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "--norc", "-c", line], capture_output=True, text=True, env=where, check=True)
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
    assert in_bash(f'eval "$(misr --show-completion)"; complete -p misr; {ask}', tmp_path).splitlines() == [
        "complete -o default -F _misr_completion misr",
        "video-x2",
    ]


def test_completion_is_installed_into_the_home_of_the_user(tmp_path: Path) -> None:
    assert "completion" in in_bash("misr --install-completion; true", tmp_path)
    assert any("_misr_completion" in p.read_text() for p in tmp_path.rglob("*") if p.is_file())


def test_asking_loads_nothing_heavy() -> None:
    code = "import sys, misr.cli, misr.cli.completion as c; c.all_models(''); print({'torch', 'av', 'cv2'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
