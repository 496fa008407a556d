"""`misr doctor` tells what is so: encoders are tried, not looked up."""

import tomllib
from pathlib import Path

import av
import pytest

from misr.cli.doctor import OPTIONAL, doctor
from misr.io import probe


@pytest.mark.parametrize("name", ["libx264", "libx265", "libsvtav1", "prores_ks", "ffv1", "dnxhd", "gif"])
def test_a_working_encoder_has_no_fault(name):
    assert probe.encoder_fault(name) == ""


def test_an_unknown_encoder_has_one():
    assert probe.encoder_fault("libnothing") == "not in this build"


def test_an_encoder_that_does_not_open_has_one(monkeypatch):
    monkeypatch.setitem(probe.FORMAT, "libx264", "rgb24")  # it takes no RGB
    assert probe.encoder_fault("libx264")


def test_hardware_encoders_are_believed_only_after_a_frame():
    for name, fault in probe.encoders(probe.HARDWARE).items():
        assert fault or name in av.codecs_available


def test_usual_encoders_are_there():
    for container in ("matroska", "mp4", "webm"):
        for depth in (8, 10):
            assert probe.encoder_fault(probe.usual_encoder(container, depth)) == ""


def test_doctor_knows_every_extra_that_a_command_may_ask_for():
    told = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    extras = told["project"]["optional-dependencies"]
    asked = set(extras) - {"dev", "vapoursynth"}  # of people who develop, and of a host
    assert {extra for _, _, extra in OPTIONAL} == asked
    assert all(any(line.startswith(package) for line in extras[extra]) for package, _, extra in OPTIONAL)


def test_doctor_prints_a_name_and_a_value_a_line(capfd):
    doctor()
    out, err = capfd.readouterr()
    said = dict(
        line.split(maxsplit=1) for line in out.splitlines() if not line.startswith(("default", "hardware", "CPU"))
    )
    assert said["libx264"] == "works"
    assert said["PyAV"].startswith(av.__version__)
    assert all(len(line.split()) >= 2 for line in out.splitlines())
    assert "default model" in out
    assert "bf16" in out
    assert err == "", "an encoder wrote to stderr"
