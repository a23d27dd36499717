"""What training asks of an algorithm beyond ``learn`` and ``predict``, for a class without it.

The env counts the slots and calls the callbacks, so that such a class need know of neither.
"""

from __future__ import annotations

import inspect
import io
import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from mec_gym.files import read_zip, write_zip

_MEMBER = "model.pkl"


class _Enough(BaseException):
    """Ends a ``learn`` that goes on beyond its slots, or that a callback wants to end."""


class CountingEnv(VecEnvWrapper):
    """Tells a model of every step."""

    listener: Completed | None = None

    def reset(self) -> Any:
        """Begin an episode in every copy."""
        return self.venv.reset()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Step every copy, if the model may take more slots."""
        if self.listener is not None and self.listener.left <= 0:
            raise _Enough
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Return what came of the step, after the model has counted it."""
        result = self.venv.step_wait()
        if self.listener is not None:
            self.listener.stepped(result)
        return result


class Completed:
    """A model of a class that has ``learn(total_timesteps)`` and ``predict(observations)``.

    Its files hold the class's own, if it has ``save`` and ``load``, and else what pickle makes of
    the model without its env; as Stable-Baselines3's, they run code when they are loaded.
    """

    exact_resume = False

    def __init__(self, own: Any, env: CountingEnv | None, observation_space: Any) -> None:
        self.own, self.env, self.observation_space = own, env, observation_space
        self.num_timesteps = self.left = 0
        self.logger = Logger(None, [])
        self._callback: BaseCallback | None = None

    def __getattr__(self, name: str) -> Any:
        # What it offers, such as a remark, and the arguments that it keeps.
        if name == "own" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.own, name)

    @classmethod
    def build(cls, own: type[Any], env: VecEnv, arguments: Mapping[str, Any]) -> Completed:
        """Return a new model of the class `own`."""
        counting = CountingEnv(env)
        model = own(**{**arguments, "env": counting})
        if not _keeps_files(own):
            _pickled(model, counting)  # what cannot be kept is refused before it is trained
        return cls(model, counting, env.observation_space)

    def get_env(self) -> CountingEnv | None:
        """Return the env that it trains in."""
        return self.env

    def set_logger(self, logger: Logger) -> None:
        """Log there from now on."""
        self.logger = logger

    def learn(
        self, total_timesteps: int, callback: BaseCallback, reset_num_timesteps: bool = True
    ) -> Completed:
        """Let the class learn, for so many slots at most."""
        assert self.env is not None
        if reset_num_timesteps:
            self.num_timesteps = 0
        self.left, self._callback = total_timesteps, callback
        callback.init_callback(self)  # type: ignore[arg-type]
        callback.on_training_start(locals(), globals())
        callback.on_rollout_start()
        self.env.listener = self
        try:
            self.own.learn(total_timesteps)
        except _Enough:
            pass
        finally:
            self.env.listener = None
        callback.on_rollout_end()
        callback.on_training_end()
        return self

    def stepped(self, result: VecEnvStepReturn) -> None:
        """Count a step of the env, and call the callback."""
        assert self.env is not None
        assert self._callback is not None
        self.num_timesteps += self.env.num_envs
        self.left -= self.env.num_envs
        names = ("new_obs", "rewards", "dones", "infos")
        self._callback.update_locals(dict(zip(names, result, strict=True)))
        if not self._callback.on_step():
            raise _Enough

    def predict(
        self,
        observation: NDArray[Any],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """Return actions and a state; the class sees a batch, and answers actions, or both."""
        single = observation.shape == self.observation_space.shape
        given = {"state": state, "episode_start": episode_start, "deterministic": deterministic}
        taken = inspect.signature(self.own.predict).parameters
        options = {name: value for name, value in given.items() if name in taken}
        found = self.own.predict(observation[None] if single else observation, **options)
        actions, state = found if isinstance(found, tuple) else (found, state)
        return (np.asarray(actions)[0] if single else np.asarray(actions)), state

    def save(self, path: Any) -> None:
        """Write it to a path."""
        kept = (self.num_timesteps, self.observation_space, self._own_file() or self.own)
        write_zip(path, {_MEMBER: _pickled(kept, self.env)})

    def _own_file(self) -> tuple[str, bytes] | None:
        if not _keeps_files(type(self.own)):
            return None
        with tempfile.TemporaryDirectory() as folder:
            self.own.save(Path(folder) / "model.zip")
            (file,) = Path(folder).iterdir()
            return file.name, file.read_bytes()

    @classmethod
    def load(cls, own: type[Any], path: Any, env: VecEnv | None = None) -> Completed:
        """Return what :meth:`save` wrote of a model of the class `own`."""
        counting = None if env is None else CountingEnv(env)
        pickled = io.BytesIO(read_zip(path)[_MEMBER])
        steps, space, kept = _Unpickler(pickled, counting).load()
        if _keeps_files(own):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / kept[0]
                file.write_bytes(kept[1])
                kept = own.load(file, env=counting)
        model = cls(kept, counting, space)
        model.num_timesteps = steps
        return model


def _keeps_files(cls: type[Any]) -> bool:
    return hasattr(cls, "save") and hasattr(cls, "load")


def _pickled(one: Any, env: Any) -> bytes:
    file = io.BytesIO()
    try:
        _Pickler(file, env).dump(one)
    except (TypeError, pickle.PicklingError) as error:
        raise TypeError(
            "a model must be one that pickle can write, apart from its env, or have save(path) and "
            f"load(path, env=): {error}."
        ) from error
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it ships no type information
    """Leaves the env out."""

    def __init__(self, file: io.BytesIO, env: Any) -> None:
        super().__init__(file)
        self._env = env

    def persistent_id(self, one: Any) -> str | None:
        return "env" if one is self._env and one is not None else None


class _Unpickler(pickle.Unpickler):
    """Puts another env in the place of what was left out."""

    def __init__(self, file: io.BytesIO, env: Any) -> None:
        super().__init__(file)
        self._env = env

    def persistent_load(self, name: str) -> Any:
        return self._env
