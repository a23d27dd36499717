"""The same as ``mec-gym report``, from a clone."""

import sys

from mec_bench.cli import script

if __name__ == "__main__":
    sys.exit(script("report"))
