"""Algorithms of a user's own that stop where a test wants them to."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")

# Run by the processes that a test starts, too: each stops itself in the slot that STOP_AT names, or
# in the gradient step ("step-7"), unless its seed is not that of STOP_SEED.
STOPPING = '''
"""Algorithms that end in the middle, as a fault would have it."""

import os
import signal
import time

from dirs_agents import DIRS
from stable_baselines3 import A2C, DDPG, PPO, SAC


def _perhaps_stop(model, place):
    at, seed = os.environ.get("STOP_AT"), os.environ.get("STOP_SEED")
    if at == place and seed in (None, str(model.seed)):
        os.environ.pop("STOP_AT")
        signal.raise_signal(getattr(signal, os.environ["STOP_WITH"]))


class Stopping:
    def _update_info_buffer(self, *args, **kwargs):
        super()._update_info_buffer(*args, **kwargs)
        _perhaps_stop(self, str(self.num_timesteps))


class Dirs(Stopping, DIRS):
    def _descend(self, *args):
        super()._descend(*args)
        _perhaps_stop(self, f"step-{self._n_updates}")


class OnPolicy(Stopping, A2C):
    pass


class Clipped(Stopping, PPO):
    pass


class OffPolicy(Stopping, SAC):
    pass


class Deterministic(Stopping, DDPG):
    pass


class Deaf(A2C):
    def _update_info_buffer(self, *args, **kwargs):
        super()._update_info_buffer(*args, **kwargs)
        if self.num_timesteps == 20:
            open("deaf", "w").close()
            time.sleep(600)
'''


@pytest.fixture(autouse=True)
def ctrl_c_counts() -> Iterator[None]:
    """Shells let what they run in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a module of the user's own, my_algorithms."""
    (tmp_path / "my_algorithms.py").write_text(STOPPING)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]
