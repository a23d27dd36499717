"""On a real local Ray the numbers are those of processes, and a lost worker costs one run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gymnasium.error import DependencyNotInstalled

from mec_bench import RunFolder, train
from mec_bench.matrix import run_matrix, tasks_of
from tests.mec_bench.harness_helpers import assert_same, final_weights, quick

DIRS = "my_algorithms:Dirs"


def test_without_ray_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from mec_bench.on_ray import RayTasks

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyNotInstalled, match=r'pip install "mec-gym\[ray\]"'):
        RayTasks(1)


@pytest.fixture
def cluster() -> Iterator[str]:
    """A Ray that is there before and after a matrix, as a cluster is."""
    ray = pytest.importorskip("ray")
    node = ray._private.node.Node(
        head=True,
        ray_params=ray._private.parameter.RayParams(num_cpus=2, include_dashboard=False),
        shutdown_at_exit=True,
    )
    yield node.address
    node.kill_all_processes(check_alive=False, allow_graceful=True)


@pytest.mark.slow
# Ray's own code leaves files and sockets to the garbage collector, and announces changes.
@pytest.mark.filterwarnings("ignore")
def test_a_local_ray_gives_the_numbers_of_processes(
    user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    from mec_bench.on_ray import RayTasks

    monkeypatch.setenv("STOP_AT", "29")
    monkeypatch.setenv("STOP_WITH", "SIGKILL")
    monkeypatch.setenv("STOP_SEED", "9")
    runs = [quick("dirs"), quick("sb3:A2C"), quick("greedy", 0), quick(DIRS, seed=9)]
    report = run_matrix(runs, user_folder / "ray", RayTasks(2))
    assert [one.state for one in report.outcomes] == ["done", "done", "done", "failed"]
    assert "its Ray worker was lost" in report.failures[0].reason
    for run, result in zip(runs, report.results, strict=False):
        assert result.slots == train(run, user_folder / "here" / run.place).slots
    monkeypatch.delenv("STOP_AT")
    again = run_matrix(runs, user_folder / "ray", RayTasks(1))
    assert [one.state for one in again.outcomes] == ["there", "there", "there", "done"]
    folder = tasks_of(runs, user_folder / "ray")[3].folder
    assert (folder / "progress-from-20.csv").exists()  # it went on
    train(runs[3], user_folder / "whole")
    assert_same(final_weights(folder, runs[3]), final_weights(user_folder / "whole", runs[3]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_without_a_shared_disk_brings_everything_back(
    user_folder: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mec_bench.on_ray import RayTasks

    runs = [quick("dirs"), quick(DIRS)]
    begun = tasks_of(runs, user_folder / "ray")[1].folder
    with monkeypatch.context() as patch:
        patch.setenv("STOP_AT", "29")
        patch.setenv("STOP_WITH", "SIGINT")
        with pytest.raises(KeyboardInterrupt):
            train(runs[1], begun)
    report = run_matrix(runs, user_folder / "ray", RayTasks(1, address=cluster))
    assert [one.state for one in report.outcomes] == ["done", "done"]
    for run, result in zip(runs, report.results, strict=True):
        assert result.slots == train(run, user_folder / "here" / run.place).slots
    status = RunFolder(begun).status()
    assert status is not None
    assert status.state == "done"
    assert (begun / "progress-from-29.csv").exists()  # what it had so far was sent along
    assert list(begun.glob("events.out.tfevents.*"))
