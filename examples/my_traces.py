"""A moving scenario of my own: recorded rides and base stations from two CSV files.

Positions come at irregular times, and no bike is there all the time: who is absent has no task.

python examples/my_traces.py
mec-gym train --algo ac --scenario my-traces.json --timesteps 1000
"""

from pathlib import Path

from mec_gym import Scenario, solve
from mec_gym.evaluation import episode_set, hindsight_ratio
from mec_gym.testing import check_offloading_env

here = Path(__file__).parent
scenario = Scenario.from_traces(
    here / "rides.csv",
    here / "stations.csv",
    interval_s=10,  # a slot lasts as long, unless slot_s is given
    largest_gap_s=60,  # a bike that is not seen for longer is absent
    name="my-traces",
    cycles=2e9,
    noise_w=1e-10,  # high enough that gains matter, and with them where a bike is
    migration_s=8.0,
)
print(check_offloading_env(scenario))
print(f"{scenario.n_devices} bikes, of which {scenario.mobility.present.mean():.0%} are present")

episodes = episode_set(scenario, n_episodes=5, n_slots=60)
print(f"the bound is within {episodes.gap:.1%} of a plan that knows what comes")
for name, share in {"all of it": 1.0, "a sixth of it": 1 / 6, "nothing": 0.0}.items():
    cheaper = scenario.replace(migration_s=scenario.migration_s * share)
    ratio = hindsight_ratio(
        episodes, lambda _, slot, *__, as_if=cheaper: solve(as_if, slot).assignment
    )
    print(f"slots decided as if a move cost {name}: hindsight ratio {ratio.mean():.2f}")
scenario.to_json("my-traces.json")
print("my-traces.json")
