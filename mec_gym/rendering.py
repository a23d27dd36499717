"""A picture of one slot: the map, the load of every server, the objective over time.

In worlds that move it also shows where devices came from, which services move from where to where,
who is absent, and how old the gains are that the decision saw.

:func:`draw` needs no screen: it uses pygame's surfaces and bundled font only. Lengths are in
design units, of which every picture has at least 960 x 600; the canvas is larger than the picture
and is scaled down in the end, which smooths all edges. A colour stands for a server.
"""

from __future__ import annotations

import copy
import itertools
import math
import os
from collections import deque
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray

from mec_gym.model.arrays import sum_by_server
from mec_gym.model.cost import NO_TASK, migrates
from mec_gym.model.layout import Layout
from mec_gym.model.slot import Slot
from mec_gym.scenario import Scenario

_Size = tuple[int, int]
_Color = tuple[int, ...]
DESIGN = (960, 600)
"""Width and height that pictures are laid out for, [pixel]."""
_PAPER, _CARD, _RIM, _GROUND = (240, 242, 245), (255, 255, 255), (222, 226, 232), (248, 249, 251)
_INK, _SOFT, _FAINT = (28, 37, 51), (112, 120, 133), (233, 236, 240)
_LOCAL, _BEST, _EXCESS = (150, 154, 160), (128, 146, 178), (238, 241, 247)
# Ten hues that differ for protanopes and deuteranopes too; then their shades.
_HUES = bytes.fromhex("0072b2e69f00009e73d55e0056b4e9aa33775e3c996b4c1eee6677003f5c")
_SHADES = (0.0, 0.35, -0.3, 0.18, -0.15)
_MOST_ROWS = 10
KEPT_SLOTS = 100
TRAIL_SLOTS = 3
"""Slots before the present one of which a trail shows where devices were."""


@dataclass(frozen=True, eq=False)
class Frame:
    """All that one picture shows, for N devices and M servers.

    ``env.unwrapped.frame()`` gives one, and ``dataclasses.replace`` another that differs.
    """

    title: str  # headline, shortened where it is too long
    area_m: tuple[float, float]  # width and height of the map; what lies outside is drawn on edge
    device_positions_m: NDArray[Any]  # (N, 2)
    server_positions_m: NDArray[Any]  # (M, 2)
    assignment: NDArray[Any] | None  # (N,): 0 = local, j = server j; None: nothing decided yet
    server_load: NDArray[Any]  # (M,) [s]: computing time of its tasks, or another load >= 0
    devices_per_server: NDArray[Any]  # (M,)
    objective: float  # cost of the slot
    optimum: float | None  # the least possible one, if known
    latency_s: float  # sum over the devices
    energy_j: float  # sum over the devices
    slot: int  # its number
    history: tuple[tuple[float, float | None], ...] = ()  # objective, optimum; 100 latest are drawn
    lower_bound: float | None = None  # what NRR divides by the objective; the optimum by default
    # Of worlds that move:
    trails_m: NDArray[Any] | None = None  # (K, N, 2), present place last; NaN: not on the map then
    present: NDArray[Any] | None = None  # (N,): who is there and drawn; None: all
    csi_delay_slots: int = 0  # age of the gains that the decision saw
    hosts: NDArray[Any] | None = None  # (N,): services before the decision, 0 = nowhere yet
    moves: NDArray[Any] | None = None  # (N,): whose service moves; None: none, or undecided
    migrations: tuple[int, ...] = ()  # services that moved, for each slot of the history
    rival: str = "optimum"  # what the second numbers of the history are; "": there are none


def draw(frame: Frame, size: _Size = DESIGN) -> NDArray[np.uint8]:
    """Return a picture of `frame`, shape (height, width, 3), RGB; equal frames give equal pictures.

    `size` is its width and height [pixel], each at least 1. Without pygame it raises
    ``gymnasium.error.DependencyNotInstalled``.

    Examples
    --------
    >>> place = np.array([[10.0, 10.0]])
    >>> frame = Frame("demo", (50.0, 50.0), place, place, np.array([1]), np.ones(1), np.ones(1),
    ...               objective=2.5, optimum=2.0, latency_s=3.0, energy_j=0.5, slot=0)
    >>> draw(frame, size=(480, 300)).shape
    (300, 480, 3)
    """
    if min(size) < 1:
        raise ValueError(f"size must be at least 1 x 1 [pixel]; got {size!r}.")
    return _Painter(frame, size).paint(size)


class Window:
    """A window on the screen that shows one frame after another, at most `fps` in a second.

    Once the person has closed it, it is `dismissed`: :meth:`show` does nothing.
    """

    def __init__(self, size: _Size = DESIGN, fps: float = 4, caption: str = "mec-gym") -> None:
        self.size, self.fps, self.caption = size, fps, caption
        self.dismissed = False
        self._clock: Any = None

    def show(self, frame: Frame) -> None:
        """Show `frame`; the first call, and the first after :meth:`close`, opens the window."""
        if self.dismissed:
            return
        picture = draw(frame, self.size)
        pygame = _pygame()
        screen = pygame.display.get_surface() if pygame.display.get_init() else None
        if self._clock is None or screen is None:
            pygame.display.init()
            screen = pygame.display.set_mode(self.size)
            pygame.display.set_caption(self.caption)
            self._clock = pygame.time.Clock()
        pygame.surfarray.blit_array(screen, picture.swapaxes(0, 1))
        pygame.display.flip()
        if any(event.type == pygame.QUIT for event in pygame.event.get()):
            self.dismissed = True
            self.close()
        elif self.fps > 0:
            self._clock.tick(self.fps)

    def close(self) -> None:
        """Close the window, if it is open."""
        if self._clock is not None:
            self._clock = None
            _pygame().display.quit()


class Picture:
    """What an env keeps for its picture: the last decided slot and what led to it."""

    def __init__(self, scenario: Scenario, render_mode: str) -> None:
        self._scenario = scenario
        self._human = render_mode == "human"
        self._window: Window | None = None
        self._history: deque[tuple[float, float | None]] = deque(maxlen=KEPT_SLOTS)
        self._migrations: deque[int] = deque(maxlen=KEPT_SLOTS)
        self._places: deque[NDArray[Any]] = deque(maxlen=TRAIL_SLOTS)
        self._plan: NDArray[Any] | None = None
        self._slots = 0
        self._slot: Slot | None = None
        self._layout: Layout | None = None
        self._assignment: NDArray[np.int64] | None = None
        self._info: dict[str, Any] | None = None

    def forget(self) -> None:
        """Go back to where nothing has been seen."""
        for kept in (self._history, self._migrations, self._places):
            kept.clear()
        self._slots = 0
        self._slot = self._layout = self._assignment = self._info = self._plan = None

    def begin(
        self,
        slot: Slot,
        layout: Layout,
        info: dict[str, Any],
        plan: NDArray[np.float64] | None = None,
    ) -> None:
        """Take up an episode: its first slot, no decision yet, and what a plan costs per slot."""
        self.forget()
        self._info = copy.deepcopy(info)
        self._plan = plan
        self._slot, self._layout = slot, layout
        self._show()

    def remember(self, slot: Slot, layout: Layout) -> None:
        """Keep the slot that is about to be decided, and where devices were in the one before."""
        if self._assignment is not None and self._scenario.mobility is not None:
            self._places.append(self._seen_places())
        self._slot, self._layout = slot, layout

    def decided(self, assignment: NDArray[np.int64], info: dict[str, Any]) -> None:
        """Keep the decision of the slot last remembered."""
        self._assignment = assignment.copy()
        self._info = copy.deepcopy(info)
        rival = info.get("optimum")
        if self._plan is not None:
            rival = self._plan[self._slots] if self._slots < len(self._plan) else None
        self._history.append((info["objective"], rival))
        self._migrations.append(info.get("migrations", 0))
        self._slots += 1
        self._show()

    def _present(self) -> NDArray[np.bool_] | None:
        assert self._slot is not None
        return self._slot.cycles > NO_TASK if self._scenario.absences else None

    def _seen_places(self) -> NDArray[Any]:
        """Return where devices are, (N, 2) [m]: nowhere where they are absent."""
        assert self._layout is not None
        places, present = self._layout.device_positions_m, self._present()
        return places if present is None else np.where(present[:, None], places, math.nan)

    def frame(self) -> Frame:
        """Return what is to be drawn."""
        if self._slot is None or self._layout is None or self._info is None:
            raise RuntimeError("there is nothing to draw before the first reset().")
        n_servers, slot, present = self._scenario.n_servers, self._slot, self._present()
        assignment, counts, moves = self._assignment, self._info["devices_per_server"], None
        decided = assignment is not None
        load = np.zeros(n_servers)
        if assignment is not None:
            if present is not None:
                assignment = np.where(present, assignment, 0)
                counts = sum_by_server(np, None, assignment, n_servers)[1:]
            work = sum_by_server(np, slot.cycles, assignment, n_servers)[1:]
            load = work / self._scenario.server_frequencies_hz
            if slot.hosts is not None:
                moves = migrates(assignment, slot.hosts, slot.cycles)
        trails = None
        if self._scenario.mobility is not None:
            trails = np.stack([*self._places, self._seen_places()])
        return Frame(
            title=self._scenario.name,
            area_m=self._scenario.area_m,
            device_positions_m=self._layout.device_positions_m,
            server_positions_m=self._layout.server_positions_m,
            assignment=assignment,
            server_load=load,
            devices_per_server=counts,
            # Before a decision the info describes all-local execution, which nobody chose.
            objective=self._info["objective"] if decided else math.nan,
            optimum=self._info.get("optimum"),
            latency_s=self._info["latency_s"] if decided else math.nan,
            energy_j=self._info["energy_j"] if decided else math.nan,
            slot=self._slots,
            history=tuple(self._history),
            lower_bound=self._info.get("lower_bound"),
            trails_m=trails,
            present=present,
            csi_delay_slots=self._scenario.csi_delay_slots,
            hosts=slot.hosts,
            moves=moves,
            migrations=tuple(self._migrations) if slot.hosts is not None else (),
            rival=self._rival(),
        )

    def _rival(self) -> str:
        """Name what the cost of a slot is drawn beside; where services move, only what is known."""
        if self._plan is not None:
            return "plan"
        unknown = self._scenario.migrates and "optimum" not in (self._info or {})
        return "" if unknown else "optimum"

    def render(self) -> NDArray[np.uint8] | None:
        """Return the picture, or show it in human mode."""
        if not self._human:
            return draw(self.frame())
        self._show()
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window:
            self._window.close()
            self._window = None

    def __getstate__(self) -> dict[str, Any]:
        # A window belongs to its process; a copy opens its own.
        return {**self.__dict__, "_window": None}

    def _show(self) -> None:
        if self._human:
            self._window = self._window or Window()
            self._window.show(self.frame())


def _pygame() -> ModuleType:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ImportError as error:
        message = (
            'rendering needs pygame: pip install "mec-gym[render]", or in a clone '
            'pip install ".[render]".'
        )
        raise DependencyNotInstalled(message) from error
    return pygame


class _Box(NamedTuple):
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def inset(self, dx: float, dy: float) -> _Box:
        return _Box(self.x + dx, self.y + dy, self.width - 2 * dx, self.height - 2 * dy)


def _cards(extent: tuple[float, float], n_servers: int) -> list[_Box]:
    """Place the cards for map, numbers, loads and history on a page of `extent`."""
    margin, gap, panel, numbers = 14.0, 10.0, 340.0, 168.0
    left, height = extent[0] - margin - panel, extent[1] - 2 * margin
    loads = 46.0 + (17.0 * n_servers if n_servers <= _MOST_ROWS else 150.0)
    cards = [_Box(margin, margin, left - gap - margin, height), _Box(left, margin, panel, numbers)]
    for high in (loads, height - numbers - loads - 2 * gap):
        cards.append(_Box(left, cards[-1].bottom + gap, panel, high))
    return cards


def _plot(card: _Box, area_m: tuple[float, float]) -> _Box:
    """Fit the area into the card of the map, to scale."""
    scale = min((card.width - 68) / area_m[0], (card.height - 58) / area_m[1])
    width, height = area_m[0] * scale, area_m[1] * scale
    top = card.y + 20 + (card.height - 58 - height) / 2
    return _Box(card.x + (card.width - width) / 2, top, width, height)


def _places(points_m: NDArray[Any], area_m: tuple[float, float], plot: _Box) -> NDArray[Any]:
    share = np.clip(np.asarray(points_m, np.float64) / np.asarray(area_m), 0.0, 1.0)
    share[:, 1] = 1.0 - share[:, 1]
    return np.asarray(share * plot[2:] + plot[:2])


def _mixed(first: _Color, second: _Color, share: float) -> _Color:
    return tuple(round(a + share * (b - a)) for a, b in zip(first, second, strict=True))


def _server_color(j: int) -> _Color:
    hue, shade = _HUES[3 * (j % 10) :][:3], _SHADES[j // 10 % len(_SHADES)]
    return _mixed(tuple(hue), (255, 255, 255) if shade > 0 else (0, 0, 0), abs(shade))


def _round_down(value: float) -> float:
    """Return the largest of 1, 2, 5, 10, ... that is not above `value` > 0."""
    power = 10.0 ** math.floor(math.log10(value))
    return max((k * power for k in (1, 2, 5) if k * power <= value), default=power)


def _number(value: float | None, digits: int = 4) -> str:
    if value is None or math.isnan(value):
        return "-"
    whole = 1e4 <= abs(value) < 1e7
    return f"{value:,.0f}" if whole else f"{value:.{digits}g}".replace("e+", "e")


def _runs(values: NDArray[Any]) -> list[slice]:
    """Return the stretches without NaN."""
    edges = np.flatnonzero(np.diff(np.isfinite(values), prepend=False, append=False)).tolist()
    return [slice(*edge) for edge in zip(edges[::2], edges[1::2], strict=True)]


class _Painter:
    """Paints one frame."""

    def __init__(self, frame: Frame, size: _Size) -> None:
        self.pygame = _pygame()
        self.pygame.font.init()
        self.font = cache(lambda pixels: self.pygame.font.Font(None, pixels))
        zoom = min(size[0] / DESIGN[0], size[1] / DESIGN[1])
        oversampling = 3 if zoom < 1 else 4 if zoom <= 1.5 else 2
        self.unit = zoom * oversampling
        self.surface = self.pygame.Surface([oversampling * side for side in size], 0, 32)
        self.frame = frame
        self.undecided = frame.assignment is None
        devices = np.zeros(len(frame.device_positions_m)) if self.undecided else frame.assignment
        self.assignment = np.asarray(devices, int)
        nobody = self.assignment < 0
        self.present = np.asarray(~nobody if frame.present is None else frame.present, bool)
        self.moves = np.asarray(nobody if frame.moves is None else frame.moves, bool)
        self.hosts = np.asarray(nobody if frame.hosts is None else frame.hosts, int)
        self.colors = [_server_color(j) for j in range(len(frame.server_positions_m))]
        self.device_colors = [_LOCAL, *self.colors]
        self.cards = _cards((size[0] / zoom, size[1] / zoom), len(self.colors))
        self.plot = _plot(self.cards[0], frame.area_m)

    def pixels(self, length: float) -> int:
        return max(1, round(length * self.unit))

    def box(self, box: _Box, color: _Color, radius: float = 0.0) -> None:
        x, y = round(box.x * self.unit), round(box.y * self.unit)
        right, bottom = max(x + 1, self.pixels(box.right)), max(y + 1, self.pixels(box.bottom))
        corners = (x, y, right - x, bottom - y)
        self.pygame.draw.rect(self.surface, color, corners, 0, round(radius * self.unit))

    def dot(self, x: float, y: float, radius: float, color: _Color) -> None:
        center = (x * self.unit, y * self.unit)
        self.pygame.draw.circle(self.surface, color, center, max(1.0, radius * self.unit))

    def line(self, points: Any, color: _Color, width: float = 1.0) -> None:
        points = [(x * self.unit, y * self.unit) for x, y in points]
        self.pygame.draw.lines(self.surface, color, False, points, self.pixels(width))

    def polygon(self, points: Any, color: _Color) -> None:
        self.pygame.draw.polygon(self.surface, color, (np.array(points) * self.unit).tolist())

    def text(
        self,
        text: str,
        x: float,
        y: float,
        size: float,
        color: _Color = _SOFT,
        align: float = 0.0,
        room: float = 1e9,
    ) -> float:
        """Write on one line about y, aligned at x (0 left, 1 right); return the width."""
        text = "".join(c if c.isprintable() else " " for c in text[:200]).strip()
        for smaller in (1.0, 0.9, 0.8, 0.7):
            font = self.font(self.pixels(size * smaller))
            ink = font.render(text, True, color)
            if ink.get_width() <= room * self.unit:
                break
        else:
            fits = [k for k in range(200) if font.size(text[:k] + "…")[0] <= room * self.unit]
            ink = font.render(text[: max(fits, default=0)].rstrip() + "…", True, color)
        x, y = x * self.unit - align * ink.get_width(), y * self.unit - ink.get_height() / 2
        self.surface.blit(ink, (round(x), round(y)))
        return float(ink.get_width() / self.unit)

    def paint(self, size: _Size) -> NDArray[np.uint8]:
        self.surface.fill(_PAPER)
        for card in self.cards:
            self.box(card, _RIM, radius=9)
            self.box(card.inset(1, 1), _CARD, radius=8)
        self.paint_map()
        self.paint_numbers(self.cards[1].inset(16, 12))
        self.paint_loads(self.cards[2].inset(16, 12))
        self.paint_history(self.cards[3].inset(16, 12))
        picture = self.pygame.transform.smoothscale(self.surface, size)
        pixels = np.frombuffer(self.pygame.image.tobytes(picture, "RGB"), np.uint8)
        return pixels.reshape(size[1], size[0], 3).copy()

    def paint_map(self) -> None:
        area_m, plot = self.frame.area_m, self.plot
        step = _round_down(max(area_m) / 4)
        pitch = step * max(plot.width, plot.height) / max(area_m)
        self.box(plot.inset(-1, -1), _RIM)
        self.box(plot, _GROUND)
        for x in np.arange(plot.x + pitch, plot.right - 1, pitch).tolist():
            self.line([(x, plot.y), (x, plot.bottom)], _FAINT)
        for y in np.arange(plot.bottom - pitch, plot.y + 1, -pitch).tolist():
            self.line([(plot.x, y), (plot.right, y)], _FAINT)
        devices = _places(self.frame.device_positions_m, area_m, plot)
        servers = _places(self.frame.server_positions_m, area_m, plot)
        self.paint_trails()
        self.paint_links(devices, servers)
        room = math.sqrt(max(plot.width, 40) * max(plot.height, 40))
        radius = min(4.6, 0.05 * room / math.sqrt(len(devices)) + 1.1)
        for k in np.flatnonzero(self.present).tolist():
            x, y = devices[k].tolist()
            self.paint_device(x, y, radius, *self.look(k))
        side = min(22.0, max(8.0, 0.2 * room / math.sqrt(len(servers))))
        self.paint_moves(servers, side)
        for j, (x, y) in enumerate(servers.tolist()):
            self.paint_server(x, y, side, self.colors[j], str(j + 1))
        self.paint_legend(f"{step / 1000:g} km" if step >= 1000 else f"{step:g} m", pitch)
        self.paint_caption()

    def look(self, device: int) -> tuple[_Color, _Color | None, bool]:
        """Return the colour of a device, that of the server which keeps its service, its move."""
        j, host = int(self.assignment[device]), int(self.hosts[device])
        kept = self.colors[host - 1] if host and not j else None
        return self.device_colors[j], kept, bool(self.moves[device])

    def paint_trails(self) -> None:
        if self.frame.trails_m is None or len(self.frame.trails_m) < 2:
            return
        trails = [_places(there, self.frame.area_m, self.plot) for there in self.frame.trails_m]
        ways = np.stack([np.hstack(pair) for pair in itertools.pairwise(trails)])
        few = len(self.assignment) <= 60
        width = 1.6 if few else 1.1 if len(self.assignment) <= 600 else 0.6
        there = self.present
        for age, lines in enumerate(ways[::-1], 1):
            there = there & np.isfinite(lines).all(-1)  # a trail ends where its device was absent
            most = (0.6 if few else 0.4) / age
            paint = _mixed(_GROUND, _SOFT, self.opacity(lines[there], width, most))
            for x, y, to_x, to_y in lines[there].tolist():
                self.line([(x, y), (to_x, to_y)], paint, width)

    def paint_moves(self, servers: NDArray[Any], side: float) -> None:
        """Draw an arrow for all services that move from one server to another, by their number."""
        pairs = np.stack([self.hosts, self.assignment], axis=1)[self.moves & (self.hosts > 0)]
        ways, counts = np.unique(pairs, axis=0, return_counts=True)
        color = _mixed(_CARD, _INK, max(0.4, min(1.0, 20 / max(len(ways), 1))))  # many: paler
        for (old, new), count in zip(ways.tolist(), counts.tolist(), strict=True):
            tail, head = servers[old - 1], servers[new - 1]
            way = head - tail
            t = np.linspace(0.0, 1.0, 25)[:, None]
            arc = tail + t * way + 0.5 * t * (1 - t) * np.array([-way[1], way[0]])
            width = min(1.0 + 0.6 * math.sqrt(count), 4.0) * side / 22
            size = 0.25 * side + 2.0 * width
            # The tip ends before the square of the server.
            far = np.hypot(*(arc - head).T)
            arc = arc[far >= min(0.64 * side + size, 0.5 * far[0])]
            along = (head - arc[-1]) / max(float(np.hypot(*(head - arc[-1]))), 1e-9)
            across = np.array([-along[1], along[0]])
            tip = [arc[-1] + size * along, arc[-1] + size / 2 * across, arc[-1] - size / 2 * across]
            self.line(arc, _CARD, width + 1.6)
            self.line(arc, color, width)
            self.polygon(tip, color)

    def paint_caption(self) -> None:
        """Say above the map what moves, who is absent and how old the gains are; the marks."""
        frame, y = self.frame, self.cards[0].y + 11
        absent, age = int(np.count_nonzero(~self.present)), frame.csi_delay_slots
        said = [
            f"{absent:,} absent" if absent else "",
            f"gains seen are {age} slot{'s' if age > 1 else ''} old" if age else "",
        ]
        x, first = self.cards[0].right - 34, self.colors[0]
        marks = [
            ("service moves or is placed", first, None, True),
            ("local, service kept", _LOCAL, first, False),
        ]
        if self.undecided:
            marks = [("service kept", _LOCAL, first, False)]
        for label, color, kept, moved in marks if frame.hosts is not None else ():
            x -= self.text(label, x, y, 14, align=1) + 9
            self.paint_device(x, y, 3.6, color, kept, moved)
            x -= 14
        if frame.trails_m is not None and len(frame.trails_m) > 1:
            x -= self.text("way taken", x, y, 14, align=1) + 18
            self.line([(x, y), (x + 13, y)], _mixed(_CARD, _SOFT, 0.6), 1.6)
            x -= 10
        text = "  ·  ".join(part for part in said if part)
        self.text(text, self.cards[0].x + 34, y, 14, _INK, room=x - self.cards[0].x - 34)

    def paint_links(self, devices: NDArray[Any], servers: NDArray[Any]) -> None:
        senders = np.flatnonzero(self.assignment * self.present)
        choice = self.assignment[senders] - 1
        links = np.hstack([devices[senders], servers[choice]])
        width = 1.7 if len(links) <= 60 else 1.2 if len(links) <= 600 else 0.6
        alpha = max(0.16, self.opacity(links, width, 0.6))
        paint = [_mixed(_GROUND, color, alpha) for color in self.colors]
        for j, (x, y, to_x, to_y) in zip(choice.tolist(), links.tolist(), strict=True):
            self.line([(x, y), (to_x, to_y)], paint[j], width)

    def opacity(self, lines: NDArray[Any], width: float, most: float) -> float:
        """Return how strong lines (n, 4) are drawn: less the more of the map they would cover."""
        cover = width * np.linalg.norm(lines[:, 2:] - lines[:, :2], axis=1).sum()
        return float(most / (1 + 0.5 * cover / (self.plot.width * self.plot.height + 1)))

    def paint_device(
        self,
        x: float,
        y: float,
        radius: float,
        color: _Color,
        kept: _Color | None = None,
        moved: bool = False,
    ) -> None:
        if moved:
            self.dot(x, y, 1.5 * radius + 0.7, _INK)
        if radius > 2 or moved:
            self.dot(x, y, radius + (1.0 if radius > 2 else 0.3 * radius), _CARD)
        self.dot(x, y, radius, color if kept is None else kept)
        if kept is not None:
            self.dot(x, y, 0.55 * radius, color)
        if self.undecided:
            self.dot(x, y, 0.65 * radius, _CARD)

    def paint_server(self, x: float, y: float, side: float, color: _Color, label: str) -> None:
        rim = 0.07 * side + 1
        for edge, paint in ((side + 2 * rim, _INK), (side + 1.2 * rim, _CARD), (side, color)):
            self.box(_Box(x - edge / 2, y - edge / 2, edge, edge), paint, radius=0.24 * edge)
        if side >= 11:
            self.text(label, x, y + 0.5, 0.9 * side, _CARD, align=0.5, room=side)

    def paint_legend(self, length: str, bar: float) -> None:
        x, y = self.cards[0].x + 34, self.cards[0].bottom - 19
        self.line([(x, y - 4), (x, y), (x + bar, y), (x + bar, y - 4)], _INK, 1.5)
        self.text(length, x + bar + 8, y, 15)
        x = self.cards[0].right - 47
        x -= self.text("server", x + 13, y, 15, align=1)
        self.paint_server(x, y, 9, _SOFT, "")
        kinds = ["undecided"] if self.undecided else ["local", "offloading"]
        for first, kind in enumerate(kinds):
            colors = self.device_colors[first : 3 * first + 1]
            x -= self.text(f"{kind} device", x - 20, y, 15, align=1) + 25 + 5 * len(colors)
            for k, color in enumerate(colors):
                self.paint_device(x + 5 * k, y, 4.6, color)

    def paint_numbers(self, box: _Box) -> None:
        frame = self.frame
        slot = self.text(f"slot {frame.slot}", box.right, box.y + 9, 17, align=1, room=110)
        self.text(frame.title, box.x, box.y + 9, 23, _INK, room=box.width - slot - 12)
        self.box(_Box(box.x, box.y + 27, box.width, 1), _FAINT)
        least = frame.optimum if frame.lower_bound is None else frame.lower_bound
        known = least is not None and frame.objective != 0
        ratio = float(least or 0) / float(frame.objective) if known else None
        sent = None if self.undecided else int(np.count_nonzero(self.assignment * self.present))
        moved = None if frame.moves is None else int(np.count_nonzero(frame.moves))
        second = ("optimum", _number(frame.optimum, 5), "")
        third = ("NRR (opt. / obj.)", _number(ratio), "")
        if frame.rival != "optimum":
            second = (frame.rival, _number(frame.history[-1][1] if frame.history else None, 5), "")
        if frame.hosts is not None:  # what is best in this slot is not what is best in the end
            third = ("services moved", _number(moved), "")
            second, third = (second, third) if frame.rival else (third, ("", "", ""))
        tiles = (
            ("objective", _number(frame.objective, 5), ""),
            second,
            third,
            ("total latency", _number(frame.latency_s), "s"),
            ("total energy", _number(frame.energy_j), "J"),
            ("devices offloaded", _number(sent), f"of {self.present.sum():,}"),
        )
        column = box.width / 3
        for k, (label, value, unit) in enumerate(tiles):
            x, y = box.x + column * (k % 3), box.y + 46 + 56 * (k // 3)
            self.text(label, x, y, 14, room=column - 8)
            width = self.text(value, x, y + 21, 25, _INK, room=column - (26 if unit else 8))
            self.text(unit, x + width + 4, y + 23, 15, room=column - width)

    def paint_loads(self, box: _Box) -> None:
        load = np.nan_to_num(np.asarray(self.frame.server_load, float)).clip(0.0, 1e300)
        counts = [int(count) for count in self.frame.devices_per_server]
        top = float(load.max()) or 1.0
        full = math.ceil(top / _round_down(top / 4)) * _round_down(top / 4)
        self.text("Server load [s]", box.x, box.y + 6, 17, _INK)
        if len(load) > _MOST_ROWS:
            spread = f"{min(counts):,} to {max(counts):,} devices each"
            self.text(spread, box.right, box.y + 6, 14, align=1, room=180)
            self.paint_columns(load / full, full, box)
            return
        self.text("devices", box.right, box.y + 6, 14, align=1)
        for j, seconds in enumerate(load.tolist()):
            y = box.y + 31 + 17 * j
            track = _Box(box.x + 23, y - 5, box.width - 124, 10)
            self.text(str(j + 1), box.x + 15, y, 15, _INK, align=1)
            self.box(track, _FAINT, radius=2)
            if seconds > 0:
                self.box(track._replace(width=track.width * seconds / full), self.colors[j], 2)
            self.text(_number(seconds, 3), box.right - 48, y, 15, _INK, align=1, room=50)
            self.text(f"{counts[j]:,}", box.right, y, 15, align=1, room=44)

    def paint_columns(self, share: NDArray[Any], full: float, box: _Box) -> None:
        plot = _Box(box.x + 34, box.y + 26, box.width - 34, box.height - 46)
        for part in (0.0, 0.5, 1.0):
            self.paint_tick(plot, part, _number(part * full, 3))
        pitch = plot.width / len(share)
        order = np.argsort(-share, kind="stable")[: np.count_nonzero(share)].tolist()
        for k, (j, high) in enumerate(zip(order, share[order] * plot.height, strict=True)):
            bar = _Box(plot.x + (k + 0.1) * pitch, plot.bottom - high, 0.8 * pitch, high)
            self.box(bar, self.colors[j])
        label = f"{len(share)} servers, by load"
        self.text(label, plot.x + plot.width / 2, box.bottom - 4, 14, align=0.5)

    def paint_tick(self, plot: _Box, share: float, label: str) -> None:
        y = plot.bottom - share * plot.height
        self.line([(plot.x, y), (plot.right, y)], _FAINT if share else _RIM)
        self.text(label, plot.x - 6, y, 13, align=1, room=36)

    def paint_history(self, box: _Box) -> None:
        past = self.frame.history[-100:]
        self.text("Objective [1]", box.x, box.y + 6, 17, _INK)
        known = ((self.frame.rival, _BEST, 60), ("objective", _INK, 134))
        for name, color, x in known if self.frame.rival else (("objective", _INK, 74),):
            self.line([(box.right - x, box.y + 7), (box.right - x + 13, box.y + 7)], color, 2)
            self.text(name, box.right - x + 18, box.y + 7, 14)
        plot = _Box(box.x + 42, box.y + 28, box.width - 50, box.height - 48)
        if self.frame.hosts is not None:
            plot = self.paint_migrations(plot)
        middle, foot = plot.x + plot.width / 2, box.bottom - 4
        self.paint_tick(plot, 0.0, "")
        self.text("slot", middle, foot, 14, align=0.5)
        values = np.array(past, float).reshape(-1, 2)  # None becomes NaN
        values[~(np.abs(values) < 1e300)] = math.nan
        if np.isnan(values).all():
            said = "no finite objective yet" if past else "no decision yet"
            self.text(said, middle, plot.y + plot.height / 2, 15, align=0.5)
            return
        last = self.frame.slot - self.undecided
        self.text(str(last), plot.right, foot, 14, align=0.5)
        if len(past) > 1:
            self.text(str(last - len(past) + 1), plot.x, foot, 14, align=0.5)
        self.paint_curves(values, plot)

    def paint_migrations(self, plot: _Box) -> _Box:
        """Draw how many services moved in each slot at the foot of a plot; return what is left."""
        moved = np.array(self.frame.migrations[-100:], float)
        high = 0.28 * plot.height
        foot = _Box(plot.x, plot.bottom - high, plot.width, high)
        most = float(moved.max(initial=0.0))
        self.paint_tick(foot, 0.0, "0" if most else "moved")
        if most:
            self.paint_tick(foot, 1.0, _number(most))
            self.text("moved", foot.x + 4, foot.y - 5, 13)
        # Below the points of the curve above, half a bar beyond its ends.
        pitch = plot.width / max(len(moved) - 1, 1)
        bar = min(0.7 * pitch, 6.0)
        for k, share in enumerate((moved / max(most, 1.0)).tolist()):
            x = plot.right - pitch * (len(moved) - 1 - k)
            if share:
                self.box(_Box(x - bar / 2, foot.bottom - high * share, bar, high * share), _SOFT)
        return plot._replace(height=plot.height - high - 16)

    def paint_curves(self, values: NDArray[Any], plot: _Box) -> None:
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        pad = max(0.08 * (high - low), 1e-3 * max(abs(low), abs(high))) or 1.0
        low, high = low - pad, high + pad
        xs = np.linspace(plot.right if len(values) == 1 else plot.x, plot.right, len(values))
        ys = plot.bottom - (values - low) / (high - low) * plot.height
        objective, optimum = (np.column_stack([xs, y]) for y in ys.T)
        for run in _runs(values.sum(axis=1)):
            ring = [*objective[run], *optimum[run][::-1], objective[run][0]]
            self.polygon(ring, _EXCESS)
        step = _round_down((high - low) / 2.2)
        for k in range(math.ceil(low / step), math.floor(high / step) + 1):
            self.paint_tick(plot, (k * step - low) / (high - low), _number(k * step, 6))
        for curve, color in ((optimum, _BEST), (objective, _INK)):
            for run in _runs(curve[:, 1]):
                x, y = curve[run][-1].tolist()
                self.line([*curve[run].tolist(), (x, y)], color, 1.6)
                self.dot(x, y, 3.2 if run.stop == len(curve) else 1.6, color)
