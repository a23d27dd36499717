"""What MADDPG is set up from: who sees what, the noise, the units of values, and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from baselines.learners.memory import free_memory
from mec_gym import ENV_ID, Scenario
from mec_gym.validation import plain


class AgentNoise(ActionNoise):
    """Gaussian noise in two parts: of each action on its own, and of all actions together.

    With N·M scores of independent noise, how many devices offload hardly changes from slot to
    slot, and it is what matters most. The common shift shows it to the critics.

    Parameters
    ----------
    n_agents, n_actions : int
        M, and the actions of one agent.
    own, level : float
        Standard deviations of the two parts.

    Examples
    --------
    >>> AgentNoise(2, 3, own=0.3, level=0.3)().shape
    (6,)
    """

    def __init__(self, n_agents: int, n_actions: int, own: float, level: float) -> None:
        super().__init__()
        self.size, self.own, self.level = n_agents * n_actions, own, level

    def __call__(self) -> NDArray[np.float32]:
        """Draw.

        Returns
        -------
        ndarray, shape (M · A,), float32
        """
        # Stable-Baselines3 seeds this generator.
        own = self.own * np.random.standard_normal(self.size)  # noqa: NPY002
        shift = self.level * np.random.standard_normal()  # noqa: NPY002
        return (own + shift).astype(np.float32)

    def __repr__(self) -> str:
        return f"AgentNoise(own={self.own}, level={self.level})"


def server_views(scenario: Scenario | None, env: VecEnv | None, space: Any) -> list[list[int]]:
    """Return which entries of an observation each server's agent sees.

    Parameters
    ----------
    scenario : Scenario or None
        The system.
    env : VecEnv or None
        Says what its observations mean.
    space : gymnasium.spaces.Box
        Of the observations.

    Returns
    -------
    list of list of int, shape (M, (1 + T) · N)
        The server's own gains, then each task column.

    Raises
    ------
    ValueError
        Without a scenario, for "raw" observations, or for another number of entries.

    Examples
    --------
    >>> system = Scenario.preset("paper-30x2")
    >>> server_views(system, None, Box(-1.0, 1.0, (30, 2)))[1][:3]
    [1, 3, 5]
    """
    if scenario is None:
        raise ValueError(
            "an env that is not MultiMEC needs views=: for each agent, the entries of the "
            f"flattened observation that it sees; got observations {space} and views=None. "
            f'Or use gymnasium.make("{ENV_ID}", scenario=...).'
        )
    if env is not None and env.has_attr("coder") and env.get_attr("coder")[0].kind == "raw":
        raise ValueError(
            'observation must be "db" or "flat": "raw" gains of 1e-7 are all zero to a network; '
            f'got "raw". Make the env with gymnasium.make("{ENV_ID}", ..., observation="db").'
        )
    devices, servers = scenario.n_devices, scenario.n_servers
    columns, rest = divmod(int(np.prod(space.shape)), devices)
    if rest or not servers <= columns <= servers + 2:
        raise ValueError(
            f"env must show M gains and up to two tasks of each device, {servers} to "
            f"{servers + 2} entries for each of {devices}; got observations {space}. Leave out "
            "wrappers that change the shape of observations."
        )
    table = np.arange(devices * columns).reshape(devices, columns)
    tasks = table[:, servers:].T.ravel()
    return [np.concatenate([table[:, server], tasks]).tolist() for server in range(servers)]


def listed_views(views: Any) -> list[list[int]]:
    """Return views as lists, which files hold, or raise ``ValueError``.

    Parameters
    ----------
    views : sequence of sequences of int
        For each agent.

    Returns
    -------
    list of list of int

    Raises
    ------
    ValueError
        For another form.

    Examples
    --------
    >>> listed_views(np.array([[0, 1], [1, 2]]))
    [[0, 1], [1, 2]]
    """
    try:
        return [[plain(entry) for entry in view] for view in views]
    except TypeError:
        raise ValueError(
            "views must be one list of entries for each agent, shape (M, V), such as "
            f"[[0, 1], [2, 3]]; got {views!r}."
        ) from None


def require_views(views: Sequence[Sequence[int]], observations: Any, actions: Any) -> None:
    """Raise ``ValueError`` unless views fit the spaces of an env.

    Parameters
    ----------
    views : sequence of sequences of int
        For each agent.
    observations, actions : gymnasium.spaces.Box
        Of the env.

    Raises
    ------
    ValueError
        For another form, entries that are not there, or actions that cannot be shared out.

    Examples
    --------
    >>> require_views([[0, 1], [1, 2]], Box(-1.0, 1.0, (3,)), Box(-1.0, 1.0, (4,)))
    """
    if not isinstance(observations, Box) or not isinstance(actions, Box):
        raise ValueError(
            f"MADDPG needs Box observations and actions; got {observations} and {actions}."
        )
    lengths = {len(view) for view in views}
    if not views or len(lengths) != 1 or lengths == {0}:
        raise ValueError(
            "views must name equally many entries for each agent, shape (M, V); got lengths "
            f"{[len(view) for view in views]}. Repeat an entry where an agent sees less."
        )
    entries = int(np.prod(observations.shape))
    table = np.asarray(views)
    if table.dtype.kind not in "iu" or table.min() < 0 or table.max() >= entries:
        shown = f" from {table.min()} to {table.max()}" if table.dtype.kind in "iuf" else ""
        raise ValueError(
            f"views must hold integers from 0 to {entries - 1}, entries of the flattened "
            f"observation; got dtype {table.dtype}{shown}."
        )
    size = int(np.prod(actions.shape))
    if size % len(views):
        raise ValueError(
            f"the {size} actions of the env must be shared out equally; views has {len(views)} "
            f"agents. Give views for a number of agents that divides {size}."
        )


def value_units(
    replay: ReplayBuffer, gamma: float, normalised: VecNormalize | None
) -> tuple[float, float]:
    """Return what critics measure returns from, and in.

    Parameters
    ----------
    replay : ReplayBuffer
        Whose rewards count.
    gamma : float
        Discount.
    normalised : VecNormalize or None
        Scales rewards before critics see them.

    Returns
    -------
    shift, scale : float
        About the mean and the spread of returns.

    Notes
    -----
    A return adds up about H = 1/(1 − γ (1 − e)) rewards, where episodes end with probability e in
    each step. H rewards that are independent of each other have H times the mean of one, and √H
    times its spread.
    """
    held = slice(0, replay.size())
    rewards = np.asarray(replay._normalize_reward(replay.rewards[held], normalised))
    ended = float(np.mean(replay.dones[held] * (1.0 - replay.timeouts[held])))
    horizon = 1.0 / (1.0 - gamma * (1.0 - ended))
    # In double precision: rewards of 0.003 differ in their fifth digit.
    mean, spread = rewards.mean(dtype=np.float64), rewards.std(dtype=np.float64)
    varies = spread > 1e-6 * abs(mean)
    return float(mean * horizon), float(spread * horizon**0.5) if varies else 1.0


def require_memory(buffer_size: int, observations: Any, actions: Any) -> None:
    """Raise ``ValueError`` for a replay buffer that does not fit into free memory.

    Parameters
    ----------
    buffer_size : int
        Slots.
    observations, actions : gymnasium.spaces.Box
        Of the env.

    Raises
    ------
    ValueError
        Says how many would fit.

    Examples
    --------
    >>> require_memory(1000, Box(-1.0, 1.0, (30, 2)), Box(0.0, 1.0, (60,)))
    """
    seen = 2 * int(np.prod(observations.shape)) * observations.dtype.itemsize
    each = seen + int(np.prod(actions.shape)) * actions.dtype.itemsize + 12
    needed, free = buffer_size * each, free_memory()
    if needed > free:
        raise ValueError(
            f"buffer_size={buffer_size} needs {needed / 2**30:.1f} GiB, {each} bytes a step, and "
            f"{free / 2**30:.1f} GiB are free. Use buffer_size={int(free // (2 * each))} or less."
        )


def require_one_of(name: str, value: Any, known: Sequence[str]) -> None:
    """Raise ``ValueError`` unless an argument is one of some words.

    Parameters
    ----------
    name : str
        Of the argument.
    value : object
        Its value.
    known : sequence of str
        What it may be.

    Examples
    --------
    >>> require_one_of("others", "replay", ("replay", "policy"))
    """
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}; got {value!r}.")
