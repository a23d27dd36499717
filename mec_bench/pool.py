"""Calls in processes of their own, a few at once: one dies, the others go on."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")

_RENEWED = 20
"""Calls per process before all are begun anew: what libraries leave behind goes with them."""


@dataclass(frozen=True)
class Ended(Generic[Item, Value]):
    """A call that ended.

    Attributes
    ----------
    item : object
        What it was about.
    value : object or None
        What it returned.
    error : str
        Why it returned nothing; else empty.

    Examples
    --------
    >>> Ended("a", 1).error
    ''
    """

    item: Item
    value: Value | None
    error: str = ""


def side_by_side(
    call: Callable[[Item], Value], items: Iterable[Item], processes: int
) -> Iterator[Ended[Item, Value]]:
    """Call a function on every item, in processes that are begun anew; yield what ends.

    Parameters
    ----------
    call : callable
        A module's function of one item; both are pickled.
    items : iterable
        In this order, as far as several at once have one.
    processes : int
        How many at once; 1 calls here.

    Yields
    ------
    Ended
        In the order of their ends. When a process dies (killed, out of memory), what was under way
        is tried once more, one after the other, so that what kills its process says so and costs
        the others nothing.

    Examples
    --------
    >>> [one.value for one in side_by_side(abs, [-1, 2], 1)]
    [1, 2]
    """
    waiting = deque(items)
    if processes == 1 or len(waiting) < 2:
        for item in waiting:
            yield _here(call, item)
        return
    while waiting:
        died: list[Item] = []
        yield from _until_a_death(call, waiting, processes, died)
        for item in died:
            again: list[Item] = []
            yield from _until_a_death(call, deque([item]), 1, again)
            for one in again:
                yield Ended(one, None, "its process died: killed, or out of memory")


def _here(call: Callable[[Item], Value], item: Item) -> Ended[Item, Value]:
    try:
        return Ended(item, call(item))
    except Exception as error:
        return Ended(item, None, f"{type(error).__name__}: {error}")


def _until_a_death(
    call: Callable[[Item], Value], waiting: deque[Item], processes: int, died: list[Item]
) -> Iterator[Ended[Item, Value]]:
    """Work until all is done, a process dies, or processes are due to be renewed.

    Takes from `waiting`, and puts into `died` what was under way when a process died.
    """
    begun = 0
    under_way: dict[Future[Value], Item] = {}
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        while not died:
            while waiting and len(under_way) < processes and begun < _RENEWED * processes:
                item = waiting.popleft()
                try:
                    under_way[pool.submit(call, item)] = item
                except BrokenProcessPool:  # a process died since the last look
                    died.append(item)
                    break
                begun += 1
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                item = under_way.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    died.append(item)
                elif error is not None:
                    yield Ended(item, None, f"{type(error).__name__}: {error}")
                else:
                    yield Ended(item, future.result())
    died.extend(under_way.values())
