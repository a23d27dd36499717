"""Scenario: everything that stays fixed from slot to slot, validated, immutable, as JSON.

A field that is *per device* takes one number for all devices or one number for each; *per
server* likewise. ``data_bits`` and ``cycles`` also take a :class:`Uniform`, drawn anew for every
device in every slot.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mec_gym.fields import (
    NUMBER_FIELDS,
    PER_DEVICE_FIELDS,
    POSITION_FIELDS,
    POSITIVE_UNITS,
    TASKS,
    PerDevice,
    PerServer,
    Positions,
    Uniform,
    canonical_area,
    canonical_entries,
    canonical_integer,
    canonical_number,
    canonical_positions,
    canonical_task,
    checked_fields,
    fields_as_json,
    read_fields,
)
from mec_gym.mobility import Mobility, RandomWaypoint, Traces, canonical_mobility, classes_of
from mec_gym.presets import PRESETS
from mec_gym.sites import Plane, project, read_sites
from mec_gym.traces import read_recording
from mec_gym.validation import (
    refuse_where,
    require_choice,
    require_integer,
    require_known,
    require_nonnegative,
    require_number,
    require_positive,
    require_within,
    suggestion,
)

DEVICE_POSITIONS = ("uniform", "gaussian", "levy")
SERVER_POSITIONS = ("kmeans",)

MOST_LEGS = 1000
"""Ways across the area that a device may travel in a slot; each leg is drawn."""

LONGEST_DELAY = 1000
"""Slots; so many are drawn before the first one that is decided."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario:
    """One multi-MEC system: sizes, radio, tasks, devices, servers, weights and geography.

    Defaults are Table I of the paper; what the paper leaves open says so. Construction validates
    every field; an invalid one raises ``ValueError`` or ``TypeError`` that names the field, what
    is required, in which unit, and what came.

    Attributes
    ----------
    n_devices, n_servers : int
        N and M.
    area_m : (float, float), [m]
        Width and height of the area, whose corner is the origin.
    bandwidth_hz : float, [Hz]
        B of eq. (2), the same for every link.
    noise_w : float, [W]
        σ² as eq. (2) uses it, a power.
    reference_gain : float, [1]
        β0 of eq. (3). Not printed in the paper; 1.42e-4 stands in earlier papers of its authors.
    min_distance_m : float, [m]
        Distances below this count as this; keeps eq. (3) finite. Not in the paper.
    fading : {"rayleigh", "none"}
        l_ij of eq. (3): unit-mean exponential power, drawn per slot and link, or 1.
    data_bits : per device or Uniform, [bit]
        D_i; 100 kB is 8e5 bit.
    cycles : per device or Uniform, [cycle]
        F_i.
    local_frequency_hz : per device, [cycle/s]
        f_i0 of eq. (8).
    switched_capacitance : per device, [W s^ν / cycle^ν]
        κ_i of eq. (7).
    power_exponent : per device, [1]
        ν_i of eq. (7); 1 <= ν <= 10.
    max_power_w : per device, [W]
        P_i^max of eq. (7); bounds transmission and local execution.
    weight_latency : per device, [1/s]
        φ_T of eq. (10); > 0: without it a device would send for ever.
    weight_energy : per device, [1/J]
        φ_E of eq. (10); >= 0.
    server_frequency_hz : per server, [cycle/s]
        F_j^max of eq. (6).
    device_positions : {"uniform", "gaussian", "levy"}, path, or shape (N, 2), [m]
        How devices are placed; a path names a CSV with columns x and y, in a file of scenario
        JSON as seen from the folder of that file.
    server_positions : {"kmeans"}, path, or shape (M, 2), [m]
        Given, or the k-means centres of the devices.
    layout : {"fixed", "redrawn"}
        One layout, drawn from `layout_seed`, or a new one at every reset.
    layout_seed : int
        Names the fixed layout.
    slot_s : float, [s]
        Time from one slot to the next, in which devices move.
    mobility : None, GaussMarkov, RandomWaypoint, Traces, or pairs (share, one of the first three)
        How devices move from where the layout puts them; None: not at all. Pairs make classes: the
        first devices follow the first law, and so on, e.g.
        ``((0.5, GaussMarkov(1.5)), (0.5, GaussMarkov(8.0)))``.
    shadowing_db : float, [dB]
        Standard deviation of log-normal shadowing, a factor on the path gain of every link that
        changes as the device moves, [D-3]; 0: none.
    decorrelation_m : float, [m]
        Way after which the correlation of the shadowing has fallen to 1/e.
    fading_correlation : float, [1]
        Correlation of a link's complex Rayleigh amplitude with that of the slot before, [D-4], in
        [0, 1).
    csi_delay_slots : int
        Age of the gains that decisions see; they are priced with the present ones.
    migration_s : per device, [s]
        Time to move a device's service to another server, [D-5], and to place it at its first.
    migration_j : per device, [J]
        Energy of it.
    name : str
        Label for titles and tables; takes no part in comparisons.

    Examples
    --------
    >>> scenario = Scenario.preset("paper-200x10", weight_latency=1.5)
    >>> scenario.n_devices, scenario.weight_latency
    (200, 1.5)
    >>> scenario.replace(n_devices=20).n_devices
    20
    """

    n_devices: int
    n_servers: int
    area_m: tuple[float, float] = (50.0, 50.0)
    bandwidth_hz: float = 1e6
    noise_w: float = 1e-12
    reference_gain: float = 1.42e-4
    min_distance_m: float = 1.0
    fading: str = "rayleigh"
    data_bits: PerDevice | Uniform = 8e5
    cycles: PerDevice | Uniform = 1e9
    local_frequency_hz: PerDevice = 1e9
    switched_capacitance: PerDevice = 1e-27
    power_exponent: PerDevice = 3.0
    max_power_w: PerDevice = 1.5
    weight_latency: PerDevice = 1.0
    weight_energy: PerDevice = 1.0
    server_frequency_hz: PerServer = 1e10
    device_positions: Positions = "uniform"
    server_positions: Positions = "kmeans"
    layout: str = "fixed"
    layout_seed: int = 0
    slot_s: float = 1.0
    mobility: Mobility = None
    shadowing_db: float = 0.0
    decorrelation_m: float = 10.0
    fading_correlation: float = 0.0
    csi_delay_slots: int = 0
    migration_s: PerDevice = 0.0
    migration_j: PerDevice = 0.0
    name: str = dataclasses.field(default="custom", compare=False)

    def __post_init__(self) -> None:
        self._normalise()
        for field, unit in POSITIVE_UNITS.items():
            require_positive(field, getattr(self, field), unit=unit)
        for field, unit in (("data_bits", "bit"), ("cycles", "cycle")):
            if not isinstance(getattr(self, field), Uniform):
                require_positive(field, getattr(self, field), unit=unit)
        self._check_weights()
        self._check_powers()
        self._check_geography()
        self._check_dynamics()

    def _normalise(self) -> None:
        """Bring every field to its canonical, hashable type."""
        for field in ("n_devices", "n_servers"):
            self._set(field, canonical_integer, least=1)
        for field in ("layout_seed", "csi_delay_slots"):
            self._set(field, canonical_integer, least=0)
        require_integer("csi_delay_slots", self.csi_delay_slots, 0, LONGEST_DELAY)
        for field in NUMBER_FIELDS:
            self._set(field, canonical_number)
        self._set("mobility", canonical_mobility, self.n_devices)
        for field in PER_DEVICE_FIELDS:
            self._set(field, canonical_entries, self.n_devices, "n_devices")
        for field in TASKS:
            self._set(field, canonical_task, self.n_devices)
        self._set("server_frequency_hz", canonical_entries, self.n_servers, "n_servers")
        self._set("area_m", canonical_area)
        if not isinstance(self.name, str):
            raise TypeError(f"name must be a str; got {type(self.name).__name__}.")

    def _set(self, field: str, canonical: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        object.__setattr__(self, field, canonical(field, getattr(self, field), *args, **kwargs))

    def _check_weights(self) -> None:
        require_nonnegative("weight_energy", self.weight_energy, unit="1/J")
        latency = np.asarray(self.weight_latency)
        requirement = (
            "must be > 0 [1/s], a small one such as 1e-3 where energy alone counts: without weight "
            "on its latency a device would send at ever lower power, for ever"
        )
        refuse_where(latency == 0.0, "weight_latency", requirement, latency)
        require_positive("weight_latency", self.weight_latency, unit="1/s")

    def _check_powers(self) -> None:
        require_within(
            "power_exponent", self.power_exponent, 1.0, 10.0, "must lie in [1, 10] [1], eq. (7)"
        )
        require_positive(
            "local execution power switched_capacitance * local_frequency_hz ** power_exponent",
            self.local_power_w,
            unit="W",
        )

    def _check_geography(self) -> None:
        require_positive("area_m", self.area_m, unit="m")
        require_choice("fading", self.fading, ("rayleigh", "none"))
        require_choice("layout", self.layout, ("fixed", "redrawn"))
        for field, names, rows in (
            ("device_positions", DEVICE_POSITIONS, self.n_devices),
            ("server_positions", SERVER_POSITIONS, self.n_servers),
        ):
            self._set(field, canonical_positions, names, rows, self.area_m)
        if self.server_positions == "kmeans" and self.n_servers > self.n_devices:
            raise ValueError(
                "server_positions='kmeans' requires n_servers <= n_devices; "
                f"got {self.n_servers} servers for {self.n_devices} devices. "
                "Give server_positions as an array of shape (n_servers, 2) [m]."
            )
        given = not isinstance(self.device_positions, str) and self.server_positions != "kmeans"
        if self.layout == "redrawn" and given:
            raise ValueError(
                "layout='redrawn' requires positions that are drawn; "
                "got given device_positions and server_positions. Use layout='fixed'."
            )

    def _check_dynamics(self) -> None:
        require_within("shadowing_db", self.shadowing_db, 0.0, 40.0, "must lie in [0, 40] [dB]")
        require_number("fading_correlation", self.fading_correlation, "[0, 1)", unit="1")
        for field, unit in (("migration_s", "s"), ("migration_j", "J")):
            require_nonnegative(field, getattr(self, field), unit=unit)
        if self.fading_correlation and self.fading != "rayleigh":
            raise ValueError(
                "fading_correlation requires fading='rayleigh'; got "
                f"{self.fading_correlation!r} with fading={self.fading!r}."
            )
        laws = (law for law, _ in classes_of(self.mobility, self.n_devices))
        fastest = max((law.high_mps for law in laws if isinstance(law, RandomWaypoint)), default=0)
        if fastest * self.slot_s > MOST_LEGS * math.hypot(*self.area_m):
            raise ValueError(
                f"slot_s must be short enough for {MOST_LEGS} ways across the area in a slot; got "
                f"{self.slot_s!r} s at {fastest!r} m/s on {self.area_m} m."
            )
        if isinstance(self.mobility, Traces) and self.layout == "redrawn":
            raise ValueError(
                "mobility as Traces says where devices are; layout='redrawn' would draw it. "
                "Use layout='fixed'."
            )

    # -- derived values -------------------------------------------------------------------------

    def per_device(self, field: str) -> NDArray[np.float64]:
        """Return a per-device field as a new array of shape (N,), in the unit of the field."""
        return np.array(np.broadcast_to(getattr(self, field), (self.n_devices,)), dtype=np.float64)

    def mean_task(self, field: str) -> NDArray[np.float64]:
        """Return the mean of data_bits or cycles, shape () or (N,), in the unit of the field."""
        law = getattr(self, field)
        return np.asarray((law.low + law.high) / 2 if isinstance(law, Uniform) else law)

    @property
    def server_frequencies_hz(self) -> NDArray[np.float64]:
        """F_j^max of every server, shape (M,) [cycle/s]."""
        speeds = np.broadcast_to(self.server_frequency_hz, (self.n_servers,))
        return np.array(speeds, dtype=np.float64)

    @property
    def local_power_w(self) -> NDArray[np.float64]:
        """Execution power p_i^E = κ_i f_i0^ν_i, [M-5], eq. (7), shape (N,) [W]."""
        with np.errstate(over="ignore", under="ignore"):
            speed = self.per_device("local_frequency_hz") ** self.per_device("power_exponent")
            return self.per_device("switched_capacitance") * speed

    @property
    def can_execute_locally(self) -> NDArray[np.bool_]:
        """Whether p_i^E <= P_i^max, eq. (7), shape (N,): else a device has to offload."""
        known: NDArray[np.bool_] | None = self.__dict__.get("_can_execute_locally")
        if known is None:
            # Searches and agents ask for it in every slot.
            known = np.asarray(self.local_power_w <= self.per_device("max_power_w") * (1 + 1e-12))
            self.__dict__["_can_execute_locally"] = known
        return known.copy()

    @property
    def migration_cost(self) -> NDArray[np.float64]:
        """μ_i = φ_T τ_i + φ_E ε_i of one move of a service, [D-5], shape (N,) [1]."""
        latency = self.per_device("weight_latency") * self.per_device("migration_s")
        return latency + self.per_device("weight_energy") * self.per_device("migration_j")

    @property
    def migrates(self) -> bool:
        """Whether moves of services cost anything: then slots hold hosts, and decisions last."""
        return bool(np.any(self.migration_s) or np.any(self.migration_j))

    @property
    def drifts(self) -> bool:
        """Whether gains of one slot tell something about those of the next."""
        return self.mobility is not None or self.shadowing_db > 0 or self.fading_correlation > 0

    @property
    def absences(self) -> bool:
        """Whether some device is absent at some time, as traces may say."""
        return isinstance(self.mobility, Traces) and bool(self.mobility.absent.any())

    @property
    def dynamic(self) -> bool:
        """Whether slots are coupled, by what is left behind, by movement or by a delay."""
        return self.migrates or self.drifts or self.csi_delay_slots > 0

    @property
    def mean_speed_mps(self) -> NDArray[np.float64]:
        """Mean speed of every device's law of movement, shape (N,) [m/s]; of traces, the mean."""
        if isinstance(self.mobility, Traces):
            return self.mobility.mean_speed_mps
        speeds = np.zeros(self.n_devices)
        for law, devices in classes_of(self.mobility, self.n_devices):
            speeds[devices] = 0.0 if law is None else law.mean_speed_mps
        return speeds

    def require_equal(self, other: Scenario, requirement: str) -> None:
        """Raise ``ValueError``, naming the fields, unless another scenario is equal."""
        if other != self:
            differ = [
                field
                for field in self.fields()
                if field != "name" and getattr(other, field) != getattr(self, field)
            ]
            raise ValueError(f"{requirement}; it differs in {', '.join(differ)}.")

    # -- construction ---------------------------------------------------------------------------

    @classmethod
    def presets(cls) -> tuple[str, ...]:
        """Return the names of the presets."""
        return tuple(PRESETS)

    @classmethod
    def preset(cls, name: str, /, **overrides: Any) -> Scenario:
        """Return a named scenario, one of :meth:`presets`, with any field overridden.

        Examples
        --------
        >>> Scenario.preset("paper-30x2").server_positions
        ((10.0, 10.0), (40.0, 40.0))
        """
        require_choice("preset", name, PRESETS)
        scenario = cls(**PRESETS[name].parameters, name=name)
        return scenario.replace(**overrides) if overrides else scenario

    @classmethod
    def resolve(
        cls, scenario: str | os.PathLike[str] | Mapping[str, Any] | Scenario, **overrides: Any
    ) -> Scenario:
        """Return the Scenario that a preset's name, a JSON path, a mapping or itself stands for.

        A mapping holds Scenario fields, and so do `overrides`, which replace those of `scenario`.
        ``TypeError``, ``ValueError`` or ``FileNotFoundError`` when it names nothing known, or a
        field is wrong.

        Examples
        --------
        >>> Scenario.resolve("paper-30x2", noise_w=1e-6).noise_w
        1e-06
        """
        if isinstance(scenario, Scenario):
            found = scenario
        elif isinstance(scenario, Mapping):
            found = cls(**checked_fields(scenario, cls.fields(), "scenario"))
        elif isinstance(scenario, str) and scenario in PRESETS:
            found = cls.preset(scenario)
        elif isinstance(scenario, (str, os.PathLike)):
            if not os.path.isfile(scenario):  # a word may be longer than any file's name
                raise ValueError(
                    f"scenario must be a preset ({', '.join(PRESETS)}), a Scenario, or the path "
                    f"of its JSON; got {str(scenario)!r}{suggestion(scenario, PRESETS)}."
                )
            found = cls.from_json(Path(scenario))
        else:
            raise TypeError(
                "scenario must be a str, a path, a mapping or a Scenario; "
                f"got {type(scenario).__name__}."
            )
        return found.replace(**overrides) if overrides else found

    @classmethod
    def from_sites(
        cls, servers_csv: str | os.PathLike[str], devices_csv: str | os.PathLike[str], **fields: Any
    ) -> Scenario:
        """Return a scenario on real sites, read from two tables of latitude and longitude.

        `area_m` and both positions are set, in metres on a local plane.

        Parameters
        ----------
        servers_csv, devices_csv : path
            CSV tables with a column latitude or lat, and one longitude, lon, lng or long [degree].
        **fields
            Any other Scenario field. `n_devices` and `n_servers` may be given to keep the first
            so many rows of each table.

        Raises
        ------
        ValueError, FileNotFoundError
            For missing files or columns, empty or swapped coordinates; names the line.
        TypeError
            For an unknown field, or one that the tables set.
        """
        cls._require_free("from_sites", fields, ("area_m", *POSITION_FIELDS))
        servers = read_sites(servers_csv).first(fields.pop("n_servers", None), "n_servers")
        devices = read_sites(devices_csv).first(fields.pop("n_devices", None), "n_devices")
        fields.setdefault("name", Path(devices_csv).stem)
        return cls._on(project(servers, devices), **fields)

    @classmethod
    def from_traces(
        cls,
        traces_csv: str | os.PathLike[str],
        sites_csv: str | os.PathLike[str],
        *,
        interval_s: float,
        largest_gap_s: float = 300.0,
        window_s: tuple[float, float] | None = None,
        **fields: Any,
    ) -> Scenario:
        r"""Return a scenario whose devices move as recorded, among real sites.

        Every device of the table is one of N for the whole time: an episode begins at a drawn time
        and follows all of them, and behind the last sample follows the first. Who is not seen is
        absent: without a task, whatever is chosen for it costs next to nothing and moves no
        service. So the action space has a choice for each of N in every slot, and a column of the
        observation tells who is present. `area_m`, both positions and `mobility` are set, in metres
        on a local plane, to millimetres; `slot_s` is `interval_s` unless given.

        Parameters
        ----------
        traces_csv : path
            CSV table, compressed if it ends in ``.gz``, with a row for each position: a column
            device, trace, id, cab, user, vehicle or node; a time column time_s (also seconds, time
            or timestamp), minute or hour; and latitude and longitude as in :meth:`from_sites`
            [degree], or x and y [m]. Each device's times increase; their spacing is free.
        sites_csv : path
            CSV table of the servers, in the same coordinates.
        interval_s : float, [s]
            Time between samples of the common grid, which begins at the first time of the table.
        largest_gap_s : float, [s]
            A device moves in straight lines between positions at most so far apart in time, and is
            absent between others, before its first and after its last.
        window_s : (float, float), optional, [s]
            Part of the recording to keep, e.g. the busy hours, in the table's time without the
            second end; devices without a position in it are left out.
        **fields
            Any other Scenario field. `n_devices` and `n_servers` keep the first so many.

        Raises
        ------
        ValueError, FileNotFoundError
            For missing files or columns, times that do not increase, a device with one position or
            with gaps only, sites of another region; names file, line and column.
        TypeError
            For an unknown field, or one that the tables set.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> rows = "user,minute,x,y", "a,0,0,0", "a,2,90,0", "b,1,5,9", "b,2,5,9"
        >>> with tempfile.TemporaryDirectory() as name:
        ...     folder = pathlib.Path(name)
        ...     _ = (folder / "walk.csv").write_text("\n".join(rows))
        ...     _ = (folder / "sites.csv").write_text("x,y\n40,40")
        ...     scenario = Scenario.from_traces(
        ...         folder / "walk.csv", folder / "sites.csv", interval_s=60
        ...     )
        >>> scenario.mobility.positions_m[:, 0, 0], scenario.mobility.absent[:, 1]
        (array([ 0., 45., 90.]), array([ True, False, False]))
        """
        cls._require_free("from_traces", fields, ("area_m", *POSITION_FIELDS, "mobility"))
        recording = read_recording(
            traces_csv,
            sites_csv,
            interval_s=interval_s,
            largest_gap_s=largest_gap_s,
            window_s=window_s,
            n_devices=fields.pop("n_devices", None),
            n_servers=fields.pop("n_servers", None),
        )
        fields.setdefault("name", Path(traces_csv).name.removesuffix(".gz").removesuffix(".csv"))
        fields.setdefault("slot_s", interval_s)
        return cls._on(recording.plane, mobility=recording.traces, **fields)

    @classmethod
    def _on(cls, plane: Plane, **fields: Any) -> Scenario:
        return cls(
            n_devices=len(plane.device_positions_m),
            n_servers=len(plane.server_positions_m),
            device_positions=plane.device_positions_m,
            server_positions=plane.server_positions_m,
            area_m=plane.area_m,
            **fields,
        )

    @classmethod
    def _require_free(cls, maker: str, fields: Mapping[str, Any], taken: Sequence[str]) -> None:
        """Raise ``TypeError`` for unknown fields, and for those that tables set."""
        require_known("Scenario field", fields, cls.fields())
        given = [name for name in taken if name in fields]
        if given:
            raise TypeError(
                f"{maker} sets {', '.join(given)} from the tables; leave out what they say. "
                "Scenario(...) takes positions in metres, or the CSV of them."
            )

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """Return the names of all fields."""
        return tuple(field.name for field in dataclasses.fields(cls))

    def replace(self, **changes: Any) -> Scenario:
        """Return a copy with some fields changed, validated as a whole.

        Examples
        --------
        >>> Scenario.preset("paper-30x2").replace(noise_w=1e-6).name
        'paper-30x2 (changed: noise_w)'
        """
        require_known("Scenario field", changes, self.fields())
        values = self._values() | changes
        if "name" not in changes and changes:
            name, _, before = self.name.removesuffix(")").partition(" (changed: ")
            changed = dict.fromkeys([*filter(None, before.split(", ")), *changes])
            values["name"] = f"{name} (changed: {', '.join(changed)})"
        return Scenario(**values)

    def of_one_server(self, frequency_hz: float) -> Scenario:
        """Return a system with one server, for given gains: positions play no part in it."""
        return self.replace(
            n_servers=1,
            server_frequency_hz=frequency_hz,
            server_positions="kmeans",
            device_positions="uniform",
        )

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the scenario as JSON, and write it to a file where a path is given.

        Examples
        --------
        >>> scenario = Scenario.preset("paper-30x2")
        >>> Scenario.from_json(scenario.to_json()) == scenario
        True
        """
        text: str | None = self.__dict__.get("_json")
        if text is None:  # states of envs and runs ask for it, and traces make it long
            text = self.__dict__["_json"] = fields_as_json(self._values())
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    @classmethod
    def from_json(cls, source: str | os.PathLike[str]) -> Scenario:
        """Return the scenario of JSON text (it begins with a bracket) or of a file of it.

        ``ValueError`` if it is not JSON, of another format or of a later version, or a value is
        invalid; ``TypeError`` for an unknown field, with the nearest right one.

        Examples
        --------
        >>> Scenario.from_json('{"n_devices": 5, "n_servers": 1}').n_devices
        5
        """
        return cls(**read_fields(source, cls.fields()))

    def _values(self) -> dict[str, Any]:
        return {field: getattr(self, field) for field in self.fields()}

    def __getstate__(self) -> dict[str, Any]:
        # Caches hung onto the instance (arrays per device and namespace) do not travel.
        return self._values()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
