"""Agents need torch, which the world alone does without."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")
