"""The wheel is whole: models ride along, tests do not, and what is installed from it runs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODELS = sorted(p.parent.name for p in (ROOT / "models").glob("*/card.json"))


def run(*argv: str, cwd: Path, **environment: str) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel) -> Path:
    """A folder with the wheel installed and nothing else."""
    target = wheel.parent / "site"
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(target),
        str(wheel),
        cwd=wheel.parent,
    )
    return target


def test_wheel_holds_models_types_and_licence_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert MODELS, "there is no model to ship"
    for model in MODELS:
        assert f"misr/models/{model}/card.json" in names
        assert f"misr/models/{model}/weights.safetensors" in names
    assert "misr/py.typed" in names
    assert any(n.endswith("licenses/LICENSE") for n in names)
    rooms = {n.split("/")[0] for n in names}
    assert rooms == {"misr", wheel.name.split("-py3")[0] + ".dist-info"}
    assert not [n for n in names if "test" in Path(n).name or n.endswith(".pyc")]


def test_every_module_of_the_checkout_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    here = {p.relative_to(ROOT).as_posix() for p in (ROOT / "misr").rglob("*.py")}
    assert here <= names


def test_the_files_of_a_page_are_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    here = {p.relative_to(ROOT).as_posix() for p in (ROOT / "misr" / "report" / "assets").iterdir()}
    assert {Path(name).suffix for name in here} == {".html", ".css", ".js"}
    assert here <= names


def test_the_installed_wheel_finds_its_models(installed):
    code = "import misr, misr.zoo as z; print(misr.__file__); print(*z.names()); z.build(z.names()[0])"
    where, names = run(sys.executable, "-c", code, cwd=installed.parent, PYTHONPATH=str(installed)).splitlines()
    assert Path(where).is_relative_to(installed)
    assert set(MODELS) <= set(names.split())


def test_the_installed_command_runs(installed):
    said = run(sys.executable, "-m", "misr", "--version", cwd=installed.parent, PYTHONPATH=str(installed))
    assert said.split() == ["misr", "0.1.0"]
    assert (installed / "bin" / "misr").exists()


def test_the_checkout_finds_its_models():
    code = "import misr.zoo as z; print(*z.names())"
    names = run(sys.executable, "-c", code, cwd=ROOT, PYTHONPATH=str(ROOT))
    assert set(MODELS) <= set(names.split())
