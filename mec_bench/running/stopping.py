"""Ctrl-C and SIGTERM: a run ends where nothing is lost, or at once where it cannot wait."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a run was asked to end.

    Attributes
    ----------
    can_wait : bool
        Whether the run will soon call :meth:`check`, at a place that it can go on from exactly.
        A second request does not wait.

    Examples
    --------
    >>> stop = Stop()
    >>> stop.can_wait = True
    >>> with stop.listening():
    ...     signal.raise_signal(signal.SIGTERM)
    ...     stop.requested
    True
    """

    def __init__(self) -> None:
        self.can_wait = False
        self._asked: BaseException | None = None
        self._shielded = False

    @property
    def requested(self) -> bool:
        """Whether somebody waits for :meth:`check`."""
        return self._asked is not None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take the process's requests to end, where it is the main thread that can.

        Yields
        ------
        None

        Raises
        ------
        KeyboardInterrupt, SystemExit
            Ctrl-C, and SIGTERM with status 143, whenever they come while the run cannot wait.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._take)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, _frame: Any) -> None:
        asked = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
        if self._shielded:
            return
        if self.can_wait and self._asked is None:
            self._asked = asked
            return
        raise asked

    def check(self) -> None:
        """End here if that was asked for.

        Raises
        ------
        KeyboardInterrupt, SystemExit
            The request.
        """
        if self._asked is not None:
            raise self._asked

    def shield(self) -> None:
        """Take no more requests: the last lines are being written, which takes milliseconds."""
        self._shielded = True
