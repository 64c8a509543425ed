# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
CORES ?= $(shell nproc)
PYTHON ?= python3
THERE ?= 3.12
READERS ?= pickle refer_values coco_bytes jsonl csv rle
# The checkout's folder may have any name: shells get it as a variable, and scripts in BIN, whose first line holds it, are
# run as modules.
BIN := .venv/bin
PYTEST := PATH="$$PWD/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python -m pytest
IN_PARALLEL := -n $(CORES) --dist loadfile --no-loadscope-reorder
SNAKEMAKE := PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python -m snakemake --cores $(CORES)

.DEFAULT_GOAL := help
.PHONY: help env demo test readers test-parts test-slurm coverage fuzz fuzz-guided lint format finding clicks report bench gpu-check gpu-wheels micro-models schema wheel docs clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

env: .venv/.installed ## set up the environment in .venv from the lock (CPU=1: without what only GPUs use)

.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv # its activate quotes the folder; older Pythons' does not
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes $(if $(CPU),--excludes envs/without-gpu.txt) --requirements requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

demo: env ## the main job on the micro world, training included, and its figures
	$(BIN)/python -m ssc_core.cli.main demo --cores $(CORES)

test: env ## all tests, as many at once as there are cores
	$(PYTEST) $(IN_PARALLEL)

readers: .venv-readers/.installed ## datumaro and Label Studio's SDK, which read exports in tests, in an environment of their own

.venv-readers/.installed: tests/unit/exchange/readers.txt | env
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-readers
	$(BIN)/uv pip install --quiet --python .venv-readers/bin/python --requirements $<
	touch $@

test-parts: env ## every detector, segmenter and scorer of today through the rules, killed and resumed (minutes)
	SSC_TEST_PARTS=1 $(PYTEST) tests/workflow/test_official_classes.py

test-slurm: env ## the main job through a real SLURM that this machine starts (root; installs slurm with apt)
	tests/workflow/slurm/install.sh
	SSC_TEST_SLURM=1 $(PYTEST) tests/workflow/test_slurm.py

coverage: env ## all tests, and which lines of ssc_core they reach
	$(PYTEST) $(IN_PARALLEL) --cov=ssc_core --cov-report=term:skip-covered --cov-report=xml:build/coverage.xml

fuzz: env ## the readers against 200,000 damaged files (minutes)
	$(BIN)/python -m tests.fuzz.run --inputs 200000

fuzz-guided: env ## the same readers, guided by coverage: atheris, 100,000 inputs each of READERS
	$(BIN)/uv pip install --quiet --python $(BIN)/python atheris
	for name in $(READERS); do $(BIN)/python -m tests.fuzz.guided $$name -runs=100000 || exit 1; done

lint: env ## formatting, lints and types, changing nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m snakefmt --check Snakefile rules
	$(BIN)/python -m snakemake --lint
	$(BIN)/python -m mypy ssc_core microworld benchmarks
	$(BIN)/python -m mypy --explicit-package-bases workflow_scripts

format: env ## format Python and Snakemake files
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .
	$(BIN)/python -m snakefmt Snakefile rules

# forced, since the pages are in git: where results are missing, Snakemake would call the old ones up to date
finding: env ## all methods over seeds, a page per dataset: docs/results*.md (hours; PRESET=best: of that preset)
	$(SNAKEMAKE) --forcerun write_results $(if $(PRESET),--configfile presets/$(PRESET).yaml) -- results_page

clicks: env ## what reviews are worth, as docs/clicks.md: labels in a quarter of an hour, networks in three hours
	$(SNAKEMAKE) --forcerun write_clicks -- docs/clicks.md

report: env ## one HTML page of everything in results/; where ways to select were compared, more scorers among them
	$(SNAKEMAKE) --configfile presets/scorers.yaml -- results/report/index.html

bench: env ## all benchmarks of the stages against the published way, as docs/benchmarks.md (SAMPLE=folder of real data)
	$(BIN)/python benchmarks/page.py $(if $(SAMPLE),--sample $(SAMPLE))

gpu-check: env ## every stage on the GPU against the CPU, and how fast, as docs/gpu.md (on a CPU, small: as build/gpu/page.md)
	rm -rf build/gpu
	$(BIN)/python benchmarks/gpu.py $(if $(SIZE),--size $(SIZE)) --page

gpu-wheels: env ## what the GPU check needs on a bare machine, in build/gpu-wheels (THERE=3.12: its Python)
	rm -rf build/gpu-wheels
	$(BIN)/uv pip install --quiet --no-deps --target build/gpu-wheels --python-version $(THERE) --python-platform x86_64-manylinux_2_28 --requirements envs/gpu-check.txt --constraints requirements.lock

micro-models: env ## train the micro world's small models again (hours on two cores)
	$(SNAKEMAKE) micro_models

schema: env ## write schemas/config.schema.json from the settings classes
	$(BIN)/python -m ssc_core.config.settings > schemas/config.schema.json

wheel: env ## build/dist/*.whl, which holds the whole workflow
	$(BIN)/python -m hatchling build -t wheel -d build/dist

docs: env ## the docs as a site, build/site; every link is checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

clean: ## remove results and caches, keep the environment and what people decided (reviews.csv)
	rm -rf build .snakemake .pytest_cache .ruff_cache .mypy_cache
	test ! -e results || find -H results ! -type d ! -name reviews.csv -delete
	test ! -e results || find -H results -mindepth 1 -depth -type d -empty -delete
	test -L results || test ! -e results || find results -maxdepth 0 -empty -delete
	test ! -e results || find -H results -name reviews.csv -exec echo kept, since nothing makes decisions again: {} ';'
