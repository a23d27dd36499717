"""The pictures of a slot: what they show, and that any frame can be drawn."""

from __future__ import annotations

import builtins
import dataclasses
import itertools
import math
import sys
import time
from typing import Any

import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled

from mec_gym import rendering
from mec_gym.envs.offloading import MultiMECEnv
from mec_gym.rendering import Frame, Window, draw

pygame = pytest.importorskip("pygame")

INF, NAN = math.inf, math.nan
BLUE, ORANGE, GREY = (0, 114, 178), (230, 159, 0), (150, 154, 160)


def make_frame(n: int = 30, m: int = 2, *, choice: str = "random", **changes: Any) -> Frame:
    rng = np.random.default_rng(n + m)
    assignment = rng.integers(0, m + 1, n) if choice == "random" else np.zeros(n, int)
    count = np.bincount(assignment, minlength=m + 1)[1:]
    frame = Frame(
        title="paper-30x2",
        area_m=(50.0, 50.0),
        device_positions_m=rng.uniform(0.0, 50.0, (n, 2)),
        server_positions_m=rng.uniform(0.0, 50.0, (m, 2)),
        assignment=assignment,
        server_load=count * 0.1,
        devices_per_server=count,
        objective=20.0,
        optimum=18.0,
        latency_s=30.0,
        energy_j=4.0,
        slot=7,
        history=tuple((20.0 + k % 3, 18.0) for k in range(8)),
    )
    return dataclasses.replace(frame, **changes)


def count_pixels(picture: Any, color: tuple[int, int, int]) -> int:
    return int((picture == np.array(color, np.uint8)).all(axis=-1).sum())


def panel(picture: Any) -> Any:
    return picture[:, 606:]


@pytest.mark.parametrize("size", [(960, 600), (481, 300), (300, 700), (1700, 500), (3, 2), (1, 1)])
def test_picture_has_the_size_asked_for(size: tuple[int, int]) -> None:
    picture = draw(make_frame(), size)
    assert picture.shape == (size[1], size[0], 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous


def test_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="size must be at least 1 x 1"):
        draw(make_frame(), (0, 10))


def test_same_frame_gives_the_same_pixels_in_a_fresh_writable_array() -> None:
    first = draw(make_frame())
    second = draw(make_frame())
    np.testing.assert_array_equal(first, second)
    first[:] = 0
    np.testing.assert_array_equal(second, draw(make_frame()))


def test_no_display_is_opened() -> None:
    pygame.display.quit()
    draw(make_frame())
    assert not pygame.display.get_init()


def test_a_device_and_its_link_have_the_colour_of_its_server() -> None:
    places = np.array([[10.0, 10.0], [40.0, 40.0]])
    frame = make_frame(1, 2, device_positions_m=np.array([[40.0, 10.0]]), server_positions_m=places)
    pictures = [
        draw(dataclasses.replace(frame, assignment=np.array([j]), server_load=np.zeros(2)))
        for j in range(3)
    ]
    assert not np.array_equal(pictures[1], pictures[2])
    blue, orange = ([count_pixels(p[:540], c) for p in pictures] for c in (BLUE, ORANGE))
    assert blue[1] > blue[2] == blue[0] > 0
    assert orange[2] > orange[1] == orange[0] > 0
    tints = [len(np.unique(p[:540].reshape(-1, 3), axis=0)) for p in pictures]
    assert min(tints[1:]) > tints[0]


def test_the_ten_first_servers_have_ten_colours_and_fifty_have_fifty() -> None:
    colors = [rendering._server_color(j) for j in range(100)]
    assert len(set(colors[:50])) == 50
    far = [math.dist(a, b) for k, a in enumerate(colors[:10]) for b in [*colors[:k], GREY]]
    assert min(far) > 50


def test_a_heavier_load_has_a_longer_bar() -> None:
    def bars(*load: float) -> list[int]:
        picture = panel(draw(make_frame(server_load=np.array(load))))
        return [count_pixels(picture, color) for color in (BLUE, ORANGE)]

    none, half, full = bars(1.0, 0.0), bars(1.0, 0.5), bars(1.0, 1.0)
    assert none[1] == 0
    assert half[0] == full[0] == full[1]
    assert half[1] == pytest.approx(full[1] / 2, rel=0.05)


def test_many_servers_become_columns_sorted_by_load() -> None:
    load = np.linspace(1.0, 2.0, 12)
    picture = panel(draw(make_frame(200, 12, server_load=load)))
    orange, blue = (count_pixels(picture, color) for color in (ORANGE, BLUE))
    assert orange > blue > 0


def test_the_excess_over_the_optimum_is_shaded_and_nothing_else() -> None:
    def shaded(*objectives: float) -> int:
        history = tuple((value, 1.0) for value in objectives)
        return count_pixels(panel(draw(make_frame(history=history))), rendering._EXCESS)

    straight, sagging = shaded(10.0, 7.75, 5.5, 3.25, 1.0), shaded(10.0, 1.0, 1.0, 1.0, 1.0)
    assert sagging == pytest.approx(straight / 4, rel=0.15)


def test_no_device_is_grey_unless_local() -> None:
    def grey(assignment: Any) -> int:
        picture = draw(make_frame(30, 1, assignment=assignment))
        return count_pixels(picture[:540, :590], GREY)

    assert grey(np.ones(30, int)) == 0
    assert grey(np.zeros(30, int)) > grey(None) > 0


def test_the_map_keeps_its_proportions_inside_its_card() -> None:
    for area_m in ((50.0, 50.0), (1000.0, 10.0), (1.0, 1e5), (1e-6, 1e-6)):
        card = rendering._cards((960.0, 600.0), 3)[0]
        plot = rendering._plot(card, area_m)
        assert plot.width / plot.height == pytest.approx(area_m[0] / area_m[1])
        assert card.x + 20 <= plot.x
        assert plot.right <= card.right - 20
        assert card.y + 20 <= plot.y
        assert plot.bottom <= card.bottom - 38


def test_north_is_up_and_places_outside_lie_on_the_edge() -> None:
    plot = rendering._Box(100.0, 100.0, 50.0, 20.0)
    places = np.array([[0.0, 0.0], [5.0, 2.0], [99.0, -99.0]])
    np.testing.assert_allclose(
        rendering._places(places, (5.0, 2.0), plot), [[100, 120], [150, 100], [150, 120]]
    )


def test_cards_do_not_overlap_and_fill_the_page() -> None:
    for n_servers in (1, 2, 10, 11, 100):
        main, *column = rendering._cards((960.0, 600.0), n_servers)
        assert all(card.x > main.right for card in column)
        assert all(a.bottom < b.y for a, b in itertools.pairwise(column))
        assert column[-1].bottom == pytest.approx(main.bottom)
        assert column[-1].height > 120


@pytest.mark.parametrize("title", ["", "W" * 5000, "two\nlines\x00\ud800", "Ωμέγα 漢字"])
def test_a_title_stays_in_its_panel(title: str) -> None:
    picture = draw(make_frame(title=title))
    np.testing.assert_array_equal(picture[:, 931:], draw(make_frame(title="x"))[:, 931:])
    np.testing.assert_array_equal(picture[:, :620], draw(make_frame(title="x"))[:, :620])


@pytest.mark.parametrize(
    "frame",
    [
        make_frame(1, 1),
        make_frame(choice="local"),
        make_frame(assignment=None, objective=NAN, optimum=None, history=(), slot=0),
        make_frame(assignment=None),
        make_frame(objective=INF, latency_s=INF, energy_j=INF, history=((INF, INF), (INF, None))),
        make_frame(objective=np.float64(INF), optimum=np.float64(INF)),
        make_frame(objective=1e300, history=((1e300, None), (-1e299, 1.0), (NAN, 2.0))),
        make_frame(objective=0.0, history=((0.0, 0.0),)),
        make_frame(history=((5.0, None),) * 100),
        make_frame(history=((1.0, 0.5), (INF, None), (2.0, 0.5), (3.0, None), (2.0, 1.0))),
        make_frame(history=((-3.5, None),) * 500, slot=10**9),
        make_frame(server_load=np.array([INF, NAN])),
        make_frame(server_load=np.array([1e-320, 1e299])),
        make_frame(40, 11, server_load=np.zeros(11)),
        make_frame(10, 700),
        make_frame(area_m=(5000.0, 1.0)),
        make_frame(area_m=(1e-3, 1e6)),
        make_frame(device_positions_m=np.full((30, 2), 1e30)),
        make_frame(device_positions_m=np.array([[0, 50]] * 30)),
    ],
)
def test_odd_frames_can_be_drawn(frame: Frame) -> None:
    assert len(np.unique(draw(frame))) > 20


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (NAN, "-"), (INF, "inf"), (0, "0"), (12345.6, "12,346"), (1.5e20, "1.5e20")],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert rendering._number(value) == text


@pytest.mark.parametrize("value", [1e-290, 0.07, 1.0, 1.01, 1.6, 3.0, 9.99, 10.0, 1234.5, 9e299])
def test_round_numbers_are_not_above_the_value(value: float) -> None:
    assert 0.39 * value < rendering._round_down(value) <= value * (1 + 1e-9)


# -- worlds that move -----------------------------------------------------------------------------


def moving(**changes: Any) -> Frame:
    """Return three devices and two servers; device 0 is local, 1 at server 1, 2 at server 2."""
    frame = make_frame(
        3,
        2,
        device_positions_m=np.array([[5.0, 45.0], [45.0, 45.0], [45.0, 5.0]]),
        server_positions_m=np.array([[10.0, 25.0], [40.0, 25.0]]),
        assignment=np.array([0, 1, 2]),
        server_load=np.zeros(2),
        hosts=np.array([0, 1, 2]),
        moves=np.zeros(3, bool),
        migrations=(2, 0, 0, 0, 0, 0, 0, 0),
    )
    return dataclasses.replace(frame, **changes)


def on_map(frame: Frame) -> Any:
    """Return the pixels of the map, without what is written around it."""
    return draw(frame)[36:545, 50:560]


def test_a_trail_leads_where_the_device_was_and_ends_where_it_was_absent() -> None:
    here = moving().device_positions_m
    still = on_map(moving(trails_m=np.stack([here] * 5)))
    np.testing.assert_array_equal(still, on_map(moving(trails_m=here[None])))
    np.testing.assert_array_equal(still, on_map(moving()))
    trails = np.stack([here] * 5)
    trails[:4, 0, 1] = [5.0, 15.0, 25.0, 35.0]  # north, along x = 5 m
    changed = (on_map(moving(trails_m=trails)) != still).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert np.ptp(columns) < 4
    assert np.ptp(rows) == pytest.approx(40 * 514 / 50, rel=0.1)
    trails[2] = math.nan  # absent there: only the last piece is left
    rows, _ = np.nonzero((on_map(moving(trails_m=trails)) != still).any(axis=-1))
    assert np.ptp(rows) == pytest.approx(10 * 514 / 50, rel=0.15)


def test_who_is_absent_is_not_drawn() -> None:
    present = np.array([True, False, True])
    frame = moving(present=present, trails_m=np.stack([moving().device_positions_m] * 2))
    np.testing.assert_array_equal(
        draw(frame),
        draw(
            moving(
                present=present,
                device_positions_m=np.array([[5.0, 45.0], [1.0, 1.0], [45.0, 5.0]]),
                assignment=np.array([0, 0, 2]),
                trails_m=np.array([[[5.0, 45.0], [9.0, 9.0], [45.0, 5.0]]] * 2),
            )
        ),
    )
    assert (on_map(frame) != on_map(moving())).any()


def test_an_arrow_leads_from_the_old_server_to_the_new_one() -> None:
    assignment, moves = np.array([0, 1, 2]), np.array([False, False, True])
    ink = [
        count_pixels(on_map(moving(**changes)), rendering._INK)
        for changes in (
            {},
            {"moves": moves, "hosts": np.array([0, 1, 0])},  # placed: a ring, and no arrow
            {"moves": moves, "hosts": np.array([0, 1, 1])},
        )
    ]
    assert ink[0] < ink[1] < ink[2]
    there = on_map(moving(moves=moves, hosts=np.array([0, 1, 1])))
    back = on_map(moving(assignment=assignment[[0, 2, 1]], moves=moves, hosts=np.array([0, 1, 2])))
    west, east = slice(0, 150), slice(360, None)
    middle = slice(200, 310)  # rows around the servers, where the tips of the arrows are

    def inked(picture: Any, side: slice) -> int:
        return count_pixels(picture[middle, side], rendering._INK)

    assert inked(there, east) - inked(there, west) > 10
    assert inked(back, west) - inked(back, east) > 10


def test_more_services_have_a_broader_arrow() -> None:
    def ink(n: int) -> int:
        moves = np.arange(20) < n
        frame = make_frame(
            20,
            2,
            assignment=np.full(20, 2),
            server_positions_m=np.array([[10.0, 25.0], [40.0, 25.0]]),
            device_positions_m=np.full((20, 2), 5.0),
            hosts=np.where(moves, 1, 2),
            moves=moves,
        )
        return count_pixels(on_map(frame), rendering._INK)

    assert ink(1) < ink(4) < ink(16)


def test_a_local_device_shows_the_server_that_keeps_its_service() -> None:
    def colours(host: int) -> list[int]:
        map_ = on_map(moving(hosts=np.array([host, 1, 2])))[:60, :100]  # around device 0
        return [count_pixels(map_, color) for color in (BLUE, ORANGE, GREY)]

    nowhere, first, second = colours(0), colours(1), colours(2)
    assert nowhere[0] == nowhere[1] == first[1] == second[0] == 0
    assert min(first[0], second[1]) > 0
    assert nowhere[2] > first[2] > 0
    undecided = on_map(moving(assignment=None, moves=None, hosts=np.array([2, 1, 2])))[:60, :100]
    assert count_pixels(undecided, ORANGE) > 0


def test_bars_show_how_many_services_moved() -> None:
    def bars(*migrations: int) -> int:
        picture = panel(draw(moving(migrations=migrations)))[320:]
        return count_pixels(picture, rendering._SOFT)

    none = bars(*[0] * 8)
    one, all_equal = bars(*[0] * 7, 5), bars(*[5] * 8)
    # Edges that fall between two pixels are of another grey.
    assert (all_equal - none) / (one - none) == pytest.approx(8, rel=0.2)
    assert (bars(*[0] * 6, 5, 10) - none) / (one - none) == pytest.approx(1.5, rel=0.2)


def test_old_gains_and_a_plan_are_named() -> None:
    plain, stale = draw(moving()), draw(moving(csi_delay_slots=2))
    rows, columns = np.nonzero((plain != stale).any(axis=-1))
    assert rows.max() < 34
    assert columns.max() < 400
    planned = draw(moving(rival="plan"))
    np.testing.assert_array_equal(plain[:, :600], planned[:, :600])
    assert (plain[:, 600:] != planned[:, 600:]).any()


def test_no_optimum_is_named_where_none_is_known() -> None:
    def known(optimum: bool) -> Frame:
        env = MultiMECEnv("crowd-30x4", render_mode="rgb_array", optimum=optimum)
        env.reset(seed=0)
        env.step(np.ones(30, int))
        return env.frame()

    assert (known(True).rival, known(False).rival) == ("optimum", "")
    history = tuple((objective, None) for objective, _ in moving().history)
    named, bare = (
        draw(moving(history=history, optimum=None, rival=rival)) for rival in ("optimum", "")
    )
    np.testing.assert_array_equal(named[:, :600], bare[:, :600])
    best = [count_pixels(picture, rendering._BEST) for picture in (named, bare)]
    assert best[0] > best[1] == 0


def test_the_legend_has_trails_where_there_are_some() -> None:
    here = moving().device_positions_m
    without, with_trails = draw(moving()), draw(moving(trails_m=np.stack([here] * 2)))
    rows, _ = np.nonzero((without != with_trails).any(axis=-1))  # nobody moved: only the legend
    assert len(rows) > 0
    assert rows.max() < 34


@pytest.mark.parametrize(
    "frame",
    [
        moving(assignment=None, moves=None, migrations=(), history=(), objective=NAN),
        moving(present=np.zeros(3, bool), moves=np.ones(3, bool)),
        moving(trails_m=np.full((4, 3, 2), NAN)),
        moving(trails_m=np.full((4, 3, 2), 1e30)),
        moving(server_positions_m=np.full((2, 2), 25.0), hosts=np.array([2, 2, 1])),
        moving(migrations=(10**9,) * 500, history=((1.0, None),) * 500),
        make_frame(300, 70, hosts=np.arange(300) % 71, moves=np.arange(300) % 2 > 0),
    ],
)
def test_odd_frames_of_moving_worlds_can_be_drawn(frame: Frame) -> None:
    for size in (rendering.DESIGN, (640, 480), (96, 60)):
        assert len(np.unique(draw(frame, size))) > 20


@pytest.mark.parametrize("moves", [False, True])
def test_a_city_is_drawn_in_time(moves: bool) -> None:
    frame = make_frame(10_000, 100)
    if moves:
        hosts = np.roll(frame.assignment, 1)
        places = frame.device_positions_m
        frame = dataclasses.replace(
            frame, hosts=hosts, moves=hosts > 0, trails_m=np.stack([places * 0.9, places])
        )
    start = time.process_time()
    draw(frame)
    assert time.process_time() - start < 3.0


def test_window_opens_shows_and_closes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window(size=(480, 300), fps=1000, caption="test")
    window.close()
    for _ in range(2):
        window.show(make_frame())
        window.show(make_frame(slot=8))
        shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
        np.testing.assert_array_equal(shown, draw(make_frame(slot=8), (480, 300)))
        window.close()
        window.close()
        assert not pygame.display.get_init()


def test_a_person_can_close_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window(size=(96, 60), fps=0)
    window.show(make_frame())
    assert not window.dismissed
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    window.show(make_frame())
    assert window.dismissed
    window.show(make_frame())
    assert not pygame.display.get_init()
    window.close()


def test_missing_pygame_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *args: Any, **options: Any) -> Any:
        if name.split(".")[0] == "pygame":
            raise ImportError(name)
        return original(name, *args, **options)

    monkeypatch.delitem(sys.modules, "pygame")
    monkeypatch.setattr(builtins, "__import__", refuse)
    for show in (draw, Window().show):
        with pytest.raises(DependencyNotInstalled, match=r'pip install "mec-gym\[render\]"'):
            show(make_frame())
