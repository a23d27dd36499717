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


def test_a_city_is_drawn_in_time() -> None:
    frame = make_frame(10_000, 100)
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
