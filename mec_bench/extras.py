"""Which extra brings a module that is not there, and how to install it."""

from __future__ import annotations

_EXTRAS = {
    "train": (
        *("filelock", "jinja2", "matplotlib", "pydantic", "pydantic_core", "rich", "sb3_contrib"),
        *("stable_baselines3", "tensorboard", "threadpoolctl", "torch", "tqdm"),
    ),
    "multiagent": ("pettingzoo",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "ray": ("ray",),
    "render": ("pygame",),
    "search": ("pymoo",),
    "tune": ("optuna",),
}
"""Which extra brings which modules."""


def install(extra: str) -> str:
    """Return how to install an extra."""
    return f'pip install "mec-gym[{extra}]", or in a clone pip install ".[{extra}]"'


def lacking(error: Exception) -> str:
    """Return how to install the module that an import did not find; empty for other errors."""
    if "pip install" in str(error):
        return str(error)
    module = str(getattr(error, "name", "")).partition(".")[0]
    for extra, modules in _EXTRAS.items():
        if isinstance(error, ModuleNotFoundError) and module in modules:
            return f"this needs {module}: {install(extra)}."
    return ""
