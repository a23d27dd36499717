"""The world: a batch of copies of one scenario, each with its own source of randomness.

A slot's draws follow one fixed order in every copy: the layout (at a reset, where it is redrawn),
what drifts (movement, shadowing, correlated fading), the independent fading of all links, the data
sizes, the cycles. No draw depends on a decision. Every face of the world (single env, vector
env, parallel env) uses this class, so copy *i* of a batch has the same bits as the single env
that is seeded like it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.fields import TASKS, Uniform
from mec_gym.model.cost import NO_TASK
from mec_gym.model.drift import Drift
from mec_gym.model.layout import Layout, draw_layout, fixed_layout
from mec_gym.model.slot import Slot
from mec_gym.scenario import Scenario
from mec_gym.validation import LARGEST, SMALLEST, real_array, require_positive

LARGEST_FADING = 100.0
"""Unit-mean exponential draws stay below this: the probability of more is 4e-44."""


class World:
    """Layouts and slots of one copy of a scenario, or of a batch of independent copies.

    Draws the fading l_ij of eq. (3), and tasks and layouts where they are random. Without
    `n_copies` there is no batch axis. Every draw makes new arrays: a `slot` that a caller keeps
    never changes.
    """

    def __init__(self, scenario: Scenario, n_copies: int | None = None) -> None:
        self.scenario = scenario
        self.n_copies = 1 if n_copies is None else n_copies
        self._batch = () if n_copies is None else (n_copies,)
        self._links = (scenario.n_devices, scenario.n_servers)
        self._correlated = scenario.fading_correlation > 0
        self._rayleigh = scenario.fading == "rayleigh"
        fixed = scenario.layout == "fixed"
        self._layouts: list[Layout] = [fixed_layout(scenario)] * self.n_copies if fixed else []
        self._path_gains = self._stack_path_gains() if fixed else np.empty(0)
        self._constant_tasks = {
            name: _read_only(np.tile(scenario.per_device(name), (*self._batch, 1)))
            for name in TASKS
            if not isinstance(getattr(scenario, name), Uniform)
        }
        # NumPy meets arrays without axes faster than Python's floats.
        self._ranges = {
            name: (np.array(law.low), np.array(law.high), np.array(law.high - law.low))
            for name in TASKS
            if isinstance(law := getattr(scenario, name), Uniform)
        }
        self.slot: Slot | None = None
        self._drift = Drift(scenario, self.n_copies) if scenario.drifts else None
        self._absences, self._delay = scenario.absences, scenario.csi_delay_slots
        self._past: list[NDArray[np.float64]] = []  # gains of the last slots, the oldest first

    @property
    def seen(self) -> Slot | None:
        """The slot as a decision sees it: with gains that are `csi_delay_slots` old."""
        slot = self.slot
        if slot is None or not self._past:
            return slot
        return Slot.trusted(self._past[0], slot.data_bits, slot.cycles)

    def layout(self, copy: int = 0) -> Layout:
        """Return the layout of a copy in the current slot.

        Before the first reset that of the scenario; ``RuntimeError`` where it has none.
        """
        if not self._layouts:
            raise RuntimeError("layout='redrawn' has no layout before the first reset.")
        if self._drift is None or self.slot is None:
            return self._layouts[copy]
        now = self._drift.state
        return Layout(
            now["device_positions_m"][copy].copy(),
            now["server_positions_m"][copy].copy(),
            (self._path_gains[copy] if self._batch else self._path_gains).copy(),
        )

    def reset(
        self, rngs: Sequence[np.random.Generator], copies: Sequence[int] | None = None
    ) -> None:
        """Begin an episode: a new layout where layouts are redrawn, and a first slot.

        One generator per copy of the world; `copies` are those to reset, all by default. Where
        decisions see old gains, the slots in which these were true come before the first.
        """
        chosen = range(self.n_copies) if copies is None else copies
        if self.scenario.layout == "redrawn":
            if not self._layouts:
                self._layouts = [draw_layout(self.scenario, rng) for rng in rngs]
            else:
                for copy in chosen:
                    self._layouts[copy] = draw_layout(self.scenario, rngs[copy])
            self._path_gains = self._stack_path_gains()
        if self._drift is not None:
            self._drift.begin(rngs, chosen, self._layouts)
        self._draw(rngs, copies)
        for _ in range(self._delay):
            self.advance(rngs, copies)

    def advance(
        self, rngs: Sequence[np.random.Generator], copies: Sequence[int] | None = None
    ) -> None:
        """Draw the next slot of `copies` (all by default); the others keep theirs."""
        if copies is not None and not len(copies):
            return
        if self._drift is not None:
            self._drift.advance(rngs, range(self.n_copies) if copies is None else copies)
        self._draw(rngs, copies)

    def _draw(self, rngs: Sequence[np.random.Generator], copies: Sequence[int] | None) -> None:
        """Draw what is new in a slot of `copies`, all for None."""
        chosen = range(self.n_copies) if copies is None else copies
        if self._drift is not None:
            self._update_path_gains(self._drift, chosen)
        gains = self._draw_gains(rngs, chosen)
        if self._delay and self.slot is not None:
            self._remember(self.slot, chosen)
        if copies is None and not self._ranges:
            slot = Slot.trusted(gains, **self._constant_tasks)
        else:
            slot = Slot.trusted(
                gains,
                self._draw_task("data_bits", rngs, chosen),
                self._draw_task("cycles", rngs, chosen),
            )
        if self._absences:
            slot = self._without_absent(slot, chosen)
        if self._batch and copies is not None and self.slot is not None:
            slot = _with_rows(self.slot, copies, slot)
        self.slot = slot

    def _drawn(
        self,
        draw: Callable[..., Any],
        rngs: Sequence[np.random.Generator],
        copies: Sequence[int],
        shape: tuple[int, ...],
    ) -> NDArray[np.float64]:
        """Return a new array of what each copy draws by a method of its generator."""
        if not self._batch:
            alone: NDArray[np.float64] = draw(rngs[0], shape)
            return alone
        values = np.empty((len(copies), *shape))
        for row, copy in zip(values, copies, strict=True):
            draw(rngs[copy], out=row)
        return values

    def _draw_gains(
        self, rngs: Sequence[np.random.Generator], copies: Sequence[int]
    ) -> NDArray[np.float64]:
        path_gains = self._path_gains
        if self._batch and 1 < len(path_gains) > len(copies):
            path_gains = path_gains[list(copies)]
        if self._correlated:
            assert self._drift is not None
            gains = path_gains * (
                self._drift.fading(copies) if self._batch else self._drift.fading(copies)[0]
            )
            return np.clip(gains, SMALLEST, LARGEST)
        if not self._rayleigh:
            gains = np.empty((len(copies), *self._links) if self._batch else self._links)
            gains[...] = path_gains
            return gains
        gains = self._drawn(np.random.Generator.standard_exponential, rngs, copies, self._links)
        gains *= path_gains
        # Fading has no positive lower bound; the model's range does. It is all but never met.
        if gains.item(gains.argmin()) < SMALLEST:
            np.maximum(gains, SMALLEST, out=gains)
        return gains

    def _draw_task(
        self, name: str, rngs: Sequence[np.random.Generator], copies: Sequence[int]
    ) -> NDArray[np.float64]:
        constant = self._constant_tasks.get(name)
        if constant is not None:
            return constant if len(copies) == self.n_copies else constant[: len(copies)]
        low, high, width = self._ranges[name]
        values = self._drawn(np.random.Generator.random, rngs, copies, self._links[:1])
        values *= width
        values += low
        # Rounding may pass the upper end by one unit in the last place.
        np.minimum(values, high, out=values)
        return values

    def _update_path_gains(self, drift: Drift, copies: Sequence[int]) -> None:
        gains = np.clip(drift.path_gains(copies), SMALLEST, LARGEST / LARGEST_FADING)
        if not self._batch:
            self._path_gains = gains[0]
        elif len(copies) == self.n_copies:
            self._path_gains = gains
        else:
            self._path_gains = self._path_gains.copy()
            self._path_gains[list(copies)] = gains

    def _remember(self, slot: Slot, copies: Sequence[int]) -> None:
        """Keep the gains of a slot, which is about to pass, as long as they are seen."""
        if len(self._past) < self._delay or len(copies) == self.n_copies:
            self._past = [*self._past, slot.gains][-self._delay :]
            return
        rows, later = list(copies), [*self._past[1:], slot.gains]
        self._past = [old.copy() for old in self._past]
        for old, new in zip(self._past, later, strict=True):
            old[rows] = new[rows]

    def _without_absent(self, slot: Slot, copies: Sequence[int]) -> Slot:
        """Return slots in which devices that are not there have next to no task."""
        assert self._drift is not None
        present = self._drift.state["present"][list(copies)]
        there = present if self._batch else present[0]
        bits, cycles = (np.where(there, task, NO_TASK) for task in (slot.data_bits, slot.cycles))
        return Slot.trusted(slot.gains, bits, cycles)

    def _stack_path_gains(self) -> NDArray[np.float64]:
        """Return the gains without fading, in range: (N, M); of a batch (1, N, M) or (B, N, M)."""
        layouts = self._layouts[:1] if self.scenario.layout == "fixed" else self._layouts
        gains = np.stack([layout.path_gains for layout in layouts])
        gains = np.clip(gains, SMALLEST, LARGEST / LARGEST_FADING)
        return np.asarray(gains if self._batch else gains[0])

    def get_state(self) -> dict[str, Any]:
        """Return copies of slots and layouts: all that the future depends on but the generators."""
        slot = self.slot and {name: np.array(getattr(self.slot, name)) for name in _SLOT_FIELDS}
        layouts = [
            tuple(np.array(getattr(layout, name)) for name in _LAYOUT_FIELDS)
            for layout in self._layouts
        ]
        return {
            "slot": slot,
            "layouts": layouts if self.scenario.layout == "redrawn" else None,
            "past": [gains.copy() for gains in self._past],
            "drift": self._drift and {name: one.copy() for name, one in self._drift.state.items()},
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state of a world of the same scenario and copies, or refuse it unchanged."""
        values, arrays = state["slot"], state["layouts"]
        slot = None if values is None else Slot(*(values[name] for name in _SLOT_FIELDS))
        if slot is not None:
            _require_shape("gains", slot.gains, (*self._batch, *self._links))
        layouts = self._layouts
        if self.scenario.layout == "redrawn":
            layouts = [Layout(*map(np.array, parts)) for parts in arrays]
            if len(layouts) not in (0, self.n_copies) or (slot is not None and not layouts):
                raise ValueError(
                    f"state must have one layout for each copy, {self.n_copies}; "
                    f"got {len(layouts)}."
                )
        for layout in layouts:
            _require_shape("path_gains", layout.path_gains, self._links)
            require_positive("path_gains", layout.path_gains, unit="1")
        past = [np.array(real_array("gains", gains)) for gains in state.get("past", ())]
        if slot is not None and len(past) != self._delay:
            raise ValueError(
                f"state must have the gains of {self._delay} slots before; got {len(past)}."
            )
        for gains in past:
            _require_shape("gains of slots before", gains, (*self._batch, *self._links))
            require_positive("gains of slots before", gains, unit="1")
        if self._drift is not None:
            self._drift.set_state(state.get("drift") or {})
        self.slot, self._layouts, self._past = slot, layouts, past
        if layouts:
            self._path_gains = self._stack_path_gains()
        if self._drift is not None and slot is not None:
            self._update_path_gains(self._drift, range(self.n_copies))


def _with_rows(kept: Slot, rows: Sequence[int], new: Slot) -> Slot:
    """Return a copy of slots with some of them replaced."""
    arrays = [np.array(getattr(kept, name)) for name in _SLOT_FIELDS]
    for array, name in zip(arrays, _SLOT_FIELDS, strict=True):
        array[list(rows)] = getattr(new, name)
    return Slot.trusted(*arrays)


def _require_shape(name: str, array: NDArray[np.float64], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(
            f"state must have {name} of shape {shape}, copies first; got shape {array.shape}."
        )


_LAYOUT_FIELDS = ("device_positions_m", "server_positions_m", "path_gains")
_SLOT_FIELDS = ("gains", "data_bits", "cycles")


def _read_only(array: NDArray[np.float64]) -> NDArray[np.float64]:
    array.flags.writeable = False
    return array
