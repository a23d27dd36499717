r"""From scores to decisions worth pricing: DROO's order-preserving quantisation for M servers.

With one server a device has one number, x̂_i in (0, 1), for offloading. The paper's first candidate
offloads where x̂_i > 1/2. Its k-th one puts the threshold where the (k − 1)-th closest x̂_i to 1/2
is, and turns that device round: devices between 1/2 and the threshold change sides, too, and none
overtakes another. With x̂_i the softmax of two scores, x̂_i > 1/2 says that offloading has the higher
one, and ``|x̂_i − 1/2|`` grows with the difference of the two.

For M + 1 choices with a score each, the difference becomes a margin, one per device and choice: by
how much its score exceeds the best other one of the same device. It is above 0 for the choice that
the device makes, and below for others. A threshold is of one choice c and shifts all scores of it:
it stands where the margin m_ic of some device is. Devices with a larger margin of c choose c, those
with a smaller one the best of their other choices; device i itself is turned round. So the order of
devices by their margin of c is preserved, and each device keeps the order of its other choices.
Candidates follow each other by \|m_ic\|, over all devices and choices at once. With M = 1 the two
choices have the same thresholds, which count once: that is the paper's rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def order_preserving(scores: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return the first candidates of slots, best guess first, shape (B, K, N).

    K is `count`, or how many there are where that is less: one more than there are margins. Fewer
    are always the first of more. What would need an infinite threshold repeats the first.

    Parameters
    ----------
    scores : ndarray, shape (B, N, M + 1)
        Column 0 of local execution, column j of server j; -inf for a choice that a device does not
        have. Every device has one.
    count : int
        At least 1.

    References
    ----------
    L. Huang, S. Bi, Y.-J. A. Zhang, "Deep reinforcement learning for online computation offloading
    in wireless powered mobile-edge computing networks", IEEE Trans. Mobile Comput. 19(11), 2020:
    eqs. (8) and (9).

    Examples
    --------
    One server. The device nearest to a tie is the third: it stays in the second candidate. Then
    comes the first device, which takes the third along.

    >>> offloading = np.array([0.4, -3.0, 0.1])
    >>> scores = np.stack([np.zeros(3), offloading], axis=-1)
    >>> order_preserving(scores[None], 3)[0]
    array([[1, 0, 1],
           [1, 0, 0],
           [0, 0, 0]])
    """
    batch, devices, choices = scores.shape
    first, second, margins = _margins(scores)
    # Of one server's two choices the second has the thresholds of the first.
    skipped = 1 if choices == 2 else 0
    flat = margins[..., skipped:].reshape(batch, devices * (choices - skipped))
    # Stable, so that fewer candidates are the first of more.
    nearest = np.argsort(np.abs(flat), axis=-1, kind="stable")[:, : count - 1]
    thresholds = np.take_along_axis(flat, nearest, axis=-1)[..., None]
    turned = (skipped + nearest % (choices - skipped))[..., None]
    of_choice = np.take_along_axis(margins.swapaxes(1, 2), turned, axis=1)
    chosen = (of_choice > thresholds) | ((of_choice == thresholds) & (thresholds <= 0.0))
    best, next_best = first[:, None], second[:, None]
    moved = np.where(chosen, turned, np.where(best == turned, next_best, best))
    moved = np.where(np.isfinite(thresholds), moved, best)
    candidates: NDArray[np.int64] = np.concatenate([best, moved], axis=1)
    return candidates


def _margins(scores: NDArray[np.float64]) -> tuple[Any, Any, Any]:
    """Return each device's best and second choice, (B, N), and all margins, (B, N, M + 1)."""
    first = scores.argmax(axis=-1)
    others = scores.copy()
    np.put_along_axis(others, first[..., None], -np.inf, axis=-1)
    second = others.argmax(axis=-1)
    highest = np.take_along_axis(scores, first[..., None], axis=-1)
    margins = scores - highest
    own = highest - np.take_along_axis(others, second[..., None], axis=-1)
    np.put_along_axis(margins, first[..., None], own, axis=-1)
    return first, second, margins
