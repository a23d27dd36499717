"""What a run ran on: versions, commit, processor, threads."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import torch

import mec_gym
from mec_bench.results import System

PACKAGES = (
    "gymnasium",
    "numpy",
    "pymoo",
    "sb3-contrib",
    "scipy",
    "stable-baselines3",
    "tensorboard",
    "torch",
)
"""Those that can change a figure."""


def system() -> System:
    """Return what this process runs on."""
    commit, modified = _commit()
    return System(
        versions=_versions(),
        commit=commit,
        modified=modified,
        processor=_processor(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
    )


@functools.cache
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "mec-gym": mec_gym.__version__}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
    return versions


@functools.cache
def _commit() -> tuple[str | None, bool | None]:
    """Return the commit that this code is of and whether files differ, or None for a package."""
    root = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # A checkout of something else may lie around an installed package.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return None, None
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "-uno"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


@functools.cache
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not a Linux
    return platform.processor() or platform.machine() or "unknown"
