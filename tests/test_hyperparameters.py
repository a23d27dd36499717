"""Every number and switch of every policy: what no training could use is refused by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from torch.nn import ReLU

import baselines
from baselines.learners.link_actor import LinkActorPolicy
from baselines.policies import SearchPolicy
from dirs_agents import DIRS
from mec_bench import algorithm
from mec_bench.registry import changes
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
        "flight_scale": (None, 0),
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
        "stats_window_size": (None, 0, 1.5, "3"),
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
        "stats_window_size": (None, 0, 1.5, "3"),
    },
    baselines.DROO: {
        **dict.fromkeys(("buffer_size", "batch_size", "train_interval"), (None, 0)),
        **dict.fromkeys(("n_candidates", "delta"), (0,)),
        "learning_rate": (None,),
        "stats_window_size": (None, 0, 1.5, "3"),
    },
    baselines.MAPPO: {
        **dict.fromkeys(("max_grad_norm", "clip_range"), (None, 0)),
        **dict.fromkeys(("n_steps", "gradient_steps", "batch_size"), (0,)),
        "learning_rate": (None, float("inf")),
        "ent_coef": (float("inf"),),
        "gamma": (1.1,),
        "gae_lambda": (None, 1.1),
        "stats_window_size": (None, 0, 1.5, "3"),
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
LEARNERS = (
    DIRS,
    baselines.ActorCritic,
    baselines.DDPG,
    baselines.DROO,
    baselines.MADDPG,
    baselines.MAPPO,
)
RULES = (
    baselines.DifferentialEvolution,
    baselines.GreedyOffloading,
    baselines.LocalExecution,
    baselines.Optimal,
    baselines.ParticleSwarm,
    baselines.PostedPrices,
    baselines.QuotaOffloading,
    baselines.RandomOffloading,
    baselines.RemoteOffloading,
)
for _cls in RULES:
    ALL[_cls] = ALL.get(_cls, {}) | {"stats_window_size": (None, 0, 1.5, "3")}
for _cls in (*LEARNERS, *RULES):
    ALL[_cls] = ALL[_cls] | {"seed": (1.5, 2**32)}


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
    (DIRS, "signed"),
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


@pytest.mark.parametrize(
    "name", ["dirs", "dirs:prices", "ac", "ddpg", "droo", "maddpg", "mappo", "sb3:PPO"]
)
def test_what_a_policy_does_not_know_is_refused_with_what_it_does(name: str) -> None:
    known = {"dirs:prices": "hidden", "mappo": "width"}.get(name, "net_arch")
    with pytest.raises(TypeError, match=rf"policy_kwargs.*{known[:-1]}.*did you mean '{known}'"):
        algorithm(name, {f"policy_kwargs.{known[:-1]}": [8]})


def test_dirs_itself_refuses_what_its_policy_does_not_know() -> None:
    with pytest.raises(TypeError, match=r"EnsemblePolicy.*did you mean 'net_arch'"):
        DIRS("EnsemblePolicy", make_sb3_vec_env(SMALL), policy_kwargs={"net_arc": [8]})


@pytest.mark.parametrize("cls", [cls for cls in LEARNERS if cls is not baselines.MAPPO])
def test_widths_of_networks_are_lists_of_counts(cls: Any) -> None:
    env = make_sb3_vec_env(SMALL)
    for net_arch in ([0], [8, -1], ["8"], [8.0], "abc", 8):
        with pytest.raises(ValueError, match=r"net_arch must be .*; got "):
            cls(env=env, policy_kwargs={"net_arch": net_arch})


NETWORKS: dict[Any, tuple[str, str]] = {
    baselines.ActorCritic: ("pi", "vf"),
    baselines.DDPG: ("pi", "qf"),
    baselines.MADDPG: ("pi", "qf"),
}


@pytest.mark.parametrize("cls", NETWORKS)
def test_networks_have_one_list_each_or_one_for_all(cls: Any, tmp_path: Path) -> None:
    env, names = make_sb3_vec_env(SMALL), NETWORKS[cls]
    for net_arch in ([8, 4], (8, 4), [np.int64(8), 4], dict.fromkeys(names, (8, 4))):
        model = cls(env=env, policy_kwargs={"net_arch": net_arch}, device="cpu", seed=0)
        each = cls(
            env=env,
            policy_kwargs={"net_arch": {name: [8, 4] for name in names}},
            device="cpu",
            seed=0,
        )
        assert_same_policies(model, each)
        model.save(tmp_path / "model")
        assert_same_policies(cls.load(tmp_path / "model", device="cpu"), each)


@pytest.mark.parametrize("cls", NETWORKS)
def test_networks_that_there_are_not_are_refused(cls: Any) -> None:
    env, (actor, critic) = make_sb3_vec_env(SMALL), NETWORKS[cls]
    other = {"vf": "qf", "qf": "vf"}[critic]
    wrong: list[Any] = [{actor: [8], other: [8]}, {actor: [8], critic: [8], other: [8]}, {1: [8]}]
    if cls is not baselines.ActorCritic:  # there, what is not named has no hidden layer
        wrong += [{actor: [8]}, {critic: [8]}, {}]
    for net_arch in wrong:
        with pytest.raises(
            ValueError, match=rf"net_arch must be .*'{actor}' and '{critic}'.*; got"
        ):
            cls(env=env, policy_kwargs={"net_arch": net_arch})


@pytest.mark.parametrize("net_arch", [[], {"pi": [8], "qf": []}])
def test_agents_without_a_hidden_layer_are_refused(net_arch: Any) -> None:
    with pytest.raises(ValueError, match=r"net_arch must be 1 hidden width or more; got \[\]"):
        baselines.MADDPG(env=make_sb3_vec_env(SMALL), policy_kwargs={"net_arch": net_arch})


@pytest.mark.parametrize("cls", LEARNERS)
def test_what_is_no_dict_no_policy_and_no_env_is_refused(cls: Any) -> None:
    env = make_sb3_vec_env(SMALL)
    for value in ([1], "abc", 3):
        with pytest.raises(TypeError, match=r"policy_kwargs must be a dict .*; got "):
            cls(env=env, policy_kwargs=value)
    for policy in (3, None, int):
        with pytest.raises(TypeError, match=r"policy must be .*Policy.*; got "):
            cls(env=env, policy=policy)
    with pytest.raises(ValueError, match=r"policy must be one of .*; got 'Nope'"):
        cls(env=env, policy="Nope")
    with pytest.raises(TypeError, match=r"env must be an env, such as gymnasium.make.*; got "):
        cls(env=SMALL)


@pytest.mark.parametrize("cls", [baselines.DDPG, baselines.MADDPG])
def test_how_often_and_how_to_explore_is_said_by_name(cls: Any) -> None:
    env = make_sb3_vec_env(SMALL)
    for value in ((), (1,), (1, "step", 2)):
        with pytest.raises(ValueError, match=r"train_freq must be .*\(1, 'episode'\); got "):
            cls(env=env, train_freq=value)
    for noise in ("x", 0.3):
        with pytest.raises(TypeError, match=r"action_noise must be an ActionNoise.*; got "):
            cls(env=env, action_noise=noise)


@pytest.mark.parametrize("kind", ["x", 3, dict])
def test_a_buffer_of_another_kind_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"replay_buffer_class must be a subclass .*; got "):
        baselines.DDPG(env=make_sb3_vec_env(SMALL), replay_buffer_class=kind)


@pytest.mark.parametrize("cls", [baselines.ParticleSwarm, baselines.DifferentialEvolution])
def test_options_of_a_search_are_a_dict_whose_numbers_are_kept(cls: Any, tmp_path: Path) -> None:
    env = make_sb3_vec_env(SMALL)
    with pytest.raises(TypeError, match=r"options must be a dict .*; got 3"):
        cls(env=env, options=3)
    cls(env=env, options={"w": np.float32(0.5)}).save(tmp_path / "model")
    assert cls.load(tmp_path / "model").options == {"w": 0.5}


@pytest.mark.parametrize(
    ("cls", "name", "values"),
    [
        (baselines.DDPG, "temperature", (0, -1.0, "x", float("nan"), True)),
        (baselines.DDPG, "output_scale", (-1.0, "x", None, float("nan"))),
        (baselines.MADDPG, "layer_norm", ("no", 1, None)),
    ],
)
def test_arguments_of_policies_are_refused_by_name(
    cls: Any, name: str, values: tuple[Any, ...]
) -> None:
    env = make_sb3_vec_env(SMALL)
    for value in values:
        with pytest.raises((TypeError, ValueError), match=rf"{name} must be .*; got "):
            cls(env=env, policy_kwargs={name: value})


@pytest.mark.parametrize("cls", NETWORKS)
def test_a_class_by_its_name_is_refused(cls: Any) -> None:
    for name in ("activation_fn", "optimizer_class"):
        with pytest.raises(TypeError, match=rf"{name} in policy_kwargs must be a class; got 'x'"):
            cls(env=make_sb3_vec_env(SMALL), policy_kwargs={name: "x"})


@pytest.mark.parametrize("views", [3, "x", [0, 1], [["a"], ["b"]], [[True], [False]]])
def test_views_that_name_no_entries_are_refused(views: Any) -> None:
    with pytest.raises(ValueError, match=r"views must .*; got "):
        baselines.MADDPG(env=make_sb3_vec_env(SMALL), views=views)


@pytest.mark.parametrize("value", [0, -1, "a"])
@pytest.mark.parametrize("name", ["hidden", "markdown"])
def test_prices_of_no_use_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be .*; got "):
        DIRS("PricePolicy", make_sb3_vec_env(SMALL), policy_kwargs={name: value})


def assert_same_policies(left: Any, right: Any) -> None:
    mine, theirs = left.policy.state_dict(), right.policy.state_dict()
    assert mine.keys() == theirs.keys()
    for name, weights in mine.items():
        assert weights.equal(theirs[name]), name


RATES = (np.float32(1e-3), np.float64(1e-3), np.int64(1), np.float16(1e-3), 1)


@pytest.mark.parametrize("cls", LEARNERS)
@pytest.mark.parametrize("rate", RATES)
def test_a_rate_of_numpy_is_that_of_python(cls: Any, rate: Any, tmp_path: Path) -> None:
    few: dict[str, Any] = {"seed": 0, "device": "cpu"}
    few |= {"n_demonstrations": 2, "pretrain_steps": 1} if cls is DIRS else {}
    learning = {"learning_starts": 2} if cls in (baselines.DDPG, baselines.MADDPG) else {}
    models = []
    for given in (rate, float(rate)):
        model = cls(env=make_sb3_vec_env(SMALL), learning_rate=given, **few, **learning)
        model.learn(16)
        assert type(model.learning_rate) in (int, float)
        assert model.learning_rate == given
        models.append(model)
    assert_same_policies(*models)
    models[0].save(tmp_path / "model")
    for changed in ({}, {"learning_rate": rate}):
        found = cls.load(tmp_path / "model", device="cpu", **changed)
        assert type(found.learning_rate) in (int, float)
        assert found.learning_rate == rate
        assert_same_policies(found, models[0])


@pytest.mark.parametrize("cls", [*LEARNERS, *RULES])
def test_seeds_and_counts_of_numpy_are_kept(cls: Any, tmp_path: Path) -> None:
    given: dict[str, Any] = {"seed": np.int64(3)}
    given |= {} if cls is baselines.DDPG else {"stats_window_size": np.int64(7)}
    given |= {"batch_size": np.int32(8)} if cls in LEARNERS else {}
    given |= {"train_freq": np.int64(2)} if cls in (baselines.DDPG, baselines.MADDPG) else {}
    given |= {"population": np.int64(20)} if issubclass(cls, SearchPolicy) else {}
    given |= {"delta": np.int64(4), "n_candidates": np.int64(3)} if cls is baselines.DROO else {}
    given |= {"n_demonstrations": 2, "pretrain_steps": 1} if cls is DIRS else {}
    given |= {"quota": np.int64(1)} if cls is baselines.QuotaOffloading else {}
    given |= {"discount": np.float32(0.5)} if cls is baselines.PostedPrices else {}
    model = cls(env=make_sb3_vec_env(SMALL), **given)
    model.learn(0 if cls in RULES else 8)
    model.save(tmp_path / "model")
    found = cls.load(tmp_path / "model")
    for name in given.keys() - {"stats_window_size", "train_freq"}:
        assert getattr(found, name) == given[name]
        assert type(getattr(found, name)) in (int, float)


class WithAClass(LinkActorPolicy):
    def __init__(self, *args: Any, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


def test_what_no_file_holds_is_refused_before_training() -> None:
    env = make_sb3_vec_env(SMALL)
    with pytest.raises(TypeError, match="policy_kwargs/activation cannot be stored: type"):
        baselines.MAPPO(WithAClass, env, policy_kwargs={"activation": ReLU})


@pytest.mark.parametrize("cls", [baselines.ActorCritic, baselines.MADDPG, baselines.Optimal])
def test_a_window_can_be_changed_when_a_model_is_loaded(cls: Any, tmp_path: Path) -> None:
    env = make_sb3_vec_env(SMALL)
    cls(env=env, seed=0).save(tmp_path / "model")
    model = cls.load(tmp_path / "model", env=env, stats_window_size=3).learn(8)
    assert model.ep_info_buffer.maxlen == 3
    with pytest.raises(ValueError, match=r"stats_window_size must be an integer >= 1; got 0"):
        cls.load(tmp_path / "model", stats_window_size=0)


@pytest.mark.parametrize("cls", [baselines.ActorCritic, baselines.DDPG, baselines.MADDPG])
def test_a_file_with_what_no_training_could_use_says_which_and_the_way_out(
    cls: Any, tmp_path: Path
) -> None:
    model = cls(env=make_sb3_vec_env(SMALL), seed=0, device="cpu")
    name = "batch_size" if cls is baselines.ActorCritic else "gradient_steps"
    setattr(model, name, 0)
    model.save(tmp_path / "model")
    words = rf"model does not hold a usable {cls.__name__}: {name}.*; got 0.* given to load\(\)"
    with pytest.raises(ValueError, match=words):
        cls.load(tmp_path / "model")
    with pytest.raises(ValueError, match=words):
        cls.load(tmp_path / "model", learning_rate=1e-3)
    found = cls.load(tmp_path / "model", **{name: 4})
    assert getattr(found, name) == 4
    assert_same_policies(found, model)


GIVEN: tuple[tuple[Any, str, Any], ...] = (
    *(
        (cls, name, value)
        for cls in (baselines.ActorCritic, baselines.DDPG, baselines.MADDPG)
        for name, value in (
            ("batch_size", 0),
            ("learning_rate", -1),
            ("seed", 1.5),
            ("stats_window_size", 0),
            ("gamma", "x"),
        )
    ),
    (baselines.DDPG, "replay_buffer_class", dict),
    (baselines.MADDPG, "action_noise", 3),
    (baselines.MADDPG, "gradient_steps", 0),
    (baselines.MADDPG, "train_freq", (1,)),
    (baselines.MADDPG, "views", [[99], [0]]),
)


@pytest.mark.parametrize(("cls", "name", "value"), GIVEN)
def test_a_file_is_not_blamed_for_the_callers_argument(
    cls: Any, name: str, value: Any, tmp_path: Path
) -> None:
    cls(env=make_sb3_vec_env(SMALL), seed=0, device="cpu").save(tmp_path / "model")
    for env in (None, make_sb3_vec_env(SMALL)):
        with pytest.raises((TypeError, ValueError), match=rf"^argument of load\(\): .*{name}") as e:
            cls.load(tmp_path / "model", env, **{name: value})
        assert str(tmp_path) not in str(e.value)


def test_what_no_argument_replaces_gets_no_such_hint(tmp_path: Path) -> None:
    model = baselines.ActorCritic(env=make_sb3_vec_env(SMALL), device="cpu")
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"model cannot be loaded as .* with policy_kwargs given"):
        baselines.ActorCritic.load(tmp_path / "model", policy_kwargs={})
    model.policy_kwargs = {"optimizer_class": "x"}
    model.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"does not hold a usable .*; got 'x'\.$"):
        baselines.ActorCritic.load(tmp_path / "model")


@pytest.mark.parametrize("cls", [baselines.ActorCritic, baselines.DDPG, baselines.MADDPG])
def test_a_file_of_another_algorithm_is_named(cls: Any, tmp_path: Path) -> None:
    env = make_sb3_vec_env(SMALL)
    for other in {baselines.ActorCritic, baselines.DDPG, baselines.MADDPG} - {cls}:
        other(env=env).save(tmp_path / other.__name__)
        words = rf"{other.__name__} holds a model of another algorithm than {cls.__name__}: .*; got"
        for there in (None, env):
            with pytest.raises(ValueError, match=words) as raised:
                cls.load(tmp_path / other.__name__, there, seed=1)
            assert "load()" not in str(raised.value)
    for other in (DIRS, baselines.GreedyOffloading):
        other(env=env).save(tmp_path / other.__name__)
        with pytest.raises(ValueError, match=rf"{other.__name__} does not hold a usable"):
            cls.load(tmp_path / other.__name__)
    for name in (DIRS.__name__, baselines.GreedyOffloading.__name__):
        with pytest.raises(ValueError, match=rf"{name} does not hold a usable .*: No data found"):
            cls.load(tmp_path / name, env)
    with pytest.raises(FileNotFoundError, match="missing"):
        cls.load(tmp_path / "missing")


def test_gradient_steps_set_by_hand_are_kept_and_others_follow_the_copies(tmp_path: Path) -> None:
    def loaded(**changes: Any) -> int:
        env = make_sb3_vec_env(SMALL, n_envs=3)
        found: int = baselines.DDPG.load(tmp_path / "model", env, **changes).gradient_steps
        return found

    model = baselines.DDPG(env=make_sb3_vec_env(SMALL, n_envs=2))
    model.save(tmp_path / "model")
    assert (model.gradient_steps, loaded()) == (2, 3)
    model.gradient_steps = 5
    before = dict(vars(model))
    model.save(tmp_path / "model")
    assert vars(model) == before
    assert (loaded(), loaded(gradient_steps=None), loaded(gradient_steps=-1)) == (5, 3, -1)
    # The same number said and not said: only the one not said follows the copies.
    baselines.DDPG.load(tmp_path / "model", gradient_steps=2).save(tmp_path / "model")
    assert loaded() == 2
    baselines.DDPG.load(tmp_path / "model", gradient_steps=None).save(tmp_path / "model")
    assert loaded() == 3
    baselines.DDPG(env=make_sb3_vec_env(SMALL, n_envs=2), gradient_steps=2).save(tmp_path / "model")
    assert loaded() == 2


def test_numbers_of_numpy_are_numbers() -> None:
    require_integer("n", np.int32(3), 3, 3)
    require_number("x", np.float32(0.5), "(0, 1)")
    require_number("x", np.int64(1), "(0, 1]")
    assert require_bool("b", np.bool_(True)) is True
