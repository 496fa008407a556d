"""What reviews should not have to say: no machine paths, no hosts, no giants, no rooms without an idea."""

import re
import subprocess
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODELS_LIMIT_BYTES = 20 * 2**20
LONG, TOO_LONG = 350, 500  # lines
MACHINE_PATH = re.compile(r"(?<![\w/.~$})-])/(?:work|tmp|home|root|opt|mnt|Users)(?=[/\"'\s`)\]]|$)")
INDEX_HOST = re.compile(
    r"(?:index-url|find-links|trusted-host)\b|https?://[\w.]*(?:pythonhosted|pypi|pytorch)\.org", re.I
)
VAGUE = {
    "utils.py",
    "util.py",
    "helpers.py",
    "helper.py",
    "common.py",
    "base.py",
    "misc.py",
    "manager.py",
    "factory.py",
}


def tracked() -> list[Path]:
    """Files that are in the repository, or would be after `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [p for name in listed.stdout.decode().split("\0") if name and (p := ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    """(path, text) of all tracked text files."""
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data[:4096]:
            found.append((path.relative_to(ROOT), data.decode("utf-8", "replace")))
    return found


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    """Where a pattern occurs, as path:line: text; this file and the licence aside."""
    return [
        f"{path}:{n}: {line.strip()}"
        for path, text in texts()
        if path.name not in ("test_style.py", "LICENSE")
        for n, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_place_on_one_machine():
    assert lines_with(MACHINE_PATH) == []


def test_no_file_names_a_package_host():
    assert lines_with(INDEX_HOST) == []


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("x = '/work/main'", True),
        ("cd /tmp", True),
        ('p = Path("/home/me")', True),
        ("`/root/x`", True),
        ("models/work/x", False),
        ("../tmp/x", False),
        ("$out/tmp/", False),
        ("https://a.b/opt/x", False),
        ("a /works/", False),
    ],
)
def test_machine_paths_are_told_from_others(line, bad):
    assert bool(MACHINE_PATH.search(line)) == bad


def test_models_stay_small():
    size = sum(p.stat().st_size for p in tracked() if p.is_relative_to(ROOT / "models"))
    assert size <= MODELS_LIMIT_BYTES


def test_files_stay_readable():
    """Code fails beyond TOO_LONG; tests, being lists of claims, only warn."""
    lengths = {path: text.count("\n") for path, text in texts() if path.suffix == ".py"}
    long = sorted(f"{n} {path}" for path, n in lengths.items() if n > LONG)
    if long:
        warnings.warn(f"over {LONG} lines, split when next touched: {', '.join(long)}", stacklevel=1)
    assert [f"{n} {path}" for path, n in lengths.items() if n > TOO_LONG and path.parts[0] != "tests"] == []


def test_files_are_named_for_an_idea():
    assert [str(p.relative_to(ROOT)) for p in tracked() if p.name in VAGUE] == []


def test_scripts_can_be_run():
    scripts = [p for p in tracked() if p.parent.name in ("scripts", ".ci") and not p.suffix]
    assert scripts
    for path in scripts:
        head = path.read_text().splitlines()[:12]
        assert head[0].startswith("#!"), path
        assert path.stat().st_mode & 0o111, f"{path} is not executable"
        if "bash" in head[0]:
            assert "set -euo pipefail" in path.read_text(), path
