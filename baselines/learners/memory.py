"""How much memory there is for replay buffers."""

from __future__ import annotations

from pathlib import Path

MEMORY = Path("/proc/meminfo")


def free_memory() -> float:
    """Return how much memory programs can still get.

    Returns
    -------
    float, [B]
        Infinite where the system does not tell; Linux does.

    Examples
    --------
    >>> free_memory() > 0
    True
    """
    lines = MEMORY.read_text(encoding="ascii").splitlines() if MEMORY.is_file() else []
    # Free pages alone would leave out what the system holds for files and gives up at need.
    kilobytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024.0 * int(kilobytes[0]) if kilobytes else float("inf")
