"""Skips for want of a GPU or of data are skips, and become failures when asked; side by side too, with a thread each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

CONFTEST = Path(__file__).with_name("conftest.py")


def outcome(folder: Path, body: str, *options: str, **environment: str) -> str:
    """The last line of pytest with options over one test file beside a copy of conftest.py, far from any data."""
    tests = folder / "checkout" / "tests"
    tests.mkdir(parents=True)
    (tests / "conftest.py").write_text(CONFTEST.read_text())
    (tests / "test_it.py").write_text("import pytest\n" + body)
    (folder / "checkout" / "pytest.ini").write_text("[pytest]\nmarkers =\n    gpu: x\n    shared_data: x\n")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MISR_", "PYTEST_", "OMP_"))}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(tests)],
        cwd=folder / "checkout",
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return run.stdout.strip().splitlines()[-1]


def test_missing_data_is_a_skip_or_by_request_a_failure(tmp_path):
    body = "def test_a(shared_data): assert shared_data.is_dir()\n"
    assert outcome(tmp_path / "a", body).startswith("1 skipped")
    assert outcome(tmp_path / "b", body, MISR_REQUIRE_DATA="1").startswith(("1 failed", "1 error"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_a_skip_or_by_request_a_failure(tmp_path):
    body = "@pytest.mark.gpu\ndef test_a(): pass\n"
    assert outcome(tmp_path / "a", body).startswith("1 skipped")
    assert outcome(tmp_path / "b", body, MISR_REQUIRE_GPU="1").startswith(("1 failed", "1 error"))


def test_side_by_side_each_process_has_one_thread_and_skips_are_counted(tmp_path):
    body = "import os, torch\ndef test_a(shared_data): pass\ndef test_b():\n    "
    body += "assert (os.environ['PYTEST_XDIST_WORKER_COUNT'], os.environ['OMP_NUM_THREADS']) == ('2', '1')\n    "
    body += "assert torch.get_num_threads() == 1\n"
    assert outcome(tmp_path, body, "-n", "2").startswith("1 passed, 1 skipped")
