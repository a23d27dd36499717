"""Networks as ONNX models, for servers that run no PyTorch."""

from __future__ import annotations

import copy
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def export_onnx(
    module: nn.Module,
    path: str | os.PathLike[str],
    inputs: Mapping[str, Tensor],
    output: str,
    *,
    any_batch: bool,
) -> Path:
    """Write a module as an ONNX model.

    Parameters
    ----------
    module : nn.Module
        Of one output.
    path : path
        Of the file.
    inputs : mapping of str to Tensor
        Examples in the order of the module's arguments.
    output : str
        Name of the output.
    any_batch : bool
        Whether the first axis may be of any size, not only the examples'.

    Returns
    -------
    Path

    Raises
    ------
    ModuleNotFoundError
        Without the extra: ``pip install "mec-gym[onnx]"``.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'to_onnx needs onnx and onnxscript: pip install "mec-gym[onnx]", or in a clone '
            'pip install ".[onnx]".'
        ) from error
    model = copy.deepcopy(module).cpu().eval()
    examples = tuple(inputs.values())
    with torch.no_grad(), _quiet():
        model(*examples)  # caches of constants fill with real tensors before tracing
        batch = {0: torch.export.Dim("batch")}
        program = torch.onnx.export(
            model,
            examples,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=dict.fromkeys(inputs, batch) if any_batch else None,
            custom_translation_table={torch.ops.aten.sort.stable: _stable_sort},
            dynamo=True,
            verbose=False,
        )
    assert program is not None, "torch.onnx.export(dynamo=True) returns a program"
    target = Path(path)
    program.save(str(target))
    return target


def _stable_sort(
    values: Any, stable: bool = False, dim: int = -1, descending: bool = False
) -> tuple[Any, Any]:
    """Translate torch's stable sort, which torch's exporter lacks: TopK puts the first first."""
    del stable
    from onnxscript import opset18

    op: Any = opset18
    size = op.Gather(op.Shape(values), op.Constant(value_ints=[dim]))
    first, places = op.TopK(values, size, axis=dim, largest=int(descending), sorted=1)
    return first, places


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter says of packages that are not needed, and of its own future."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
