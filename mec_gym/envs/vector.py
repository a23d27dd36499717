"""The native vector env: many copies priced, drawn and reset together."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence, Sized
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from mec_gym.envs.observation import ObservationCoder
from mec_gym.envs.offloading import (
    ARGUMENTS,
    RENDER_MODES,
    assignment_space,
    legal_choices,
    plans_of_options,
    read_only,
    reading_state,
    require_generator,
    require_own_state,
    warn_of_options,
)
from mec_gym.envs.simulator import Reward, Simulator
from mec_gym.fields import canonical_integer, canonical_limit
from mec_gym.model.episode import Episode
from mec_gym.model.layout import Layout
from mec_gym.model.slot import Slot
from mec_gym.rendering import Picture
from mec_gym.scenario import Scenario
from mec_gym.validation import plain, refuse_where, require_choice, require_known, state_array

Arrays = NDArray[Any]


class MultiMECVectorEnv(VectorEnv[NDArray[Any], NDArray[Any], NDArray[Any]]):
    """`num_envs` copies of :class:`~mec_gym.envs.offloading.MultiMECEnv`, in one batch.

    Copy *i* equals the single env seeded ``seed + i`` bit for bit: observations, rewards, endings
    and infos, in the structure that Gymnasium's ``SyncVectorEnv`` gives them.

    Parameters
    ----------
    num_envs : int
        B.
    scenario, reward, observation, optimum, **overrides
        As for the single env.
    episode : Episode or sequence of Episode, optional
        Show this path in every copy and episode, or one for each copy.
    max_episode_steps : int, optional
        Truncate after so many slots; ``gym.make_vec`` passes 100. None or -1: never.
    autoreset_mode : AutoresetMode or str
        NEXT_STEP (default), SAME_STEP or DISABLED.
    render_mode : {"rgb_array"}, optional
        ``render()`` gives one picture per copy.

    Examples
    --------
    >>> envs = gym.make_vec("mec_gym/MultiMEC-v0", num_envs=3, scenario="paper-30x2")
    >>> observations, infos = envs.reset(seed=0)
    >>> observations.shape
    (3, 60)
    """

    def __init__(
        self,
        num_envs: int = 1,
        scenario: Any = "paper-200x10",
        *,
        reward: Reward = "reciprocal",
        observation: str = "flat",
        optimum: bool = False,
        episode: Episode | Sequence[Episode] | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **overrides: Any,
    ) -> None:
        if render_mode is not None:
            require_choice("render_mode", render_mode, RENDER_MODES[:1])
        self.num_envs = canonical_integer("num_envs", num_envs, least=1)
        known = (*ARGUMENTS, "max_episode_steps", "autoreset_mode", *Scenario.fields())
        require_known("keyword argument", overrides, known)
        self.scenario: Scenario = Scenario.resolve(scenario, **overrides)
        self.render_mode = render_mode
        self.max_episode_steps = canonical_limit("max_episode_steps", max_episode_steps)
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        self.metadata = {
            "render_modes": list(RENDER_MODES[:1]),
            "render_fps": 4,
            "autoreset_mode": self.autoreset_mode,
        }
        self._simulator = Simulator(
            self.scenario, self.num_envs, reward=reward, observation=observation, optimum=optimum
        )
        self._episode = episode
        self._simulator.world = self._simulator.showing(self._one_each(episode))
        self.single_observation_space = self._simulator.coder.space()
        self.single_action_space = assignment_space(self.scenario)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._rngs: list[np.random.Generator] = []
        self._seeds: list[int | None] = [None] * self.num_envs
        self._elapsed = np.zeros(self.num_envs, dtype=np.int64)
        self._ended = np.zeros(self.num_envs, dtype=bool)
        self._plans: list[Arrays] = []
        self._pictures = (
            [Picture(self.scenario, render_mode) for _ in range(self.num_envs)]
            if render_mode
            else []
        )

    # -- randomness -----------------------------------------------------------------------------

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generators of the copies."""
        self._seed([None] * self.num_envs, range(self.num_envs))
        return tuple(self._rngs)

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """The seeds that the generators began with."""
        self._seed([None] * self.num_envs, range(self.num_envs))
        return tuple(self._seeds)

    def _seed(self, seeds: Sequence[int | None], copies: Sequence[int]) -> None:
        """Restart the generators that got a seed, and begin those that do not exist yet."""
        if not self._rngs:
            begun = [seeding.np_random(None) for _ in range(self.num_envs)]
            self._rngs = [rng for rng, _ in begun]
            self._seeds = [seed for _, seed in begun]
        restarted = {i: seeding.np_random(seeds[i]) for i in copies if seeds[i] is not None}
        for index, (rng, seed) in restarted.items():  # all seeds are good: nothing is half done
            self._rngs[index], self._seeds[index] = rng, seed

    # -- the Gymnasium interface ----------------------------------------------------------------

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin episodes; return observations of all copies, shape (B, ...), and infos with masks.

        An int seeds copy *i* with ``seed + i``; a sequence has one entry per copy.
        ``options["reset_mask"]``, a bool array of shape (B,), says which copies are reset: all by
        default. ``options["episode"]``, an :class:`mec_gym.Episode` or one for each copy, is shown
        in place of what would be drawn, until the next reset of all copies; ``"hindsight"``, of
        that episode or of one for each copy, as in the single env. Each array in infos has a
        mask `_key` of the copies that were reset.
        """
        warn_of_options(options, ("reset_mask", "episode", "hindsight"))
        seeds = _seed_list(seed, self.num_envs)
        mask = _reset_mask(options, self.num_envs)
        if self._simulator.world.slot is None and not mask.all():
            raise ValueError("the first reset() must reset every copy; got a partial reset_mask.")
        copies = [int(index) for index in np.flatnonzero(mask)]
        world, plans = self._simulator.world, self._plans
        if mask.all():
            episodes = self._one_each((options or {}).get("episode", self._episode))
            world, plans = self._simulator.showing(episodes), plans_of_options(options, episodes)
        elif one := next((key for key in ("episode", "hindsight") if key in (options or {})), None):
            raise ValueError(f"options[{one!r}] needs a reset of every copy; got a reset_mask.")
        self._seed(seeds, copies)
        self._simulator.world, self._plans = world, plans
        observations, info = self._simulator.reset(self._rngs, copies)
        self._elapsed[mask] = 0
        self._ended[mask] = False
        infos = _masked(info, mask)
        self._begin_pictures(copies, info)
        return observations, infos

    def step(
        self, actions: Any
    ) -> tuple[NDArray[np.float32], Arrays, Arrays, Arrays, dict[str, Any]]:
        """Price one decision per copy, (B, N), and move on.

        Returns what ``SyncVectorEnv`` returns: infos are arrays with masks, and in SAME_STEP mode
        there are final_obs and final_info. ``TypeError`` or ``ValueError`` for actions that do not
        fit: the copies stay as they were. ``RuntimeError`` before the first ``reset``, or for an
        ended copy with autoreset DISABLED.
        """
        shape = (self.num_envs, self.scenario.n_devices)
        restart = self._ended & (self.autoreset_mode is AutoresetMode.NEXT_STEP)
        if restart.any() and np.shape(actions) == shape:
            # The action of a copy that begins anew is ignored, whatever it is.
            actions = np.array(actions)
            actions[restart] = self._simulator.local_assignment()[restart]
        assignment = self._simulator.checked(actions, shape)
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            raise RuntimeError(
                f"copies {np.flatnonzero(self._ended).tolist()} have ended; reset them with "
                "reset(options={'reset_mask': ...}) or choose another autoreset_mode."
            )
        for index, picture in enumerate(self._pictures):
            picture.remember(*self._seen(index))
        restarted = [int(index) for index in np.flatnonzero(restart)]
        observations, rewards, info = self._simulator.step(assignment, self._rngs, restarted)
        self._elapsed += 1
        self._elapsed[restart] = 0
        truncations = np.zeros(self.num_envs, dtype=bool)
        if self.max_episode_steps is not None:
            truncations = (self._elapsed >= self.max_episode_steps) & ~restart
        if (over := self._simulator.over) is not None:
            truncations |= over
        for index, picture in enumerate(self._pictures):
            if restart[index]:
                self._begin_pictures([index], info)
            else:
                picture.decided(assignment[index], _row(info, index))
        infos = _masked(info, np.ones(self.num_envs, dtype=bool))
        self._ended = truncations.copy()
        if self.autoreset_mode is AutoresetMode.SAME_STEP and truncations.any():
            observations, infos = self._restart_now(observations, info, truncations)
        terminations = np.zeros(self.num_envs, dtype=bool)
        return observations, rewards, terminations, truncations, infos

    def _one_each(self, episode: Episode | Sequence[Episode] | None) -> Sequence[Episode] | None:
        if episode is None or isinstance(episode, Sized):
            return episode
        return [episode] * self.num_envs

    def _restart_now(
        self, observations: NDArray[np.float32], info: dict[str, Arrays], ended: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Reset the ended copies within the step; what they ended with goes to final_*."""
        copies = [int(index) for index in np.flatnonzero(ended)]
        final_obs = np.full(self.num_envs, None, dtype=object)
        for index in copies:
            final_obs[index] = observations[index].copy()
        final = {key: np.where(_like(ended, values), values, 0) for key, values in info.items()}
        observations, begun = self._simulator.reset(self._rngs, copies)
        merged = {
            key: np.where(_like(ended, values), begun[key], values) for key, values in info.items()
        }
        self._elapsed[ended] = 0
        self._ended[ended] = False
        self._begin_pictures(copies, begun)
        infos: dict[str, Any] = {"final_obs": final_obs, "_final_obs": ended.copy()}
        infos |= {"final_info": _masked(final, ended), "_final_info": ended.copy()}
        infos |= _masked(merged, np.ones(self.num_envs, dtype=bool))
        return observations, infos

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Draw the slot that each copy decided last; None without a render mode."""
        if not self._pictures:
            gym.logger.warn("render() needs render_mode='rgb_array'.")
            return None
        return tuple(frame for p in self._pictures if (frame := p.render()) is not None)

    def _begin_pictures(self, copies: Sequence[int], info: dict[str, Arrays]) -> None:
        for index in copies if self._pictures else ():
            plan = self._plans[index] if self._plans else None
            self._pictures[index].begin(*self._seen(index), _row(info, index), plan)

    def _seen(self, index: int) -> tuple[Slot, Layout]:
        """Return the slot and the layout of one copy."""
        return self._simulator.slot[index], self._simulator.world.layout(index)

    # -- beyond the interface -------------------------------------------------------------------

    @property
    def slot(self) -> Slot:
        """The current slots, batch shape (B,); read-only."""
        return read_only(self._simulator.slot)

    @property
    def seen(self) -> Slot:
        """The current slots as observations show them, batch shape (B,); read-only."""
        return read_only(self._simulator.seen)

    @property
    def coder(self) -> ObservationCoder:
        """What turns slots into the copies' observations and back."""
        return self._simulator.coder

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which choices are legal in each copy, shape (B, N · (M + 1))."""
        return np.tile(legal_choices(self.scenario), (self.num_envs, 1))

    def get_state(self) -> dict[str, Any]:
        """Return all that the copies' future depends on, generators included."""
        return {
            "scenario": self.scenario.to_json(),
            "world": self._simulator.get_state(),
            "generators": [copy.deepcopy(rng.bit_generator.state) for rng in self.np_random],
            "elapsed": self._elapsed.copy(),
            "ended": self._ended.copy(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state of an equal scenario and as many copies, or refuse it unchanged.

        Pictures begin anew, with the state's slots, not decided yet.
        """
        require_own_state(self.scenario, state, ("world", "generators", "elapsed", "ended"))
        if not isinstance(state["generators"], list) or len(state["generators"]) != self.num_envs:
            raise ValueError(
                f"state must have generators of {self.num_envs} copies; got "
                f"{state['generators']!r:.60}."
            )
        for rng, generator in zip(self.np_random, state["generators"], strict=True):
            require_generator(rng, generator)
        elapsed = state_array("elapsed", state["elapsed"], self._elapsed)
        ended = state_array("ended", state["ended"], self._ended)
        refuse_where(elapsed < 0, "elapsed in state", "must be >= 0", elapsed)
        with reading_state():
            self._simulator.set_state(state["world"])
        for rng, generator in zip(self.np_random, state["generators"], strict=True):
            rng.bit_generator.state = generator
        self._elapsed, self._ended, self._plans = elapsed, ended, []
        if self._simulator.world.slot is not None and self._pictures:
            self._begin_pictures(range(self.num_envs), self._simulator.local_info())
        else:
            for picture in self._pictures:
                picture.forget()


def _autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    if isinstance(mode, AutoresetMode):
        return mode
    names = {one.name: one for one in AutoresetMode} | {one.value: one for one in AutoresetMode}
    require_choice("autoreset_mode", mode, names)
    return names[mode]


def _seed_list(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    if seed is None:
        return [None] * num_envs
    seed = plain(seed)
    if isinstance(seed, int):
        return [seed + index for index in range(num_envs)]
    if isinstance(seed, str) or not np.iterable(seed):
        raise TypeError(f"seed must be an integer, or a list with one for each copy; got {seed!r}.")
    seeds = [plain(one) for one in seed]
    if len(seeds) != num_envs:
        raise ValueError(f"seed as a list must have num_envs={num_envs} entries; got {len(seeds)}.")
    return seeds


def _reset_mask(options: dict[str, Any] | None, num_envs: int) -> NDArray[np.bool_]:
    if not options or "reset_mask" not in options:
        return np.ones(num_envs, dtype=bool)
    mask = options["reset_mask"]
    if not isinstance(mask, np.ndarray):
        raise TypeError(f"options['reset_mask'] must be a NumPy array; got {type(mask).__name__}.")
    if mask.dtype != np.bool_:
        raise TypeError(f"options['reset_mask'] must have dtype bool; got {mask.dtype}.")
    if mask.shape != (num_envs,):
        raise ValueError(
            f"options['reset_mask'] must have shape ({num_envs},); got shape {mask.shape}."
        )
    if not mask.any():
        raise ValueError("options['reset_mask'] must hold at least one True; got none.")
    return mask


def _like(mask: NDArray[np.bool_], values: Arrays) -> NDArray[np.bool_]:
    """Return the mask with as many axes as `values`."""
    return mask.reshape(mask.shape + (1,) * (values.ndim - 1))


def _masked(info: Mapping[str, Arrays], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return Gymnasium's batched info: zeros where the mask is False, and the masks."""
    whole = bool(mask.all())
    infos: dict[str, Any] = {}
    for key, values in info.items():
        infos[key] = values if whole else np.where(_like(mask, values), values, 0)
        infos[f"_{key}"] = mask.copy()
    return infos


def _row(info: Mapping[str, Arrays], index: int) -> dict[str, Any]:
    """Return one copy's figures."""
    return {key: values[index] for key, values in info.items()}
