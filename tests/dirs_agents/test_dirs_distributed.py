"""Every server's agent alone, in a process or a runtime of its own, decides as the model does."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dirs_agents import DIRS
from mec_gym import Scenario, allocate, parallel_env, vote
from mec_gym.envs.observation import ObservationCoder
from tests.dirs_agents.dirs_helpers import (
    FORCED,
    SMALL,
    TASKS,
    make_env,
    make_model,
    observations_of,
    shaken,
    slots_of,
)

SCENARIOS = {
    "small": SMALL,
    "tasks": TASKS,
    "forced": FORCED.replace(noise_w=1e-6),
    "crowded": Scenario(n_devices=15, n_servers=3, noise_w=1e-6, server_frequency_hz=3e9),
}
POLICIES = ("EnsemblePolicy", "PricePolicy")


def model_of(policy: str, scenario: Scenario, kind: str = "db") -> DIRS:
    return shaken(make_model(policy, make_env(scenario, observation=kind)))


def columns_of(scenario: Scenario, observation: np.ndarray) -> list[np.ndarray]:
    table = observation.reshape(scenario.n_devices, -1).T
    tasks = table[scenario.n_servers :].ravel()
    return [np.concatenate([table[j], tasks]) for j in range(scenario.n_servers)]


def joint(scenario: Scenario, agents: Any, columns: Any) -> np.ndarray:
    """Scores from every agent, the vote, then what each agent serves of what it was sent."""
    scores = np.stack([agent.scores(own) for agent, own in zip(agents, columns, strict=True)])
    voted = vote(scores, scenario.can_execute_locally)
    decision = np.zeros_like(voted)
    for j, (agent, own) in enumerate(zip(agents, columns, strict=True), 1):
        decision[agent.admits(own, voted == j)] = j
    return decision


@pytest.mark.parametrize("kind", ["db", "raw", "flat"])
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
@pytest.mark.parametrize("policy", POLICIES)
def test_agents_alone_decide_as_the_model(policy: str, scenario: Scenario, kind: str) -> None:
    model = model_of(policy, scenario, kind)
    agents = [model.agent(j + 1) for j in range(scenario.n_servers)]
    turned_away = 0
    for observation in observations_of(scenario, 30, kind):
        columns = columns_of(scenario, observation)
        wanted, _ = model.predict(observation)
        np.testing.assert_array_equal(joint(scenario, agents, columns), wanted)
        scores = np.stack([a.scores(own) for a, own in zip(agents, columns, strict=True)])
        turned_away += int((vote(scores, scenario.can_execute_locally) != wanted).sum())
    if policy == "PricePolicy" and scenario is SCENARIOS["crowded"]:
        assert turned_away > 0  # else admission was not tested
    if policy == "EnsemblePolicy":
        assert turned_away == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_the_multi_agent_env_takes_the_agents_scores(policy: str) -> None:
    pytest.importorskip("pettingzoo")
    model = shaken(
        make_model(
            policy,
            make_env(TASKS),
            policy_kwargs={"hidden": 4, "admission": False} if policy == "PricePolicy" else {},
        )
    )
    env, central = parallel_env(TASKS), make_env(TASKS, steps=100)
    observations, _ = env.reset(seed=5)
    observation, _ = central.reset(seed=5)
    agents = {name: model.agent(j) for j, name in enumerate(env.possible_agents, 1)}
    for _ in range(20):
        decision, _ = model.predict(observation)
        observation, reward, *_, info = central.step(decision)
        actions = {name: agent.scores(observations[name]) for name, agent in agents.items()}
        assert all(env.action_space(name).contains(action) for name, action in actions.items())
        observations, rewards, _, _, infos = env.step(actions)
        assert set(rewards.values()) == {reward}
        np.testing.assert_array_equal(
            infos["mec_1"]["devices_per_server"], info["devices_per_server"]
        )


def serve(agent: Any, pipe: Any) -> None:
    """What runs at a server: it gets its own column, then what the vote sent to it."""
    import torch

    torch.set_num_threads(1)
    while (own := pipe.recv()) is not None:
        pipe.send(agent.scores(own))
        mask = agent.admits(own, pipe.recv())
        resources = agent.allocate(own, mask)
        pipe.send((mask, resources.power_w, resources.frequency_hz))


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_agents_in_processes_of_their_own_decide_as_the_model(policy: str) -> None:
    scenario = SCENARIOS["crowded"]
    model = model_of(policy, scenario)
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for j in range(scenario.n_servers):
        mine, theirs = context.Pipe()
        process = context.Process(target=serve, args=(model.agent(j + 1), theirs))
        process.start()
        pipes.append(mine)
        processes.append(process)
    slots = slots_of(scenario, 5)
    for index, observation in enumerate(observations_of(scenario, 5, "db")):
        for pipe, own in zip(pipes, columns_of(scenario, observation), strict=True):
            pipe.send(own)
        voted = vote(np.stack([pipe.recv() for pipe in pipes]), scenario.can_execute_locally)
        wanted, _ = model.predict(observation)
        exact = allocate(scenario, slots[index], wanted)
        decision = np.zeros_like(voted)
        for j, pipe in enumerate(pipes, 1):
            pipe.send(voted == j)
            mask, power, speed = pipe.recv()
            decision[mask] = j
            np.testing.assert_allclose(power, exact.power_w[mask], rtol=1e-4)
            np.testing.assert_allclose(speed, exact.frequency_hz[mask], rtol=1e-6)
        np.testing.assert_array_equal(decision, wanted)
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(None)
        process.join()
        process.close()


@pytest.mark.parametrize("kind", ["db", "raw", "flat"])
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_resources_are_the_exact_allocations_rows(scenario: Scenario, kind: str) -> None:
    model = model_of("EnsemblePolicy", scenario, kind)
    rng = np.random.default_rng(0)
    least = np.where(scenario.can_execute_locally, 0, 1)
    slots = slots_of(scenario, 5)
    for index, observation in enumerate(ObservationCoder(scenario, kind).encode(slots)):
        decision = rng.integers(least, scenario.n_servers + 1)
        exact = allocate(scenario, slots[index], decision)
        for j, own in enumerate(columns_of(scenario, observation), 1):
            found = model.agent(j).allocate(own, decision == j)
            # Gains come through float32 decibels.
            np.testing.assert_allclose(found.power_w, exact.power_w[decision == j], rtol=1e-4)
            np.testing.assert_allclose(
                found.frequency_hz, exact.frequency_hz[decision == j], rtol=1e-6
            )
            assert np.shape(found.capacity_price) == (1,)
            np.testing.assert_allclose(
                found.capacity_price, exact.capacity_price[j - 1 : j], rtol=1e-6
            )


def test_a_server_with_nothing_to_serve_has_nothing_to_allocate() -> None:
    agent = model_of("PricePolicy", SMALL).agent(1)
    own = columns_of(SMALL, observations_of(SMALL, 1, "db")[0])[0]
    none = np.zeros(4, dtype=bool)
    assert not agent.admits(own, none).any()
    assert agent.allocate(own, none).power_w.shape == (0,)


# -- ONNX -------------------------------------------------------------------------------------


class OnnxAgent:
    """An agent that lives in onnxruntime alone."""

    def __init__(self, agent: Any, folder: Path) -> None:
        runtime = pytest.importorskip("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1

        def session(step: str) -> Any:
            path = agent.to_onnx(folder / f"{agent.server}-{step}.onnx", step=step)
            return runtime.InferenceSession(str(path), options, ["CPUExecutionProvider"])

        self.score = session("scores")
        self.admission = session("admission") if agent.admission else None

    def scores(self, own: np.ndarray) -> np.ndarray:
        return np.asarray(self.score.run(["scores"], {"observation": own[None]})[0][0])

    def admits(self, own: np.ndarray, offered: np.ndarray) -> np.ndarray:
        if self.admission is None:
            return offered
        inputs = {"observation": own[None], "offered": offered[None]}
        return np.asarray(self.admission.run(["served"], inputs)[0][0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "name", "kind"),
    [
        ("EnsemblePolicy", "tasks", "raw"),
        ("PricePolicy", "two", "db"),
        ("PricePolicy", "forced", "raw"),
        ("PricePolicy", "energy is free", "raw"),
        ("PricePolicy", "latency hardly counts", "db"),
    ],
)
def test_onnx_agents_decide_as_the_model(policy: str, name: str, kind: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    two = TASKS.replace(n_servers=2, server_frequency_hz=3e9)
    others = {
        "two": two,
        "energy is free": two.replace(weight_energy=0.0, noise_w=1e-14),
        "latency hardly counts": two.replace(weight_latency=(1e-15, *[1.0] * 5)),
    }
    scenario = (SCENARIOS | others)[name]
    model = model_of(policy, scenario, kind)
    agents = [OnnxAgent(model.agent(j + 1), tmp_path) for j in range(scenario.n_servers)]
    for observation in observations_of(scenario, 20, kind):
        wanted, _ = model.predict(observation)
        found = joint(scenario, agents, columns_of(scenario, observation))
        np.testing.assert_array_equal(found, wanted)
    agent = model.agent(2)
    batch = np.stack([columns_of(scenario, o)[1] for o in observations_of(scenario, 7, kind)])
    if kind == "raw":
        batch[0, 0] = 1e26  # legal, and its ratio to the noise infinite in single precision
    (scores,) = agents[1].score.run(["scores"], {"observation": batch})
    np.testing.assert_allclose(scores, agent.scores(batch), rtol=1e-4, atol=1e-5)


# -- refusals -----------------------------------------------------------------------------------


def test_agents_that_do_not_exist_are_refused() -> None:
    for policy in POLICIES:
        model = model_of(policy, SMALL)
        for server in (0, 3, -1, 1.5, True, "1"):
            with pytest.raises(ValueError, match=r"1\.\.\.2"):
                model.agent(server)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="CentralPolicy"):
        model_of("CentralPolicy", SMALL).agent(1)


def test_an_agent_refuses_what_does_not_fit(tmp_path: Path) -> None:
    agent = model_of("EnsemblePolicy", TASKS).agent(1)
    with pytest.raises(ValueError, match=r"\(18,\)"):
        agent.scores(np.zeros(6))
    with pytest.raises(ValueError, match="offered"):
        agent.admits(np.zeros(18), np.zeros(6))
    with pytest.raises(ValueError, match="served"):
        agent.allocate(np.zeros(18), np.zeros(5, dtype=bool))
    with pytest.raises(ValueError, match="step"):
        agent.to_onnx(tmp_path / "x.onnx", step="vote")
    with pytest.raises(ValueError, match="admission=True"):
        agent.to_onnx(tmp_path / "x.onnx", step="admission")
