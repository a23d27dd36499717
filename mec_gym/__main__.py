"""``python -m mec_gym`` is the command ``mec-gym``, where mec_bench is installed beside."""

import importlib
import sys

if __name__ == "__main__":
    # By name: mec_gym knows nothing above it.
    sys.exit(importlib.import_module("mec_bench.cli").main())
