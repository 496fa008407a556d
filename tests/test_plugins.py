"""What every folder under plugins/ owes: its own small distribution, only public names of misr, a README, a row in the table."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import misr

PLUGINS = Path(__file__).resolve().parent.parent / "plugins"
FOLDERS = sorted(p.name for p in PLUGINS.iterdir() if (p / "pyproject.toml").exists())
CODE = sorted(p.relative_to(PLUGINS).as_posix() for p in PLUGINS.rglob("*.py"))
MOST_LINES = 155


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of every import; name is "" where the module itself is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.module, alias.name) for alias in node.names)


def test_there_is_a_plugin_for_every_host_named_on_the_tin():
    assert set(FOLDERS) == {"comfyui", "ffmpeg", "gstreamer", "pyav", "vapoursynth"}
    assert {p.name for p in PLUGINS.iterdir() if p.is_dir() and p.name != "__pycache__"} == set(FOLDERS)


@pytest.mark.parametrize("name", CODE)
def test_a_plugin_uses_public_names_of_misr_alone(name):
    tree = ast.parse((PLUGINS / name).read_text(encoding="utf-8"))
    for module, what in imported(tree):
        assert not module.startswith("misr."), f"{name} imports {module}"
        assert module != "misr" or what in ("", *misr.__all__), f"{name} imports {what} from misr"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "misr":
            assert node.attr in misr.__all__, f"{name} uses misr.{node.attr}"


@pytest.mark.parametrize("name", CODE)
def test_a_plugin_is_thin(name):
    assert len((PLUGINS / name).read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_plugin_says_what_it_is(folder):
    project = tomllib.loads((PLUGINS / folder / "pyproject.toml").read_text())["project"]
    assert project["version"] == misr.__version__
    assert project["license"] == "Apache-2.0"
    assert any(need.split(">")[0].split("=")[0].strip() == "misr" for need in project["dependencies"])
    readme = (PLUGINS / folder / "README.md").read_text(encoding="utf-8")
    assert project["name"] in readme
    row = next(line for line in (PLUGINS / "README.md").read_text().splitlines() if f"]({folder}/" in line)
    assert row.startswith("|")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_plugins_wheel_holds_its_code(folder, tmp_path):
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    done = subprocess.run([*command, str(PLUGINS / folder)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for path in (p for p in CODE if p.startswith(f"{folder}/")):
        assert any(n.endswith(Path(path).name) for n in names), f"{path} is not in {wheel.name}"
    assert not [n for n in names if "test" in n or n.endswith(".pyc")]
