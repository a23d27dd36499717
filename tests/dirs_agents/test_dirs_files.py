"""Model files: no code runs on load, damage has a clear message, a failed save changes nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from dirs_agents import DIRS, EnsemblePolicy
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.packing import Format
from tests.dirs_agents.dirs_helpers import (
    FORCED,
    SMALL,
    TASKS,
    assert_same_weights,
    leftovers,
    make_env,
    make_model,
    observations_of,
    shaken,
)

FORMAT: Format = DIRS.file_format


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("models") / "model.zip"
    make_model().learn(6).save(path)
    return path


def rewritten(file: Path, target: Path, **parts: bytes) -> Path:
    """Copy a model file with some of its members replaced."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, parts.get(name.split(".")[0], old.read(name)))
    return target


def document_of(file: Path) -> dict[str, Any]:
    with zipfile.ZipFile(file) as archive:
        return dict(json.loads(archive.read("model.json")))


# -- round trips ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["db", "raw", "flat"])
@pytest.mark.parametrize("scenario", [SMALL, TASKS, FORCED], ids=["small", "tasks", "forced"])
@pytest.mark.parametrize("policy", ["EnsemblePolicy", "PricePolicy", "CentralPolicy"])
def test_a_model_comes_back(policy: str, scenario: Scenario, kind: str, tmp_path: Path) -> None:
    model = shaken(make_model(policy, make_env(scenario, observation=kind), batch_size=5))
    model.save(tmp_path / "model")
    again = DIRS.load(tmp_path / "model", device="cpu")
    assert_same_weights(again, model)
    assert again.batch_size == 5
    assert again.scenario == scenario
    assert again.observation_kind == kind
    assert again.observation_space == model.observation_space
    assert again.action_space == model.action_space
    assert type(again.policy) is type(model.policy)
    observations = observations_of(scenario, 4, kind)
    np.testing.assert_array_equal(again.predict(observations)[0], model.predict(observations)[0])


def test_a_loaded_model_keeps_every_setting(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "learning_rate": 0.02,
        "demonstrations": "optimal",
        "n_demonstrations": 7,
        "pretrain_steps": 2,
        "l2_weight": 0.3,
        "demonstration_population": 2,
        "demonstration_generations": 3,
        "demonstration_beta": 0.9,
        "hindsight_episodes": 4,
        "own_rounds": 2,
        "lesson_steps": 9,
        "buffer_size": 33,
        "batch_size": 6,
        "train_interval": 4,
        "train_steps": 5,
        "resample": True,
        "refine_interval": 6,
        "agent_loss_weight": 0.25,
        "loss": "vote",
        "priority_exponent": 0.3,
        "agent_priority": 0.5,
        "demonstration_priority": 0.6,
        "refinement": "classic-levy",
        "population": 3,
        "generations": 7,
        "beta": 1.1,
        "threshold": 0.9,
        "step_scale": 0.2,
        "allocation": "levy",
        "crossover": "shared",
        "signed": True,
        "flight_scale": 0.7,
        "selection": "whole",
        "demonstration_start": "best-gain",
        "epsilon": 0.4,
        "policy_kwargs": {"net_arch": [5, 6]},
        "tensorboard_log": str(tmp_path / "log"),
        "verbose": 0,
        "seed": 11,
        "stats_window_size": 7,
    }
    assert set(DIRS.hyperparameters()) == set(changes)
    model = make_model(**changes)
    model.save(tmp_path / "model")
    again = DIRS.load(tmp_path / "model", env=make_env(), device="cpu")
    for name in DIRS.hyperparameters():
        assert getattr(again, name) == getattr(model, name), name
    assert again._stats_window_size == 7
    assert_same_weights(again.learn(12), make_model(**changes).learn(12))


def test_settings_can_be_replaced_on_load(file: Path) -> None:
    again = DIRS.load(file, device="cpu", batch_size=3, learning_rate=0.5)
    assert again.batch_size == 3
    assert again.optimizer.param_groups[0]["lr"] == 0.5
    with pytest.raises(TypeError, match="did you mean 'batch_size'"):
        DIRS.load(file, device="cpu", batchsize=3)
    with pytest.raises(ValueError, match="train_interval"):
        DIRS.load(file, device="cpu", train_interval=0)


def test_a_loaded_model_refines_as_often_as_it_trains_and_takes_any_copies(file: Path) -> None:
    model = DIRS.load(file, train_interval=3, device="cpu")
    assert model.refine_interval is None
    model.set_env(make_sb3_vec_env(model.scenario, n_envs=3, seed=0))
    assert model.learn(6).num_timesteps == 6


def test_paths_with_and_without_suffix(file: Path, tmp_path: Path) -> None:
    model = DIRS.load(file, device="cpu")
    for name, written in (("a", "a.zip"), ("b.zip", "b.zip"), ("deep/er/c", "deep/er/c.zip")):
        model.save(tmp_path / name)
        assert (tmp_path / written).is_file()
        assert_same_weights(DIRS.load(tmp_path / name, device="cpu"), model)
        assert_same_weights(DIRS.load(str(tmp_path / name), device="cpu"), model)
    with pytest.raises(FileNotFoundError, match="nothing"):
        DIRS.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        DIRS.load(tmp_path)


def test_a_file_is_as_readable_as_any_other(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("x")
    FORMAT.write(tmp_path / "model", {"a": 1})
    assert (tmp_path / "model.zip").stat().st_mode == other.stat().st_mode


def test_a_loaded_model_goes_on_learning(file: Path) -> None:
    for env in (None, make_env()):
        model = DIRS.load(file, env=env, device="cpu")
        assert model.num_timesteps == 6
        if env is None:
            with pytest.raises(ValueError, match="needs an env"):
                model.learn(3)
            model.set_env(make_env())
        model.learn(3, reset_num_timesteps=False)
        assert model.num_timesteps == 9
        assert model.replay_buffer.n_demonstrations == 8


# -- no code runs -----------------------------------------------------------------------------


class Evil:
    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return (os.system, (f"touch {self.target}",))


@pytest.mark.parametrize("how", ["torch", "pickle", "inside"])
def test_a_malicious_file_is_refused_without_effect(how: str, file: Path, tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    evil = Evil(str(mark))
    packed = io.BytesIO()
    if how == "pickle":
        packed.write(pickle.dumps(evil))
    else:
        torch.save(evil if how == "torch" else {"/weights/x": torch.zeros(1), "y": evil}, packed)
    # The trap works where it is not disarmed.
    if how == "pickle":
        pickle.loads(packed.getvalue())
        assert mark.exists()
        mark.unlink()
    bad = rewritten(file, tmp_path / "bad.zip", **{"0": packed.getvalue()})
    with pytest.raises(ValueError, match=r"bad\.zip is damaged"):
        DIRS.load(bad)
    assert not mark.exists()


def test_a_document_cannot_name_a_class_to_import(file: Path, tmp_path: Path) -> None:
    document = document_of(file)
    document["content"]["policy"] = "os:system"
    bad = rewritten(file, tmp_path / "bad.zip", model=json.dumps(document).encode())
    with pytest.raises(ValueError, match="custom_objects"):
        DIRS.load(bad)


# -- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
def test_truncated_files_are_named(quarter: int, file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for cut in (len(whole) * quarter // 4, len(whole) * (quarter + 1) // 4 - 1):
        bad = tmp_path / "bad.zip"
        bad.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"bad\.zip"):
            DIRS.load(bad)


def test_flipped_bytes_never_pass_and_are_named(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    wanted = DIRS.load(file, device="cpu")
    chance = random.Random(0)
    # Every byte of the zip's own records, and some of the content.
    with zipfile.ZipFile(file) as archive:
        starts = [info.header_offset for info in archive.infolist()] + [archive.start_dir]
    records = [at for start in starts for at in range(start, start + 50) if at < len(whole)]
    places = [
        *records,
        *range(archive.start_dir, len(whole)),
        *chance.sample(range(len(whole)), 60),
    ]
    bad = tmp_path / "bad.zip"
    named = 0
    for place in places:
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << chance.randrange(8)
        bad.write_bytes(spoilt)
        try:
            content = FORMAT.read(bad)
        except ValueError as error:
            named += "bad.zip" in str(error)
        else:  # a byte that says nothing, such as a date
            named += 1
            for name, weight in content["weights"].items():
                np.testing.assert_array_equal(weight, wanted.policy.state_dict()[name])
    assert named == len(places)


def test_foreign_files_are_named(file: Path, tmp_path: Path) -> None:
    PPO("MlpPolicy", make_env(observation="flat"), n_steps=2, batch_size=2, device="cpu").save(
        tmp_path / "ppo"
    )
    (tmp_path / "empty.zip").write_bytes(b"")
    (tmp_path / "text.zip").write_text("a model, honestly")
    with zipfile.ZipFile(tmp_path / "hollow.zip", "w"):
        pass
    for name, message in (
        ("ppo", "own classes"),
        ("empty", "damaged"),
        ("text", "damaged"),
        ("hollow", "not a DIRS model"),
    ):
        with pytest.raises(ValueError, match=message) as found:
            DIRS.load(tmp_path / name)
        assert name in str(found.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "mec-gym/other"}, "mec-gym/dirs"),
        ({"format": None}, "mec-gym/dirs"),
        ({"version": 1}, "version 1.*reads version 2"),
        ({"version": "2"}, "version '2'"),
        ({"content": {}}, "damaged"),
        ({"content": []}, "damaged"),
    ],
)
def test_other_formats_and_versions_are_named(
    change: Any, message: str, file: Path, tmp_path: Path
) -> None:
    document = document_of(file) | change
    bad = rewritten(file, tmp_path / "bad.zip", model=json.dumps(document).encode())
    with pytest.raises(ValueError, match=message) as found:
        DIRS.load(bad)
    assert "bad.zip" in str(found.value)


@pytest.mark.parametrize("text", [b"[]", b"3", b"{", b"\xff\xfe", b""])
def test_documents_that_are_not_objects_are_named(text: bytes, file: Path, tmp_path: Path) -> None:
    bad = rewritten(file, tmp_path / "bad.zip", model=text)
    with pytest.raises(ValueError, match=r"bad\.zip"):
        DIRS.load(bad)


@pytest.mark.parametrize(
    "part", ["policy", "hyperparameters", "scenario", "observation", "weights"]
)
def test_a_missing_part_is_named(part: str, file: Path, tmp_path: Path) -> None:
    document = document_of(file)
    del document["content"][part]
    bad = rewritten(file, tmp_path / "bad.zip", model=json.dumps(document).encode())
    with pytest.raises(ValueError, match=r"bad\.zip"):
        DIRS.load(bad)


@pytest.mark.parametrize("part", [("memory",), ("replay",), ("pretraining", "lessons")])
def test_a_training_state_of_another_release_is_named(
    part: tuple[str, ...], file: Path, tmp_path: Path
) -> None:
    document = document_of(file)
    held = document["content"]["training"]["own"]
    for name in part[:-1]:
        held = held[name]
    del held[part[-1]]
    bad = rewritten(file, tmp_path / "bad.zip", model=json.dumps(document).encode())
    with pytest.raises(ValueError, match=rf"bad\.zip .* another release wrote it.* '{part[-1]}'"):
        DIRS.load(bad)


def test_weights_that_do_not_fit_are_named(file: Path, tmp_path: Path) -> None:
    document = document_of(file)
    weights = document["content"]["weights"]
    first, second = list(weights)[:2]
    missing = {name: value for name, value in weights.items() if name != first}
    swapped = weights | {first: weights[second], second: weights[first]}
    for changed, message in (
        (missing, first),
        (weights | {"more": weights[first]}, "more"),
        (swapped, "size mismatch|shape"),
    ):
        document["content"]["weights"] = changed
        bad = rewritten(file, tmp_path / "bad.zip", model=json.dumps(document).encode())
        with pytest.raises(ValueError, match=message) as found:
            DIRS.load(bad, device="cpu")
        assert "bad.zip" in str(found.value)


# -- other sizes ------------------------------------------------------------------------------


def test_networks_fit_their_numbers_only(file: Path) -> None:
    for other, message in (
        (SMALL.replace(n_devices=5), "N=4.*N=5"),
        (SMALL.replace(n_servers=3), "M=2.*M=3"),
        (SMALL.replace(cycles=TASKS.cycles), r"further columns \[\].*\['cycles'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            DIRS.load(file, env=make_env(other))


def test_prices_decide_for_any_numbers(tmp_path: Path) -> None:
    model = shaken(make_model("PricePolicy")).learn(6)
    model.save(tmp_path / "model")
    for changes in ({"n_devices": 9}, {"n_servers": 4}, {"n_devices": 30, "n_servers": 7}):
        other = SMALL.replace(**changes)
        again = DIRS.load(tmp_path / "model", env=make_env(other), device="cpu")
        assert_same_weights(again, model)
        assert again.replay_buffer.size == 0
        decision, _ = again.predict(observations_of(other, 3))
        assert decision.shape == (3, other.n_devices)
        again.learn(6)
        again.save(tmp_path / "other")
        assert DIRS.load(tmp_path / "other").scenario.n_devices == other.n_devices
        assert again.agent(other.n_servers).size == other.n_devices
    with pytest.raises(ValueError, match="further columns"):
        DIRS.load(tmp_path / "model", env=make_env(TASKS))


def test_prices_know_the_env_they_decide_in(tmp_path: Path) -> None:
    """The weights are shared: where they decide, the servers' own speeds count."""
    model = shaken(make_model("PricePolicy"))
    model.save(tmp_path / "model")
    fast = SMALL.replace(server_frequency_hz=1e12)
    slow = SMALL.replace(server_frequency_hz=1e8)
    observations = observations_of(SMALL, 20)
    offloaded = [
        (DIRS.load(tmp_path / "model", env=make_env(s)).predict(observations)[0] > 0).sum()
        for s in (slow, fast)
    ]
    assert offloaded[0] < offloaded[1]


class Own(EnsemblePolicy):
    pass


def test_a_policy_of_ones_own_is_given_again(tmp_path: Path) -> None:
    model = make_model(Own, policy_kwargs={"net_arch": [8]}).learn(3)
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"Own.*custom_objects"):
        DIRS.load(tmp_path / "model")
    again = DIRS.load(tmp_path / "model", custom_objects={"policy": Own}, device="cpu")
    assert type(again.policy) is Own
    assert_same_weights(again, model)


def test_what_no_file_can_hold_is_refused_by_its_place(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="/a/b cannot be stored: object"):
        FORMAT.write(tmp_path / "x", {"a": {"b": object()}})
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "uint32", "int64", "float32", "float64", "bool"]
)
def test_arrays_and_numbers_come_back_exactly(dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(0, 2, (3, 4)).astype(dtype)
    content = {
        "array": array,
        "view": array[::2, 1:],
        "empty": array[:0],
        "big": 2**127 + 1,
        "none": None,
        "list": [1.5, "x", {"y": array[0]}],
        "scalar": array[0, 0],
        "nan": float("nan"),
        "tensor": torch.arange(3),
    }
    array.flags.writeable = False
    FORMAT.write(tmp_path / "x", content)
    back = FORMAT.read(tmp_path / "x", tensor=torch.from_numpy)
    for name in ("array", "view", "empty"):
        assert back[name].dtype == content[name].dtype
        np.testing.assert_array_equal(back[name], content[name])
    assert back["big"] == 2**127 + 1
    assert back["none"] is None
    np.testing.assert_array_equal(back["list"][2]["y"], array[0])
    assert back["scalar"] == array[0, 0].item()
    assert np.isnan(back["nan"])
    assert torch.equal(back["tensor"], torch.arange(3))


# -- a save that fails ------------------------------------------------------------------------


def broken(*_: Any, **__: Any) -> Any:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("where", ["os.fsync", "os.replace", "zipfile.ZipFile.writestr"])
@pytest.mark.parametrize("error", ["full", "interrupted"])
def test_a_failed_save_keeps_the_old_file(
    where: str, error: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model.zip"
    shutil.copy(file, target)
    before = target.read_bytes()
    model = make_model(seed=5)

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(where, broken if error == "full" else interrupted)
        kind = OSError if error == "full" else KeyboardInterrupt
        with pytest.raises(kind):
            model.save(target)
        with pytest.raises(kind):
            model.save(tmp_path / "new")
    assert target.read_bytes() == before
    assert leftovers(tmp_path) == ["model.zip"]
    model.save(target)
    assert_same_weights(DIRS.load(target, device="cpu"), model)
    assert leftovers(tmp_path) == ["model.zip"]


def test_a_full_disk_keeps_the_old_file(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing stops in the middle of a member, as when the disk fills up."""
    target = tmp_path / "model.zip"
    shutil.copy(file, target)
    before = target.read_bytes()
    opened = io.open

    class Full(io.RawIOBase):
        def __init__(self, raw: Any) -> None:
            self.raw, self.room = raw, 3000

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.room -= len(data)
            if self.room < 0:
                raise OSError(28, "No space left on device")
            return int(self.raw.write(data))

        def seekable(self) -> bool:
            return False

        def fileno(self) -> int:
            return int(self.raw.fileno())

        def close(self) -> None:
            self.raw.close()
            super().close()

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.io, "open", lambda *args: Full(opened(*args)))
        with pytest.raises(OSError, match="space"):
            make_model(seed=5).save(target)
    assert target.read_bytes() == before
    assert leftovers(tmp_path) == ["model.zip"]


SAVER = """
import sys
sys.path.insert(0, {here!r})
from tests.dirs_agents.dirs_helpers import make_model
model = make_model(policy_kwargs={{"net_arch": [400, 400]}})
print("ready", flush=True)
while True:
    model.save(sys.argv[1])
"""


@pytest.mark.slow
def test_a_process_killed_while_saving_leaves_a_whole_file(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "model.zip"
    script = SAVER.format(here=str(Path(__file__).parents[2]))
    for trial in range(2):
        shutil.copy(file, target)
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(target)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05 + 0.13 * trial)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        DIRS.load(target, device="cpu")
