"""Make the leaderboard and the report page of every result.json below some folders."""

from __future__ import annotations

import argparse
from pathlib import Path

from mec_bench.cli import complain
from mec_bench.report import write_report
from mec_bench.results import read_results
from mec_gym.files import require_folder


def main() -> None:
    """Read, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="searched at every depth")
    parser.add_argument("--out", type=Path, default=Path("report"), help="folder of the report")
    parser.add_argument("--reference", help="the label that all others are compared with")
    given = parser.parse_args()
    with complain():
        require_folder(given.out)
        found = read_results(given.folders)
        files = write_report(found.results, found.problems, given.out, given.reference)
    print(f"{len(found.results)} results, {len(found.problems)} problems")
    for problem in found.problems:
        print(f"  {problem.file}: {problem.reason}")
    for file in files:
        print("wrote", file)


if __name__ == "__main__":
    main()
