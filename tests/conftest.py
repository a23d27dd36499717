"""Fixtures and settings that all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# The same examples on every machine and run: a failure is never a coincidence of the day.
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")


def pytest_report_header() -> str:
    return ", ".join(f"{name}-{version(name)}" for name in ("numpy", "scipy", "gymnasium"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread for torch: small networks are quick, and results do not depend on cores."""
    if (torch := sys.modules.get("torch")) is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the public data sets; skips the test where it is absent."""
    folder = Path(os.environ.get("MEC_GYM_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no data sets here; name their folder in MEC_GYM_DATA")
    return folder
