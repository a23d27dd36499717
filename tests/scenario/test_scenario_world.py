"""The order of draws, and scenarios on real sites."""

from pathlib import Path

import numpy as np

from mec_gym import Scenario, Uniform
from mec_gym.model.layout import fixed_layout
from mec_gym.model.world import World


def test_the_draw_order_is_what_the_module_says() -> None:
    scenario = Scenario(n_devices=4, n_servers=2, data_bits=Uniform(1, 2), cycles=Uniform(3, 4))
    world = World(scenario)
    world.reset([np.random.default_rng(9)])
    rng = np.random.default_rng(9)
    fading = rng.standard_exponential((4, 2))
    assert world.slot is not None
    np.testing.assert_array_equal(world.slot.gains, fading * fixed_layout(scenario).path_gains)
    np.testing.assert_allclose(world.slot.data_bits, 1 + rng.random(4), rtol=1e-15)
    np.testing.assert_allclose(world.slot.cycles, 3 + rng.random(4), rtol=1e-15)


def test_the_eua_sites(data_dir: Path) -> None:
    scenario = Scenario.from_sites(
        data_dir / "eua" / "site-optus-melbCBD.csv",
        data_dir / "eua" / "users-melbcbd-generated.csv",
    )
    assert (scenario.n_devices, scenario.n_servers) == (816, 125)
    # Melbourne's centre is about 2 km by 1.5 km.
    assert 1000 < scenario.area_m[1] < scenario.area_m[0] < 3000
    fewer = Scenario.from_sites(
        data_dir / "eua" / "site-optus-melbCBD.csv",
        data_dir / "eua" / "users-melbcbd-generated.csv",
        n_devices=50,
        n_servers=5,
        noise_w=1e-9,
    )
    assert (fewer.n_devices, fewer.n_servers, fewer.noise_w) == (50, 5, 1e-9)
