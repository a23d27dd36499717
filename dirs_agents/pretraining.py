"""Algorithm 2: demonstrations, then imitation, in parts between which a model can be saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from torch import Tensor

from dirs_agents.foresight import (
    drawn,
    hindsight_demonstrations,
    hindsight_lesson,
    learn,
    own_lesson,
)
from dirs_agents.hyperparameters import demonstration_search, demonstration_settings
from dirs_agents.labels import demonstrate, demonstration_slots, part_size
from mec_gym import Slot


class Pretraining:
    """How far Algorithm 2 has come, and the way on from there."""

    def __init__(self) -> None:
        self.seed: int | None = None
        self.settings: dict[str, Any] | None = None
        self.lessons = 0
        self.steps = 0

    def outdated(self, model: Any) -> bool:
        """Return whether demonstrations are half-made, with other settings than the model's."""
        return self.settings is not None and self.settings != demonstration_settings(model)

    def run(self, model: Any, callback: BaseCallback) -> None:
        """Make demonstrations and train on them alone: Algorithm 2, lines 2 to 6.

        Before, a policy that looks ahead takes its lessons, whether demonstrations are made or not.
        What has been done already is not done again. Before the first part and after every one
        ``on_pretraining_step()`` of the callbacks that have it is called: there the model can be
        saved, and an exception ends pre-training, to go on exactly. Ctrl-C inside a part, once or
        more, leaves the model as it was before that part.
        """
        if not (_imitates(model) or self._learning(model)):
            return
        _tell(callback)
        if self._learning(model) or self._labelling(model):
            _altogether(model, lambda: self._begin(model))
            while self._learning(model):
                _altogether(model, lambda: self._teach(model))
                _tell(callback)
            if self._labelling(model):
                self._demonstrate(model, callback)
        self.keep_labels()
        while self._imitating(model):
            _altogether(model, lambda: self._imitate(model))
            _tell(callback)

    def _learning(self, model: Any) -> bool:
        """Return whether the network of worth has lessons left."""
        return self.lessons < _lessons(model)

    def _labelling(self, model: Any) -> bool:
        """Return whether demonstrations are to be made, or were not all made: none were loaded."""
        begun = self.seed is not None and model.demonstrations != "hindsight"  # those come at once
        return _imitates(model) and (begun or not model.replay_buffer.size)

    def _imitating(self, model: Any) -> bool:
        return _imitates(model) and self.steps < model.pretrain_steps

    def stage(self, model: Any) -> str:
        """Return what is being done, such as "demonstrations 64/256"; "" where nothing is left."""
        if self._learning(model):
            return f"lessons {self.lessons:,}/{_lessons(model):,}"
        if self._labelling(model) and model.replay_buffer.size < model.n_demonstrations:
            return f"demonstrations {model.replay_buffer.size:,}/{model.n_demonstrations:,}"
        if not self._imitating(model):
            return ""
        return f"imitation {self.steps:,}/{model.pretrain_steps:,}"

    def _demonstrate(self, model: Any, callback: BaseCallback) -> None:
        """Fill the replay buffer with demonstrations, Algorithm 2, line 1."""
        assert self.seed is not None
        if model.demonstrations == "hindsight":
            _altogether(model, lambda: self._look_back(model))
            _tell(callback)
            return
        observations, slots = demonstration_slots(
            model.scenario, model.n_demonstrations, self.seed, observation=model.observation_kind
        )
        # All at once: the last bits of scores may depend on what is scored beside them.
        start = begun_at(model, observations, slots)
        search = demonstration_search(model)
        size = part_size(model.scenario, model.demonstrations, search)
        while (done := model.replay_buffer.size) < model.n_demonstrations:
            part = slice(done, done + size)

            def label(part: slice = part) -> None:
                decisions = demonstrate(
                    model.scenario,
                    slots[part],
                    start[part],
                    model.rng,
                    source=model.demonstrations,
                    search=search,
                )
                model.replay_buffer.add(observations[part], decisions, demonstrated=True)

            _altogether(model, label)
            _tell(callback)

    def _look_back(self, model: Any) -> None:
        """Fill the replay buffer with decisions of one who knew the path."""
        paths, rng = self._episodes(model, _lessons(model))
        count, kind = model.n_demonstrations, model.observation_kind
        made = hindsight_demonstrations(model.scenario, paths, count, rng, observation=kind)
        columns, _ = model._look(made.observations, made.memory)
        stored = model.policy.stored(made.observations, columns)
        model.replay_buffer.add(stored, made.assignment, demonstrated=True)

    def _episodes(self, model: Any, part: int) -> tuple[Any, np.random.Generator]:
        """Return episodes for a lesson or for demonstrations, and a generator beside them."""
        assert self.seed is not None
        rng = np.random.default_rng([self.seed, part])
        paths = drawn(model.scenario, model.hindsight_episodes, int(rng.integers(2**31)))
        return paths, rng

    def _teach(self, model: Any) -> None:
        """Let the network of worth learn from hindsight, then from decisions by its D, [C-2]."""
        network, scenario = model.policy.foresight, model.scenario
        paths, rng = self._episodes(model, self.lessons)
        if self.lessons:
            lesson = own_lesson(scenario, paths, network, rng)
        else:
            lesson = hindsight_lesson(scenario, paths, rng)
            network.scale(model._tensor(lesson.memory))
        error = learn(network, lesson, model.lesson_steps, rng)
        self.lessons += 1
        model.logger.record("pretrain/worth_error", error)
        model.logger.dump(step=self.lessons)

    def _begin(self, model: Any) -> None:
        if self.seed is None:
            self.seed = int(model.rng.integers(2**31))
        self.settings = demonstration_settings(model)

    def _imitate(self, model: Any) -> None:
        """Take the gradient steps up to the next log entry, and write it."""
        steps = min(_STEPS, model.pretrain_steps - self.steps)
        model._train(steps)
        self.steps += steps
        # Against gradient steps: no slot has passed yet.
        for name, value in model._averages.take().items():
            model.logger.record(name.replace("train/", "pretrain/"), value)
        model.logger.dump(step=model._n_updates)

    def keep_labels(self) -> None:
        """Add no demonstrations to those that the replay buffer holds."""
        self.seed = self.settings = None

    def get_state(self) -> dict[str, Any]:
        """Return seed and settings of demonstrations under way, and gradient steps taken."""
        return dict(vars(self))

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        vars(self).update({name: state[name] for name in vars(self)})


def begun_at(model: Any, observations: NDArray[np.float32], slots: Slot) -> NDArray[np.int64]:
    """Return where the demonstrations' search begins in each slot, shape (B, N)."""
    if model.demonstration_start == "best-gain":
        return np.asarray(1 + slots.gains.argmax(axis=-1))
    decisions, _ = model._decide(observations)
    return np.asarray(decisions)


_STEPS = 25
"""Gradient steps of one part of imitation, and between two log entries."""


def _imitates(model: Any) -> bool:
    return bool(model.demonstrations != "none" and model.n_demonstrations > 0)


def _lessons(model: Any) -> int:
    """Return how many lessons the network of worth takes."""
    return 1 + int(model.own_rounds) if model.policy.remembers else 0


def _tell(callback: BaseCallback) -> None:
    """Tell the callbacks that want to know that a part of pre-training is done."""
    if isinstance(callback, CallbackList):
        for one in callback.callbacks:
            _tell(one)
    elif hasattr(callback, "on_pretraining_step"):
        callback.on_pretraining_step()


def _altogether(model: Any, part: Callable[[], None]) -> None:
    """Let a part happen altogether or, however often it is interrupted, not at all."""
    weights = _cloned(model.policy.state_dict())
    state = _cloned(model.training_state(with_env=False))
    gradients = torch.is_grad_enabled()
    try:
        part()
    except (KeyboardInterrupt, SystemExit):
        undone = False
        while not undone:  # not in a function: on the way into one nothing would catch the next
            try:
                torch.set_grad_enabled(gradients)  # it may have come on the way out of no_grad()
                model.policy.load_state_dict(weights)
                model.take_training_state(state)
                undone = True
            except (KeyboardInterrupt, SystemExit):
                continue
        raise


def _cloned(value: Any) -> Any:
    """Return a nested mapping whose tensors do not change with those of `value`."""
    if isinstance(value, Mapping):
        return {key: _cloned(entry) for key, entry in value.items()}
    return value.clone() if isinstance(value, Tensor) else value
