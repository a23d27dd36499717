"""Every number and switch of every policy: what no training could use is refused by its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import baselines
from dirs_agents import DIRS
from experiments import algorithm
from experiments.arguments import changes
from mec_gym import Scenario
from mec_gym.envs.sb3 import make_sb3_vec_env
from mec_gym.validation import require_bool, require_integer, require_number

SMALL = Scenario(n_devices=4, n_servers=2, name="small")
NEVER = ("abc", float("nan"), -1.5, [1], True)
"""What no number may be. None has a meaning where it is the default, and nowhere else."""

ALL: dict[Any, dict[str, tuple[Any, ...]]] = {
    DIRS: {
        **dict.fromkeys(("learning_rate", "l2_weight", "agent_loss_weight"), (None,)),
        **dict.fromkeys(("n_demonstrations", "pretrain_steps", "priority_exponent"), (None, -1)),
        **dict.fromkeys(("demonstration_population", "demonstration_generations"), (None, 0)),
        **dict.fromkeys(("buffer_size", "batch_size", "train_interval", "train_steps"), (None, 0)),
        **dict.fromkeys(("agent_priority", "demonstration_priority"), (None, 0)),
        **dict.fromkeys(("population", "generations", "threshold", "step_scale"), (None, 0)),
        **dict.fromkeys(("beta", "demonstration_beta"), (None, 0, 2)),
        "refine_interval": (0,),
        "stats_window_size": (None, 0),
        "epsilon": (None, 1.1),
    },
    baselines.ActorCritic: {
        **dict.fromkeys(("learning_rate", "ent_coef", "vf_coef"), (None, float("inf"))),
        **dict.fromkeys(("gamma", "gae_lambda"), (None, 1.1)),
        "batch_size": (None, 1),
        "max_grad_norm": (None, 0),
    },
    baselines.DDPG: {
        **dict.fromkeys(("learning_rate", "actor_rate", "noise"), (None, float("inf"))),
        **dict.fromkeys(("buffer_size", "batch_size", "train_freq", "n_steps"), (None, 0)),
        "learning_starts": (None, 0.5),
        "gradient_steps": (0, -2),
        "tau": (None, 0, 1.1),
        "gamma": (None, 1.1),
    },
    baselines.MADDPG: {
        **dict.fromkeys(("learning_rate", "noise", "level_noise", "logit_penalty"), (None,)),
        **dict.fromkeys(("buffer_size", "batch_size", "train_freq", "gradient_steps"), (None, 0)),
        **dict.fromkeys(("actor_rate", "max_grad_norm"), (None, 0)),
        "learning_starts": (None, 0.5),
        "tau": (None, 0, 1.1),
        "gamma": (None, 1),
    },
    baselines.QuotaOffloading: {"quota": (5,), "n_tuning_slots": (None, 0)},
    baselines.PostedPrices: {"discount": (0,), "n_tuning_slots": (None, 0)},
    baselines.ParticleSwarm: {
        "max_evaluations": (None, 0),
        "max_milliseconds": (0,),
        "population": (3,),
    },
}
ALL[baselines.DifferentialEvolution] = ALL[baselines.ParticleSwarm]


@pytest.mark.parametrize(
    ("cls", "name"), [(cls, name) for cls, names in ALL.items() for name in names]
)
def test_a_number_out_of_its_range_is_refused_by_name(cls: Any, name: str) -> None:
    env = make_sb3_vec_env(SMALL)
    for value in (*NEVER, *ALL[cls][name]):
        with pytest.raises(ValueError, match=rf"{name}\b.* must be an? .*; got ") as raised:
            cls(env=env, **{name: value})
        assert repr(value) in str(raised.value)


SWITCHES: tuple[tuple[Any, str], ...] = (
    (DIRS, "resample"),
    (baselines.RandomOffloading, "admission_limit"),
    (baselines.RemoteOffloading, "admission_limit"),
    (baselines.PostedPrices, "dropping"),
)


@pytest.mark.parametrize(("cls", "name"), SWITCHES)
def test_a_switch_takes_nothing_but_a_bool(cls: Any, name: str) -> None:
    env = make_sb3_vec_env(SMALL)
    for value in ("no", "false", "", 0, 1, None, []):
        with pytest.raises(TypeError, match=rf"{name} must be True or False .*true or false"):
            cls(env=env, **{name: value})
    for value in (False, np.bool_(False)):
        assert getattr(cls(env=env, **{name: value}), name) is False


def test_switches_on_a_command_line_are_json_or_refused() -> None:
    env = make_sb3_vec_env(SMALL)
    for words, name in (
        (["resample=no"], "resample"),
        (["policy_kwargs.admission=off"], "admission"),
    ):
        with pytest.raises(TypeError, match=rf"{name} must be .*true or false on a command line"):
            algorithm("dirs:prices", changes(words)).build(env)
    given = changes(["resample=false", "policy_kwargs.admission=false"])
    model = algorithm("dirs:prices", given).build(env)
    assert (model.resample, model.policy.admission) == (False, False)
    assert model.policy.bank.markdown == 1.0


@pytest.mark.parametrize("name", ["dirs", "dirs:prices", "ac", "ddpg", "maddpg", "sb3:PPO"])
def test_what_a_policy_does_not_know_is_refused_with_what_it_does(name: str) -> None:
    known = "hidden" if name == "dirs:prices" else "net_arch"
    with pytest.raises(TypeError, match=rf"policy_kwargs: .*{known[:-1]}.*did you mean '{known}'"):
        algorithm(name, {f"policy_kwargs.{known[:-1]}": [8]})


def test_dirs_itself_refuses_what_its_policy_does_not_know() -> None:
    with pytest.raises(TypeError, match=r"EnsemblePolicy.*did you mean 'net_arch'"):
        DIRS("EnsemblePolicy", make_sb3_vec_env(SMALL), policy_kwargs={"net_arc": [8]})


@pytest.mark.parametrize("cls", [DIRS, baselines.ActorCritic, baselines.DDPG, baselines.MADDPG])
def test_widths_of_networks_are_lists_of_counts(cls: Any) -> None:
    env = make_sb3_vec_env(SMALL)
    for net_arch in ([0], [8, -1], ["8"], [8.0], "abc", 8):
        with pytest.raises(ValueError, match=r"net_arch must be .*; got "):
            cls(env=env, policy_kwargs={"net_arch": net_arch})


@pytest.mark.parametrize("value", [0, -1, "a"])
@pytest.mark.parametrize("name", ["hidden", "markdown"])
def test_prices_of_no_use_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be .*; got "):
        DIRS("PricePolicy", make_sb3_vec_env(SMALL), policy_kwargs={name: value})


def test_numbers_of_numpy_are_numbers() -> None:
    require_integer("n", np.int32(3), 3, 3)
    require_number("x", np.float32(0.5), "(0, 1)")
    require_number("x", np.int64(1), "(0, 1]")
    assert require_bool("b", np.bool_(True)) is True
