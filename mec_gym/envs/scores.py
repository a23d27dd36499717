"""The paper's vote: scores of the servers' agents become an offloading decision."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorActionWrapper, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from mec_gym.model.arrays import as_numpy, namespace_of
from mec_gym.scenario import Scenario
from mec_gym.validation import real_array, refuse_where, require_unmasked, require_within

THRESHOLD = 0.5
"""A device follows its highest score if it is at least this; below, it executes locally."""


def vote(scores: Any, can_execute_locally: Any = True) -> Any:
    """Return the decision that the servers' scores lead to, [V-1].

    Agent j answers with one score for each device. A device goes to the server with the highest
    score if that is at least 0.5, to the first of equals, and else executes locally: the paper's
    answer to agents that decide apart. Algorithm 3, line 1.

    Parameters
    ----------
    scores : array_like or torch tensor, shape (..., M, N), [1]
        Row j holds the answers of server j + 1.
    can_execute_locally : bool array_like, shape (N,)
        Devices for which this is False follow their highest score whatever it is.

    Returns
    -------
    ndarray or torch tensor, shape (..., N), int64
        0 = local, j = server j; of the kind of `scores`.

    Raises
    ------
    TypeError
        If `scores` are no numbers.
    ValueError
        If `scores` has fewer than two axes, holds NaN or is masked.

    Examples
    --------
    >>> vote([[0.9, 0.2, 0.5], [0.7, 0.4, 0.6]])
    array([1, 0, 2])
    """
    require_unmasked("scores", scores)
    array = scores if hasattr(scores, "detach") else np.asarray(scores)
    if isinstance(array, np.ndarray) and array.dtype.kind != "f":
        array = real_array("scores", array.astype(int) if array.dtype.kind == "b" else array)
    elif not isinstance(array, np.ndarray) and array.is_complex():
        real_array("scores", as_numpy(array))  # which refuses them
    xp = namespace_of(array)
    if array.ndim < 2:
        raise ValueError(f"scores must have shape (..., M, N); got shape {tuple(array.shape)}.")
    # The first of the equals that are highest has the highest mark, and NaN equals nothing. Along
    # this axis argmax is many times slower.
    top = xp.max(array, axis=-2)
    mark = xp.max((array == top[..., None, :]) * _marks(xp, array), axis=-2)
    if not mark.all():
        plain = as_numpy(array)
        refuse_where(np.isnan(plain), "scores", "must not be NaN", plain)
    follows = top >= THRESHOLD
    may_stay = np.asarray(can_execute_locally, dtype=bool)
    if not may_stay.all():
        follows = follows | (~may_stay if xp is np else xp.asarray(~may_stay, device=array.device))
    return (array.shape[-2] + 1 - xp.astype(mark, xp.int64)) * follows


def _marks(xp: Any, scores: Any) -> Any:
    """Return M, M - 1, ... 1 for the servers, shape (M, 1), in a small dtype."""
    servers = scores.shape[-2]
    place = {} if xp is np else {"device": scores.device}
    dtype = xp.uint8 if servers < 256 else xp.int32
    return xp.arange(servers, 0, -1, dtype=dtype, **place)[:, None]


def score_space(n_servers: int, n_devices: int) -> Box:
    """Return the space of scores, [0, 1]^(M·N)."""
    return Box(0.0, 1.0, (n_servers * n_devices,), np.float32)


def voted(action: Any, scenario: Scenario, batch: tuple[int, ...]) -> NDArray[np.int64]:
    """Check scores in the form of actions, (batch..., M · N), and vote: (batch..., N).

    Entry j·N + i is the score that server j + 1 gives device i.
    """
    size = scenario.n_servers * scenario.n_devices
    require_unmasked("action", action)
    scores = np.asarray(action)
    if scores.dtype.kind != "f":
        raise TypeError(f"action must hold float scores in [0, 1]; got dtype {scores.dtype}.")
    if scores.shape != (*batch, size):
        raise ValueError(
            f"action must have shape {(*batch, size)}: the scores of server 1 for all devices, "
            f"then those of server 2, ...; got shape {scores.shape}."
        )
    require_within("action", scores, 0.0, 1.0, "must hold scores within [0, 1]")
    scores = scores.reshape(*batch, scenario.n_servers, scenario.n_devices)
    return np.asarray(vote(scores, scenario.can_execute_locally))


class ScoreAction(
    gym.ActionWrapper[NDArray[Any], NDArray[Any], NDArray[np.int64]], RecordConstructorArgs
):
    """Continuous actions for the env: Box [0, 1]^(M·N), voted into an assignment.

    Entry j·N + i is the score that server j + 1 gives device i. See :func:`vote`. ``step`` refuses
    scores of another dtype or shape or outside [0, 1], and the env stays as it was.

    Examples
    --------
    >>> env = ScoreAction(gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2"))
    >>> _ = env.reset(seed=0)
    >>> int(env.step(np.zeros(60, dtype=np.float32))[4]["n_offloaded"])
    0
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ActionWrapper.__init__(self, env)
        self._scenario = env.get_wrapper_attr("scenario")
        self.action_space = score_space(self._scenario.n_servers, self._scenario.n_devices)

    def action(self, action: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """Return the assignment that the scores lead to."""
        return voted(action, self._scenario, ())


class VectorScoreAction(VectorActionWrapper):  # not generic before Gymnasium 1.4
    """:class:`ScoreAction` for the vector env: actions of shape (B, M·N).

    Examples
    --------
    >>> envs = gym.make_vec("mec_gym/MultiMEC-v0", num_envs=2, scenario="paper-30x2")
    >>> VectorScoreAction(envs).action_space.shape
    (2, 60)
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        self._scenario = env.unwrapped.scenario  # type: ignore[attr-defined]
        self.single_action_space = score_space(self._scenario.n_servers, self._scenario.n_devices)
        self.action_space = batch_space(self.single_action_space, env.num_envs)

    def actions(self, actions: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """Return the assignments that the scores lead to."""
        return voted(actions, self._scenario, (self.num_envs,))
