"""What a user's "module:name" stands for, and the name of what a user hands over."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

from mec_gym.validation import suggestion

LIBRARIES = {"sb3": "stable_baselines3", "sb3_contrib": "sb3_contrib", "sb3-contrib": "sb3_contrib"}
"""Short names of modules."""

_OURS = ("mec_gym", "mec_bench", "dirs_agents", "baselines", "reproduction", "__main__")
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}", "<")
"""What is in the path of a library's file; code of no file begins with the last."""


class Terminated(SystemExit):
    """SIGTERM has asked a run to end; any other ``SystemExit`` is a fault of who raises it."""


@contextlib.contextmanager
def users_code() -> Iterator[None]:
    """Make an end of the process that nobody has asked for a ``RuntimeError``, like any fault."""
    try:
        yield
    except Terminated:
        raise
    except SystemExit as error:
        raise RuntimeError(
            f"the algorithm ends the process: {error!r}{users_place(error)}"
        ) from error


def users_place(error: BaseException) -> str:
    """Return where in a user's code an error was raised, in brackets; nothing of a refusal of ours.

    What a library raises there counts as the user's.
    """
    stdlib = (*_INSTALLED, sysconfig.get_path("stdlib") + os.sep)
    for frame, line in reversed([*traceback.walk_tb(error.__traceback__)]):
        code, module = frame.f_code, frame.f_globals.get("__name__") or ""
        if module.partition(".")[0] in _OURS:
            return ""
        if not any(part in code.co_filename for part in stdlib):
            return f" ({os.path.basename(code.co_filename)}, line {line}, in {code.co_name})"
    return ""


def found(what: str, name: str, short: Mapping[str, str] = LIBRARIES) -> Any:
    """Return the class or function ``module:name``, found like an import from the current folder.

    `what` begins the message of a ``ModuleNotFoundError`` or ``AttributeError``, or of a
    ``ValueError`` for a module that ends the process.
    """
    module_name, _, path = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last: a user's baselines.py is not the package
    module_name = short.get(module_name, module_name)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name.split(".")[0] and error.name != module_name:
            raise  # it is there, and needs something that is not
        meant = f" (did you mean {dotted(name)!r}?)" if dotted(name) != name else ""
        raise ModuleNotFoundError(
            f"{what} {name!r}: there is no module {module_name!r} here. It is looked for where "
            f"Python looks, and in the current folder{meant}."
        ) from error
    except Terminated:
        raise
    except SystemExit as error:
        raise ValueError(
            f"{what} {name!r}: importing {module_name} ends the process ({error!r}). What only a "
            "script does belongs below if __name__ == '__main__'."
        ) from error
    one: Any = module
    for part in path.split("."):
        one = getattr(one, part, None)
    if not callable(one):
        there = [key for key, value in vars(module).items() if callable(value)]
        raise AttributeError(
            f"{what} {name!r}: {module_name} has no class or function {path!r}"
            f"{suggestion(path, there)}."
        )
    return one


def dotted(name: str) -> str:
    """Return a name with its module as an import has it, where it may be the path of a file.

    >>> dotted("experiments/mine.py:Mine"), dotted("mine:Mine")
    ('experiments.mine:Mine', 'mine:Mine')
    """
    module, colon, path = name.partition(":")
    return f"{module.removesuffix('.py').replace('/', '.').strip('.')}{colon}{path}"


def name_of(what: str, given: Any) -> Any:
    """Return the ``module:name`` of a class or function, which files can hold; all else as it is.

    ``ValueError`` where that name does not find it again.
    """
    if not callable(given):
        return given
    name = f"{getattr(given, '__module__', '')}:{getattr(given, '__qualname__', '')}"
    try:
        again = found(what, name, {})
    except (AttributeError, ModuleNotFoundError, ValueError):
        again = None
    if again is not given:
        raise ValueError(
            f"{what} must stand at the top of a module, where a result's name for it, "
            f"'module:name', finds it again; got {given!r}."
        )
    return name
