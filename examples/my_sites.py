"""A scenario of my own: base stations and users from two CSV files with latitude and longitude.

python examples/my_sites.py
mec-gym train --algo dirs:prices --scenario my-sites.json --timesteps 1000
"""

from pathlib import Path

from mec_gym import Scenario, Uniform
from mec_gym.evaluation import slot_set
from mec_gym.testing import check_offloading_env

here = Path(__file__).parent
scenario = Scenario.from_sites(
    here / "stations.csv",
    here / "users.csv",
    name="my-sites",
    data_bits=Uniform(4e5, 1.2e6),
    cycles=Uniform(5e8, 1.5e9),
    server_frequency_hz=[1e10, 1.5e10, 5e9, 1e10],
    noise_w=1e-10,  # high enough that gains matter, and not only numbers of devices
)
print(check_offloading_env(scenario))
share = slot_set(scenario, own_layout=True, n_layouts=4).offloaded.mean()
print(
    f"at the optimum {share:.0%} of the devices offload: neither none nor all, so it is not trivial"
)
scenario.to_json("my-sites.json")
print(f"my-sites.json: {scenario.n_devices} devices, {scenario.n_servers} servers")
