"""The command ``mec-gym``: train, evaluate, benchmark, tune, report, demo, list, check.

What needs torch, matplotlib or another heavy library is imported when a verb works, so that
``--help`` answers at once and works without the extras.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gymnasium.error import DependencyNotInstalled

import mec_gym
from mec_bench import registry
from mec_bench.cards import pretrained_card, pretrained_names, settings_names
from mec_bench.extras import install, lacking
from mec_bench.importing import users_place
from mec_gym import Scenario
from mec_gym.files import require_folder
from mec_gym.presets import PRESETS
from mec_gym.validation import require_choice

if TYPE_CHECKING:
    from mec_bench.launching import Launcher, RunOutcome, Task
    from mec_bench.matrix import MatrixOutcome
    from mec_bench.results import Result
    from mec_bench.run import Settings

Arguments = argparse.Namespace
_Add = Callable[..., Any]
"""A parser's ``add_argument``."""

# -- what command lines have in common -------------------------------------------------------------


def count(text: str, least: int = 1) -> int:
    """Return a number of things, of which there must be some: a type for ``argparse``."""
    number = registry.whole(text)
    if number is None or number < least:
        raise argparse.ArgumentTypeError(f"must be a whole number >= {least}; got {text!r}")
    return number


_slots = functools.partial(count, least=0)


def scenario_of(name: str, pairs: Iterable[str] = ()) -> Scenario:
    """Return a preset or the scenario of a JSON file, with fields changed by ``key=value``.

    >>> scenario_of("paper-30x2", ["noise_w=1e-6"]).name
    'paper-30x2[noise_w=1e-06]'
    """
    scenario, changed = Scenario.resolve(name), registry.changes(pairs)
    if not changed:
        return scenario
    shown = ", ".join(f"{key}={value}" for key, value in changed.items())
    return scenario.replace(**({"name": f"{scenario.name}[{shown}]"} | changed))


_MENDABLE = (
    ArithmeticError,  # training that diverged
    AssertionError,
    DependencyNotInstalled,
    MemoryError,
    OSError,
    RuntimeError,  # torch's way of saying that memory or a device is lacking
    TypeError,
    ValueError,
)


@contextlib.contextmanager
def complain(
    status: int = 1, *, stopped: str = "What is finished is kept; a run goes on where it was."
) -> Iterator[None]:
    """End with one sentence, not a traceback, for what the user can mend.

    `status` is the exit status: 2, as of argparse, where 1 says that runs failed; `stopped` says
    what Ctrl-C leaves behind, which exits with 130.

    >>> with contextlib.redirect_stderr(sys.stdout), complain():
    ...     raise ValueError("seed must be a whole number >= 0; got -1.")
    Traceback (most recent call last):
    SystemExit: 1
    """
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(f"\nStopped. {stopped}\n")
        raise SystemExit(130) from None
    except _MENDABLE as error:
        _end(error, str(error).rstrip() + users_place(error), status)
    except (AttributeError, ModuleNotFoundError) as error:
        words = lacking(error)
        # Of a name that the user gave or an extra; anything else is a fault of the code.
        if not words and not str(error).startswith(("algorithm ", "reward ")):
            raise
        _end(error, words or str(error), status)


def _require_training() -> None:
    """Name at once, before any work, everything that training and measuring lack."""
    needed = ("filelock", "pydantic", "stable_baselines3", "threadpoolctl", "torch")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(f"this needs {', '.join(missing)}: {install('train')}.")


def _end(error: Exception, words: str, status: int) -> None:
    if os.environ.get("TRACEBACK"):
        raise error
    sys.stderr.write(f"error: {words}\n(TRACEBACK=1 in the environment shows where.)\n")
    raise SystemExit(status) from None


class _Help(argparse.RawDescriptionHelpFormatter):
    """Shows the default of every option that has one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        default = action.default
        if default is None or default is False or default in ("", [], argparse.SUPPRESS):
            return action.help or ""
        shown = " ".join(default) if isinstance(default, list) else default
        return f"{action.help} (default: {shown})"


_PAIRS: Any = {"metavar": "KEY=VALUE", "nargs": "+", "action": "extend", "default": []}
_FOLDER: Any = {"type": Path, "metavar": "FOLDER"}
_SCENARIO = f"{', '.join(PRESETS)}, or a JSON file"
_ALGORITHM = f"{', '.join(registry.names())}, sb3:PPO, my_module:MyAlgo or :my_rule"


def _seed_free_options(add: _Add, out: str = "runs") -> None:
    """Add what trains has in common, one run or a matrix of them."""
    add("--scenario-set", **_PAIRS, help="fields of the scenario")
    add("--n-envs", type=int, metavar="N", help="copies of the env; else the algorithm's choice")
    add(
        "--reward", metavar="{relative,reciprocal,negative}",
        help="reward of the env, or my_module:my_reward, a function of the Outcome; else the "
        "file's, or relative",
    )  # fmt: skip
    what = (
        "JSON or TOML with a table of settings per algorithm, or the name of a file of "
        "baselines/settings, sb3-ppo say; a wrong name lists them"
    )
    add("--config", type=Path, metavar="FILE", help=what)
    add("--device", default="cpu", help="cpu, cuda or auto")
    add("--threads", type=count, default=1, metavar="N", help="threads that a run computes on")
    add("--out", **_FOLDER, default=Path(out), help=f"folder of all {out}")


# -- train -----------------------------------------------------------------------------------------


def _train_options(add: _Add) -> None:
    add("--algo", metavar="NAME", help=_ALGORITHM)
    add("--scenario", default="paper-200x10", metavar="NAME", help=_SCENARIO)
    add("--timesteps", type=_slots, default=5000, metavar="N", help="slots to train for")
    add("--seed", type=int, default=0, metavar="N", help="of the algorithm and its env")
    add("--set", **_PAIRS, help="hyper-parameters; policy_kwargs.x=1 reaches inside")
    _seed_free_options(add)
    add("--observation", metavar="{flat,db,raw}", help="of the env; else the algorithm's choice")
    add("--label", help="name in tables; else the algorithm's with what was changed")
    add("--resume", type=Path, metavar="RUN", help="go on with this run's folder")
    add("--quiet", action="store_true", help="no progress bar")


def _train(given: Arguments, parser: argparse.ArgumentParser) -> int:
    """Train an algorithm on a scenario: one run in a folder of its own.

    --algo dirs --scenario paper-200x10 --timesteps 5000 --seed 0
    --algo sb3:PPO --scenario paper-30x2 --timesteps 40000 --config sb3-ppo
    --algo my_module:MyAlgo --scenario my-scenario.json --timesteps 1000
    --resume runs/paper-200x10/dirs-5000/seed-0
    """
    if (given.algo is None) == (given.resume is None):
        parser.error("give either --algo or --resume")
    kept = ("--resume", "--quiet", "--threads")
    names = [word.partition("=")[0] for word in given.words if word.startswith("--")]
    if given.resume and not all(any(one.startswith(name) for one in kept) for name in names):
        parser.error(
            "--resume goes on with the run as it is: give nothing else but --quiet and --threads"
        )
    from mec_bench.comparing import compare
    from mec_bench.launching import Task, before
    from mec_bench.tables import as_text

    folder, settings = _run_of(given)
    print(f"{settings.label} on {settings.scenario.name}, seed {settings.seed}: {folder}")
    if (known := before(Task(settings, folder))) and known.good:
        print(f"was done before; delete {folder}, or give another --out, to train anew")
    print(as_text(compare([_trained(settings, folder, given)])))
    print(f"tensorboard --logdir {given.resume or given.out}")
    return 0


def _run_of(given: Arguments) -> tuple[Path, Settings]:
    from mec_bench.matrix import configured, plan
    from mec_bench.run import RunFolder

    if given.resume:
        settings = RunFolder(given.resume).settings()
        if settings is None:
            raise FileNotFoundError(f"{given.resume} is not a run's folder: no settings.json.")
        return given.resume, settings
    require_folder(given.out)
    tables = configured(given.config)
    if given.config:
        require_choice("--algo", given.algo, tables)
    changed = {given.algo: tables.get(given.algo, {}) | registry.changes(given.set)}
    scenarios = [scenario_of(given.scenario, given.scenario_set)]
    options = _options(given, "seed", "observation", "label")
    (settings,) = plan(
        [given.algo], scenarios, [given.seed], given.timesteps, changed, given.config, **options
    )
    return given.out / settings.place, settings


def _options(given: Arguments, *names: str) -> dict[str, Any]:
    """Return the options that were given and are fields of the settings by the same name."""
    options = {key: getattr(given, key) for key in ("n_envs", "reward", "device", *names)}
    return {key: value for key, value in options.items() if value is not None}


def _trained(settings: Settings, folder: Path, given: Arguments) -> Result:
    from mec_bench.launching import limit_threads
    from mec_bench.run import RunFolder
    from mec_bench.training import train

    new = not folder.exists()
    limit_threads(given.threads)
    try:
        return train(settings, folder, progress_bar=not given.quiet)
    except (AssertionError, AttributeError, ImportError, TypeError, ValueError):
        if new:  # else somebody may want to know that it failed
            RunFolder(folder).forget()
        raise
    except KeyboardInterrupt:
        again = shlex.join([*given.program, "--resume", str(folder)])
        sys.stderr.write(f"\nTo go on: {again}")
        raise


# -- evaluate --------------------------------------------------------------------------------------


def _evaluate_options(add: _Add) -> None:
    what = "folder of a run or of runs, a model's file (with --algo), pretrained:NAME, or a rule"
    add("runs", nargs="+", metavar="RUN", help=what)
    add("--algo", metavar="NAME", help="the algorithm of models given as files")
    add("--scenario", metavar="NAME", help=f"of the slots: {_SCENARIO}; else that of the runs")
    add("--scenario-set", **_PAIRS, help="fields of the scenario")
    add(
        "--layouts", type=count, metavar="N",
        help="layouts of the test slots, 40 by default; of a world that moves episodes, 20",
    )  # fmt: skip
    add("--against", metavar="LABEL", help="label that the others are compared with")
    add("--out", **_FOLDER, help="folder for one result.json per policy")


def _evaluate(given: Arguments, parser: argparse.ArgumentParser) -> int:
    """Measure saved models and rules anew on the test slots of a scenario, side by side.

    runs/paper-200x10/dirs-5000/seed-0 greedy posted-prices
    dirs.zip --algo dirs --scenario paper-200x10
    pretrained:dirs-prices-paper-30x2 greedy
    """
    if given.scenario_set and not given.scenario:
        parser.error("--scenario-set changes the fields of a --scenario: give both")
    if given.out:
        require_folder(given.out)
        if any(given.out.rglob("result.json")):
            raise FileExistsError(f"{given.out} holds results already: choose another folder.")
    scenario = scenario_of(given.scenario, given.scenario_set) if given.scenario else None

    from mec_bench import evaluate_again, write_result
    from mec_bench.launching import limit_threads

    limit_threads(1)
    results = list(
        evaluate_again(given.runs, algo=given.algo, scenario=scenario, layouts=given.layouts)
    )
    try:
        if given.out:  # first of all: they were measured with patience
            for number, result in enumerate(results):
                write_result(given.out / f"{number:03d}" / "result.json", result)
    finally:  # neither a full disk nor a wrong label takes anything from the table
        print(_compared(results, given.against))
    if given.out:
        print(f"\nresults: {given.out}")
    if given.against:
        require_choice("--against", given.against, _labels(results))
    return 0


# -- benchmark -------------------------------------------------------------------------------------


def _benchmark_options(add: _Add) -> None:
    add("--algos", nargs="+", required=True, metavar="NAME", help=_ALGORITHM)
    add("--scenarios", nargs="+", default=["paper-30x2"], metavar="NAME", help=_SCENARIO)
    add("--seeds", default="10", help="how many, or a list: 0,3,7")
    add(
        "--timesteps", nargs="+", default=["paper"], metavar="N",
        help="slots to train for; 'paper' for its 3000, 4000, 5000; or SCENARIO=NUMBER for each",
    )  # fmt: skip
    add("--set", **_PAIRS | {"metavar": "ALGO:KEY=VALUE"}, help="hyper-parameters")
    _seed_free_options(add)
    add("--jobs", type=count, default=1, metavar="N", help="runs at a time")
    add("--launcher", choices=("processes", "ray"), default="processes", help="what runs them")
    add("--address", help="of a Ray cluster; without, a local one is started for this matrix")
    add("--against", metavar="LABEL", help="label that the others are compared with")


def _benchmark(given: Arguments, _: argparse.ArgumentParser) -> int:
    """Run a matrix of algorithms, scenarios and seeds; again, to go on with what is left.

    --algos dirs sb3:PPO greedy --scenarios paper-30x2 --seeds 5 --jobs 2
    --algos dirs dirs:prices --scenarios paper-30x2 paper-200x10 --set dirs:beta=1.8
    --algos dirs --scenarios paper-30x2 --seeds 3 --launcher ray
    """
    require_folder(given.out)

    from mec_bench import matrix

    runs = matrix.plan(
        given.algos,
        [scenario_of(name, given.scenario_set) for name in given.scenarios],
        matrix.seeds_of(given.seeds),
        matrix.timesteps_of(given.timesteps),
        matrix.changes_of(given.algos, given.set, given.config),
        given.config,
        **_options(given),
    )
    if given.against:  # before hours of work
        require_choice("--against", given.against, _labels(runs))
    launcher = _launcher(given)
    print(f"{len(runs)} runs in {given.out}, {given.jobs} at a time", flush=True)
    progress = matrix.Progress(matrix.tasks_of(runs, given.out), given.jobs)
    return _told(matrix.run_matrix(runs, given.out, launcher, progress), given)


def _launcher(given: Arguments) -> Launcher[Task, RunOutcome]:
    if given.launcher == "ray":
        from mec_bench.on_ray import RayTasks

        return RayTasks(given.jobs, given.threads, address=given.address)
    from mec_bench.launching import Processes

    if given.address:
        raise ValueError("--address is of a Ray cluster: add --launcher ray.")
    return Processes(given.jobs, given.threads)


def _labels(found: Iterable[Result | Settings]) -> list[str]:
    return sorted({one.label for one in found})


def _compared(results: Sequence[Result], against: str | None) -> str:
    """Return the tables; a label that no result has takes none of them away."""
    from mec_bench import as_text, compare

    return as_text(compare(results, against if against in _labels(results) else None))


def _told(found: MatrixOutcome, given: Arguments) -> int:
    if found.results:
        print("\n" + _compared(found.results, given.against))
        if given.against and given.against not in _labels(found.results):
            print(f"\nThere is no {given.against} to compare with yet.")
    for outcome in found.failures:
        print(f"\n{outcome.task}: {outcome.state}: {outcome.reason}\n  {outcome.task.folder}")
    print(f"\n{len(found.results)} runs done, {found.unfinished} not; results: {given.out}")
    if found.unfinished:
        print(f"To go on: {shlex.join([*given.program, *given.words])}")
    return found.status


# -- tune ------------------------------------------------------------------------------------------


def _tune_options(add: _Add) -> None:
    add("--algo", required=True, metavar="NAME", help="what learns, as train takes it")
    add("--scenarios", nargs="+", default=["paper-30x2"], metavar="NAME", help=_SCENARIO)
    add(
        "--timesteps", nargs="+", default=["paper"], metavar="N",
        help="slots of each run; 'paper' for its 3000, 4000, 5000; or SCENARIO=NUMBER for each",
    )  # fmt: skip
    add("--trials", type=count, default=20, metavar="N", help="settings to try")
    add("--seeds", type=count, default=3, metavar="N", help="of each trial, 3 or more")
    what = (
        'JSON, {"learning_rate": {"low": 1e-4, "high": 0.01, "log": true}, '
        '"policy_kwargs.net_arch": {"choices": [[32], [64]]}}; learners of the project have theirs'
    )
    add("--space", type=Path, metavar="FILE", help=what)
    add("--set", **_PAIRS, help="hyper-parameters of all trials")
    add(
        "--layouts", type=count, metavar="N",
        help="layouts of the slots to judge on, 20 by default; of a world that moves episodes, 10",
    )  # fmt: skip
    _seed_free_options(add, "studies")


def _tune(given: Arguments, _: argparse.ArgumentParser) -> int:
    """Search for settings by Optuna, on slots and seeds of their own; again, to go on.

    --algo ac:links --scenarios unequal-200x10 --timesteps 2000
    --algo my_module:MyAlgo --scenarios crowd-30x4 --timesteps 5000 --space my-space.json
    --algo sb3:PPO --config sb3-ppo --timesteps 20480 --space my-space.json --trials 30
    """
    require_folder(given.out)
    tables: dict[str, Any] = {}

    from mec_bench import matrix, tune
    from mec_bench.launching import limit_threads

    if given.config:
        tables = matrix.configured(given.config)
        require_choice("--algo", given.algo, tables)
    options = {f"env.{key}": value for key, value in _options(given).items() if key != "device"}
    limit_threads(given.threads)
    found = tune(
        given.algo,
        [scenario_of(name, given.scenario_set) for name in given.scenarios],
        timesteps=matrix.timesteps_of(given.timesteps),
        space=given.space,
        trials=given.trials,
        seeds=given.seeds,
        arguments=tables.get(given.algo, {}) | registry.changes(given.set) | options,
        layouts=given.layouts,
        out=given.out,
        device=given.device,
        say=lambda line: print(line, flush=True),
    )
    given_up = sum(trial.value is None for trial in found.trials)
    first = found.trials[0].value
    print(f"\nbest: trial {found.best.number}, {found.best.value:.4f}; as it is: {first:.4f}")
    print(f"{len(found.trials)} trials, {given_up} of them given up: {found.file}")
    print(f"To train with them: --config {found.file}")
    return 0


# -- report, demo, list, check ---------------------------------------------------------------------


def _report_options(add: _Add) -> None:
    add("folders", nargs="+", type=Path, metavar="FOLDER", help="searched at every depth")
    add("--out", **_FOLDER, default=Path("report"), help="folder of the report")
    add("--against", metavar="LABEL", help="label that the others are compared with")


def _report(given: Arguments, _: argparse.ArgumentParser) -> int:
    """Make the leaderboard and the report page of every result.json below some folders.

    runs --out report
    """
    require_folder(given.out)

    from mec_bench import read_results, write_report

    found = read_results(given.folders)
    begun = {file.resolve() for folder in given.folders for file in folder.rglob("status.json")}
    without = sum(not file.with_name("result.json").exists() for file in begun)
    runs = f", {without} runs without one (failed, stopped or under way)" * bool(without)
    print(f"{len(found.results)} results{runs}, {len(found.problems)} problems")
    for problem in found.problems:
        print(f"  {problem.file}: {problem.reason}")
    if not found.results:
        raise ValueError("nothing to report: there must be at least one result.")
    if given.against:
        require_choice("--against", given.against, _labels(found.results))
    for file in write_report(found.results, found.problems, given.out, given.against):
        print("wrote", file)
    return 0


def _demo_options(add: _Add) -> None:
    add("--scenario", metavar="NAME", help=f"{_SCENARIO}; else crowd-30x4, then paper-200x10")
    add("--timesteps", type=count, metavar="N", help="slots to train for; else some minutes' worth")
    add("--seed", type=int, default=0, metavar="N", help="of training")
    add("--out", **_FOLDER, default=Path("demo-output"), help="folder to write to")


def _demo(given: Arguments, _: argparse.ArgumentParser) -> int:
    """Train learners, measure them beside rules, a planner and the bound, film and report.

    --scenario paper-30x2 --timesteps 1000
    """
    require_folder(given.out)
    asked = [scenario_of(given.scenario)] if given.scenario else []

    from mec_bench.demo import SCENARIOS, demonstrate
    from mec_bench.launching import limit_threads

    limit_threads(1)
    scenarios = asked or [Scenario.preset(name) for name in SCENARIOS]
    demonstrate(scenarios, given.timesteps, given.seed, given.out)
    return 0


def _list(_given: Arguments, _: argparse.ArgumentParser) -> int:
    """List scenarios, algorithms, settings and trained models."""
    text = [
        "Scenarios, or the path of a JSON file:",
        *_columns([(name, preset.about) for name, preset in PRESETS.items()]),
        "\nAlgorithms, and what they know:",
        *_columns([(one, registry.title(one), registry.knows(one)) for one in registry.names()]),
        "\nAlso any class of Stable-Baselines3 or sb3_contrib, sb3:PPO, and yours, my_module:My",
        "or my_module:my_rule, a function (scenario, slot, rng) that returns an assignment",
        "\nSettings that come with it, for --config:",
        *_columns([*settings_names().items()]),
        "\nTrained models that come with it, for evaluate:",
        *_columns([(f"pretrained:{one}", str(pretrained_card(one))) for one in pretrained_names()]),
    ]
    try:
        print("\n".join(text), flush=True)
    except BrokenPipeError:  # its reader, head say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield lines of cells, as wide as the widest of each column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells).rstrip()}"


def _check_options(add: _Add) -> None:
    what = "yours, my_module:MyAlgo or :my_rule, or a name of mec-gym list"
    add("name", metavar="ALGO", help=what)
    what = f"where to try it: {_SCENARIO}; else 4 devices and 2 servers"
    add("--scenario", metavar="NAME", help=what)
    add("--set", **_PAIRS, help="hyper-parameters, so that it trains fast")
    add("--timesteps", type=count, default=64, metavar="N", help="slots of each small training")


def _check(given: Arguments, _: argparse.ArgumentParser) -> int:
    """Try everything that the harness asks of an algorithm, and say what it lacks.

    my_module:MyAlgo --set batch_size=8
    sb3:PPO --set n_steps=8 batch_size=8
    """
    arguments = registry.changes(given.set)
    scenario = scenario_of(given.scenario) if given.scenario else None

    from mec_bench import check_algorithm
    from mec_bench.launching import limit_threads

    limit_threads(1)
    found = check_algorithm(
        given.name, scenario=scenario, arguments=arguments, timesteps=given.timesteps
    )
    lacking = {problem.partition(":")[0] for problem in found.problems}
    passed = [name for name in found.checks if name not in lacking]
    if passed:
        print(f"passed: {', '.join(passed)}")
    print(found)
    return 0 if found.passed else 1


# -- the command -----------------------------------------------------------------------------------


_VERBS: dict[
    str, tuple[Callable[[Arguments, argparse.ArgumentParser], int], Callable[[_Add], None] | None]
] = {
    "train": (_train, _train_options),
    "evaluate": (_evaluate, _evaluate_options),
    "benchmark": (_benchmark, _benchmark_options),
    "tune": (_tune, _tune_options),
    "report": (_report, _report_options),
    "demo": (_demo, _demo_options),
    "list": (_list, None),
    "check": (_check, _check_options),
}
"""What works, and what adds its options; the docstring of the first is its help, with examples."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out a command line of ``mec-gym``; return the exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    program = _program()
    parser = argparse.ArgumentParser(
        prog=shlex.join(program),
        description="Multi-server mobile edge computing: train, measure and compare algorithms.",
        epilog=f"example:\n  {shlex.join(program)} train --algo dirs --scenario paper-30x2",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"mec-gym {mec_gym.__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="COMMAND", required=True, title="commands")
    for name, (work, _) in _VERBS.items():
        about = (work.__doc__ or "").partition("\n")[0].rstrip(".")
        help_line = about[:1].lower() + about[1:]
        _fill(verbs.add_parser(name, help=help_line, formatter_class=_Help), name, [*program, name])
    if not words or words[0] not in _VERBS:
        parser.parse_args(words)  # --help, --version, or a word that is wrong
    verb = verbs.choices[words[0]]
    given = verb.parse_intermixed_args(words[1:])
    given.program, given.words = [*program, words[0]], words[1:]
    return _carried_out(words[0], given, verb)


def script(name: str) -> int:
    """Carry out one verb under the name of the script that was called; return the exit status."""
    parser = argparse.ArgumentParser(formatter_class=_Help)
    program = [os.path.basename(sys.executable), sys.argv[0]]
    _fill(parser, name, program)
    given = parser.parse_intermixed_args()
    given.program, given.words = program, sys.argv[1:]
    return _carried_out(name, given, parser)


def _carried_out(name: str, given: Arguments, parser: argparse.ArgumentParser) -> int:
    with complain(status=2 if name == "check" else 1):
        if name not in ("list", "report"):
            _require_training()
        return _VERBS[name][0](given, parser)


def _fill(parser: argparse.ArgumentParser, name: str, program: Sequence[str]) -> None:
    work, options = _VERBS[name]
    parser.description, *words = inspect.cleandoc(work.__doc__ or "").split("\n")
    lines = [f"  {shlex.join(program)} {one}".rstrip() for one in words[1:] or [""]]
    parser.epilog = "\n".join(["examples:", *lines])
    if options:
        options(parser.add_argument)


def _program() -> list[str]:
    """Return how the user called the command."""
    if Path(sys.argv[0]).name == "__main__.py":
        return [os.path.basename(sys.executable), "-m", "mec_gym"]
    return ["mec-gym"]
