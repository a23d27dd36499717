"""Regenerate the tables and figures of the paper's Section V: reproduction/main.py."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # reproduction is not installed

from reproduction.main import main

if __name__ == "__main__":
    raise SystemExit(main())
