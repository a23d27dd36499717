"""The Gymnasium environment: one scenario, one decision for all devices in every slot."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import MultiDiscrete
from numpy.typing import NDArray

from mec_gym.envs.observation import ObservationCoder
from mec_gym.envs.simulator import Reward, Simulator
from mec_gym.hindsight import Hindsight
from mec_gym.model.episode import Episode
from mec_gym.model.slot import Slot
from mec_gym.outcome import Outcome, evaluate
from mec_gym.rendering import Frame, Picture
from mec_gym.scenario import Scenario
from mec_gym.validation import plain, require_choice, require_known

ENV_ID = "mec_gym/MultiMEC-v0"
"""The environment's id in Gymnasium's registry."""

MAX_EPISODE_STEPS = 100
RENDER_MODES = ("rgb_array", "human")
ARGUMENTS = ("scenario", "reward", "observation", "optimum", "episode", "render_mode")


class MultiMECEnv(gym.Env[NDArray[Any], NDArray[Any]]):
    r"""Offloading in a system of several mobile-edge-computing servers.

    **Problem.** In every slot each of N devices has one task (D_i bits, F_i cycles) and either
    executes it locally or sends it to one of M servers. A central decision is priced with the
    optimal transmit powers and CPU shares, problem (13); the weighted sum of latency and energy
    is the objective of problem (11). Gains (and tasks, where they vary) are drawn anew in every
    slot, or go on from slot to slot where the scenario moves; no decision changes them. Where moves
    of services cost, [D-5], a decision leaves behind where each service is.

    **Action.** ``MultiDiscrete([M + 1] * N)``: entry i is 0 for local execution of device i, j
    for server j. :meth:`action_masks` marks the choices that eq. (7) allows.

    **Observation.** Box, float32.

    ======== ==================== =============================================================
    kind     shape                entries
    ======== ==================== =============================================================
    ``flat`` (N · (M + T),)       ``db``, row by row; the default
    ``db``   (N, M + T)           (10 log10(h_ij) + 70)/10, then task columns scaled to [-1, 1]
    ``raw``  (N, M + T)           h_ij [1], then D_i [bit] and F_i [cycle]
    ======== ==================== =============================================================

    T counts the task columns, data_bits and cycles, in this order, each only where it varies; then
    M columns of 0 and 1, the server that hosts the device's service, where moves cost; then one, 1
    for a device that is present, where some are absent. Gains are csi_delay_slots old.
    :func:`mec_gym.slot_from_observation` turns an observation back into its Slot.

    **Reward.** ``reciprocal``: 1/ΣΦ_i [R-1], the paper's. ``relative``: objective of all-local
    execution / objective [R-2]. ``negative``: −ΣΦ_i / N [R-3]. A slot in which nobody is present
    gives 0, 1 and almost 0, whatever is decided. Or a function of the decision's
    :class:`~mec_gym.Outcome`, called once per step.

    **Start.** A layout (the scenario's one map, or a new one where ``layout="redrawn"``) and a
    first slot. **Termination.** Never. **Truncation.** By the time limit, 100 slots in
    ``gym.make``, and at the end of a recorded episode.

    **Info**, with the same keys and types after ``reset`` and every ``step``: latency_s and
    energy_j (sums over devices), objective, n_offloaded, devices_per_server (shape (M,)); where
    moves cost migrations, and migration_s and migration_j, their part of latency_s and energy_j;
    with ``optimum=True`` optimum, lower_bound and nrr = lower_bound / objective, where the bound is
    the optimum if tasks are equal; where moves cost, all three are of the slot alone, given where
    services are. Info describes the decision just taken; after ``reset``, all-local execution of
    the first slot.

    **Version history.** v0: first release.

    Parameters
    ----------
    scenario : str, path, mapping or Scenario
        A preset's name, the path of a scenario's JSON, its fields, or the Scenario itself.
    reward : {"reciprocal", "relative", "negative"} or callable
        See above. A function gets an Outcome, whose last axis is that of the devices, and in the
        vector env the copies before it: ``lambda outcome: -outcome.energy_j.sum(-1)`` gives the
        same numbers in both. It returns finite numbers, shape () or (B,). ``env.spec.to_json()``
        refuses such an env, since JSON holds no function; a lambda does not pickle either.
    observation : {"flat", "db", "raw"}
        See above.
    optimum : bool
        Solve every slot and report the optimum in info. Steps then take 20 to 55 times as long in
        the presets, 1 to 4 ms; the vector env, which solves all copies together, takes less a slot.
    episode : Episode, optional
        Show this path, of :func:`mec_gym.episode`, in every episode, in place of drawing one.
    render_mode : {"rgb_array", "human"}, optional
        Needs ``pip install "mec-gym[render]"``.
    **overrides
        Any Scenario field, e.g. ``noise_w=1e-6``.

    Raises
    ------
    TypeError, ValueError
        For an unknown scenario or field, with the nearest right one, or an invalid value.

    Examples
    --------
    >>> env = gym.make("mec_gym/MultiMEC-v0", scenario="paper-30x2", optimum=True)
    >>> observation, info = env.reset(seed=0)
    >>> observation.shape
    (60,)
    >>> _, reward, terminated, truncated, info = env.step(np.ones(30, dtype=int))
    >>> bool(reward == 1 / info["objective"]), bool(info["nrr"] <= 1)
    (True, True)
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        scenario: Any = "paper-200x10",
        *,
        reward: Reward = "reciprocal",
        observation: str = "flat",
        optimum: bool = False,
        episode: Episode | None = None,
        render_mode: str | None = None,
        **overrides: Any,
    ) -> None:
        if render_mode is not None:
            require_choice("render_mode", render_mode, RENDER_MODES)
        require_known("keyword argument", overrides, (*ARGUMENTS, *Scenario.fields()))
        self.scenario: Scenario = Scenario.resolve(scenario, **overrides)
        self.render_mode = render_mode
        self._simulator = Simulator(
            self.scenario, reward=reward, observation=observation, optimum=optimum
        )
        self._episode = episode
        self._simulator.world = self._simulator.showing(None if episode is None else [episode])
        self._shape = (self.scenario.n_devices,)
        self.observation_space = self._simulator.coder.space()
        self.action_space = assignment_space(self.scenario)
        self._picture = Picture(self.scenario, render_mode) if render_mode else None

    # -- the Gymnasium interface ----------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode; return an observation, and the info of all-local execution.

        A seed restarts the env's randomness, without one the stream goes on.
        ``options["episode"]``, a :class:`mec_gym.Episode` of an equal scenario, is shown from its
        beginning, in place of what would be drawn; the step that decides its last slot truncates.
        ``options["hindsight"]``, the :class:`mec_gym.Hindsight` of an episode that is shown: its
        plan's cost stands beside that of the decisions in pictures.
        """
        warn_of_options(options, ("episode", "hindsight"))
        episode = (options or {}).get("episode", self._episode)
        episodes = None if episode is None else [episode]
        plans = plans_of_options(options, episodes)
        world = self._simulator.showing(episodes)
        super().reset(seed=plain(seed))
        self._simulator.world = world
        observation, info = self._simulator.reset([self.np_random])
        if self._picture:
            self._begin_picture(info, plans[0] if plans else None)
        return observation, info

    def _begin_picture(self, info: dict[str, Any], plan: NDArray[np.float64] | None = None) -> None:
        assert self._picture is not None
        self._picture.begin(self._simulator.slot, self._simulator.world.layout(), info, plan)

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Price a decision, (N,) integers, 0 = local, j = server j, and move on to the next slot.

        Returns the next slot's observation, the reward, False, whether a recorded episode is over
        (a time limit is a wrapper's), and info. ``TypeError`` or ``ValueError`` for an action of
        another dtype or shape, out of range, or against eq. (7): the env stays as it was.
        ``RuntimeError`` before the first ``reset``.
        """
        assignment = self._simulator.checked(action, self._shape)
        if self._picture:
            self._picture.remember(self._simulator.slot, self._simulator.world.layout())
        observation, reward, info = self._simulator.step(assignment, [self.np_random])
        if self._picture:
            self._picture.decided(assignment, info)
        over = self._simulator.over
        return observation, float(reward), False, over is not None and bool(over[0]), info

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture of the slot that was decided last, shape (H, W, 3), uint8.

        None in human mode, where a window shows it, and without a render mode.
        ``gymnasium.error.DependencyNotInstalled`` without pygame-ce.
        """
        if self._picture is None:
            gym.logger.warn('render() needs a render_mode: gym.make(..., render_mode="rgb_array").')
            return None
        return self._picture.render()

    def close(self) -> None:
        """Close the window, if there is one. Safe to call again."""
        if self._picture:
            self._picture.close()

    # -- beyond the interface -------------------------------------------------------------------

    def frame(self) -> Frame:
        """Return what :meth:`render` draws, for :func:`mec_gym.rendering.draw` at another size.

        Of an env from ``gymnasium.make`` it is ``env.unwrapped.frame()``. It needs a render mode
        and a reset.
        """
        if self._picture is None:
            raise RuntimeError(
                'frame() needs a render_mode: gym.make(..., render_mode="rgb_array").unwrapped'
            )
        return self._picture.frame()

    @property
    def slot(self) -> Slot:
        """The current slot, in which the next action will be priced; read-only, never changed."""
        return read_only(self._simulator.slot)

    @property
    def seen(self) -> Slot:
        """The current slot as the observation shows it, with old gains if stale; read-only."""
        return read_only(self._simulator.seen)

    @property
    def coder(self) -> ObservationCoder:
        """What turns slots into this env's observations and back."""
        return self._simulator.coder

    @property
    def device_positions_m(self) -> NDArray[np.float64]:
        """Positions of the devices, shape (N, 2) [m]."""
        return self._simulator.world.layout().device_positions_m.copy()

    @property
    def server_positions_m(self) -> NDArray[np.float64]:
        """Positions of the servers, shape (M, 2) [m]."""
        return self._simulator.world.layout().server_positions_m.copy()

    def evaluate(self, assignments: Any) -> Outcome:
        """Price decisions, (N,) or (K, N), in the current slot, without any side effect."""
        return evaluate(self.scenario, self.slot, assignments)

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which choices are legal, shape (N · (M + 1),), as MaskablePPO wants it.

        Local execution is illegal where eq. (7) forbids it; all else is legal.
        """
        return legal_choices(self.scenario)

    def get_state(self) -> dict[str, Any]:
        """Return all that the env's future depends on, its generator included.

        Plain arrays, numbers and strings, safe to pickle; and the episode that is replayed, if so.

        Examples
        --------
        >>> env = MultiMECEnv("paper-30x2")
        >>> _ = env.reset(seed=0)
        >>> state = env.get_state()
        >>> first = env.step([1] * 30)[0]
        >>> env.set_state(state)
        >>> bool((env.step([1] * 30)[0] == first).all())
        True
        """
        return {
            "scenario": self.scenario.to_json(),
            "world": self._simulator.get_state(),
            "generator": copy.deepcopy(self.np_random.bit_generator.state),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state of an env of an equal scenario, to continue exactly as from there.

        The step count of a time limit lives in its wrapper; pickle or deep-copy the wrapped env to
        keep that too. :meth:`render` begins anew, with the state's slot, not decided yet. A state
        that does not fit is refused by ``TypeError`` or ``ValueError``: the env stays as it was.
        """
        require_own_state(self.scenario, state, ("world", "generator"))
        require_generator(self.np_random, state["generator"])
        with reading_state():
            self._simulator.set_state(state["world"])
        self.np_random.bit_generator.state = state["generator"]
        if self._picture and self._simulator.world.slot is None:
            self._picture.forget()
        elif self._picture:
            self._begin_picture(self._simulator.local_info())


def warn_of_options(options: Mapping[str, Any] | None, known: Sequence[str]) -> None:
    """Warn of options of ``reset`` that nobody reads."""
    unknown = [repr(key) for key in options or () if key not in known]
    if unknown:
        gym.logger.warn(
            f"reset() does not know the options {', '.join(unknown)}; it knows "
            f"{', '.join(map(repr, known)) or 'none'}. Fields of the scenario are arguments of "
            "gym.make."
        )


def plans_of_options(
    options: Mapping[str, Any] | None, episodes: Sequence[Episode] | None
) -> list[NDArray[np.float64]]:
    """Return what the plan of ``options["hindsight"]`` costs per slot of each episode, or nothing.

    ``TypeError`` or ``ValueError`` unless it is the hindsight of episodes that are shown.
    """
    found = (options or {}).get("hindsight")
    if found is None:
        return []
    if not isinstance(found, Hindsight):
        raise TypeError(f"options['hindsight'] must be a Hindsight; got {type(found).__name__}.")
    costs = np.atleast_2d(found.slot_objective)
    lengths = [one.n_slots for one in episodes or ()]
    if len(costs) not in (1, len(lengths)) or set(lengths) != {costs.shape[1]}:
        raise ValueError(
            "options['hindsight'] must be that of the episodes that are shown, of "
            f"{lengths or 'no recorded'} slots; got one of {len(costs)} episodes of "
            f"{costs.shape[1]} slots."
        )
    return [costs[index % len(costs)] for index in range(len(lengths))]


def read_only(slot: Slot) -> Slot:
    """Return a slot that shares its arrays with another and cannot be written to."""
    arrays = (slot.gains, slot.data_bits, slot.cycles, slot.hosts)
    views = [array.view() for array in arrays if array is not None]
    for view in views:
        view.flags.writeable = False
    return Slot.trusted(*views)


def assignment_space(scenario: Scenario) -> MultiDiscrete:
    """Return a new space of assignments: a choice 0...M for each of N devices."""
    return MultiDiscrete(np.full(scenario.n_devices, scenario.n_servers + 1))


def legal_choices(scenario: Scenario) -> NDArray[np.bool_]:
    """Return the flat mask of legal choices, device by device: local ones where eq. (7) allows."""
    masks = np.ones((scenario.n_devices, scenario.n_servers + 1), dtype=bool)
    masks[:, 0] = scenario.can_execute_locally
    return masks.ravel()


def require_generator(rng: np.random.Generator, state: Any) -> None:
    """Raise ``ValueError`` unless `state` is one that a generator of this kind can go on from."""
    try:
        type(rng.bit_generator)(0).state = state
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise ValueError(
            f"state must have states of {type(rng.bit_generator).__name__} generators, from "
            f"get_state(); got {state!r:.60} ({error})."
        ) from None


@contextlib.contextmanager
def reading_state() -> Iterator[None]:
    """Raise ``ValueError`` for a state that lacks a part, or has another thing in its place."""
    try:
        yield
    except (AttributeError, LookupError, OSError) as error:
        raise ValueError(
            "state must come from get_state() of the same kind of env; it lacks a part, or has "
            f"another thing in its place ({error!r:.80})."
        ) from error


def require_own_state(scenario: Scenario, state: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Raise unless a state is a mapping with these keys, and of an equal scenario."""
    if not isinstance(state, Mapping):
        raise TypeError(
            "state must be what get_state() of the same kind of env returned; "
            f"got {type(state).__name__} {state!r:.60}."
        )
    missing = [key for key in ("scenario", *keys) if key not in state]
    if missing:
        raise ValueError(
            f"state must come from get_state() of the same kind of env; it lacks {missing}."
        )
    if state["scenario"] != scenario.to_json():  # traces take a while to read
        with reading_state():
            other = Scenario.from_json(state["scenario"])
        scenario.require_equal(other, "state must come from an env of an equal scenario")
