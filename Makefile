# Verbs of the project; `make` alone lists them. Every verb builds .venv first where it is missing
# or older than pyproject.toml or constraints.txt; the world's tests have an environment of their
# own, made anew each time.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH := torch==2.13.0

# One thread per process: the tests run in parallel themselves. No window opens.
HEADLESS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 SDL_VIDEODRIVER=dummy MPLBACKEND=Agg
PYTEST := $(HEADLESS) $(BIN)/python -m pytest

WORLD := build/world
PINS := constraints.txt
PYTHONS := python3.10 python3.11 python3.12 python3.13 python3.14

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-world test-oldest test-pythons check format bench regimes cabs \
	dirs-results learned droo stock reproduce integrations report docs clean
.DELETE_ON_ERROR:

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## run the demonstration, scripts/demo.py
	$(BIN)/python scripts/demo.py

test: check ## check, then run all tests but the slow ones
	$(PYTEST) -m "not slow" -n 2

test-all: check ## check, then run all tests
	$(PYTEST) -n 2

test-world: ## test mec_gym alone, without torch, on PYTHON
	$(PYTHON) -m venv --clear $(WORLD)
	$(WORLD)/bin/python -m pip install --quiet -c $(PINS) -e ".[multiagent,render,test]"
	$(HEADLESS) $(WORLD)/bin/python -m pytest -m "not slow" -n 2 \
		--ignore-glob "mec_gym/envs/sb3*" mec_gym tests

test-oldest: ## test-world with the oldest versions that pyproject.toml allows
	mkdir -p build
	grep -oE '"[a-z0-9-]+>=[0-9.]+' pyproject.toml | tr -d '"' | sed 's/>=/==/' > build/oldest.txt
	$(MAKE) test-world PYTHON=$(firstword $(PYTHONS)) PINS=build/oldest.txt

test-pythons: ## test-world on each interpreter of PYTHONS that is here
	@set -e; for python in $(PYTHONS); do \
		if $$python --version 2>/dev/null; then $(MAKE) test-world PYTHON=$$python; \
		else echo "no $$python here"; fi; done

check: $(READY) ## formatting, lint, types and import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY) ## format the code and fix what lint can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## measure the benchmarks
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -m benchmarks.run

regimes: $(READY) ## recompute the presets' regimes, reproduction/regimes.py
	$(BIN)/python -m reproduction.regimes

cabs: $(READY) ## train on some days of recorded cabs, measure on others, reproduction/cabs.py; MEC_GYM_DATA names the data
	$(BIN)/python -m reproduction.cabs

dirs-results: $(READY) ## train DIRS in all its variants (an hour or two), reproduction/variants.py
	$(BIN)/python -m reproduction.variants

learned: $(READY) ## train every learner (hours, in parts that resume), reproduction/learned.py
	$(BIN)/python -m reproduction.learned
	$(BIN)/python -m reproduction.summary --readme

droo: $(READY) ## measure DROO with and without its prices, on models of learned.py, reproduction/droo.py
	$(BIN)/python -m reproduction.droo

STOCK = $(BIN)/python scripts/benchmark.py --seeds 5 --jobs 2 --out runs/stock \
	--scenarios paper-30x2 bandlimited-200x10 unequal-200x10
CONFIG = --config baselines/settings
LONGER = paper-30x2=204800 bandlimited-200x10=409600 unequal-200x10=409600

stock: $(READY) ## train stock learners with baselines/settings (hours), reproduction/stock.py
	$(STOCK) --algos local keep-what-pays
	$(STOCK) --algos sb3:PPO $(CONFIG)/sb3-ppo.json --timesteps $(LONGER)
	$(STOCK) --algos sb3_contrib:MaskablePPO $(CONFIG)/sb3-maskable-ppo.json --timesteps $(LONGER)
	$(STOCK) --algos sb3_contrib:RecurrentPPO $(CONFIG)/sb3-recurrent-ppo.json --timesteps 204800
	$(STOCK) --algos sb3:SAC $(CONFIG)/sb3-sac.json --timesteps 51200
	$(STOCK) --algos sb3_contrib:TQC $(CONFIG)/sb3-tqc.json --timesteps 51200
	$(BIN)/python -m reproduction.stock

reproduce: $(READY) ## the paper's tables and figures (hours), scripts/reproduce.py
	$(BIN)/python scripts/reproduce.py all --docs

integrations: $(READY) ## try other libraries, each in an environment of its own (an hour)
	$(HEADLESS) $(BIN)/python -m reproduction.integrations

report: $(READY) ## leaderboard and report page of all runs, scripts/report.py
	$(BIN)/python scripts/report.py runs --out report

docs: $(READY) ## build the documentation site, build/docs/index.html
	rm -rf docs/api/generated build/doctrees  # what Sphinx remembers of modules that moved or went
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -W --keep-going -d build/doctrees docs build/docs

clean: ## remove caches and build products, but not .venv
	rm -rf build dist docs/api/generated *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path "./$(VENV)/*" -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH) -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@
