# make: set up and run.   make test: set up and test.
PYTHON ?= python3
CORES ?= all
VENV := .venv
UV_VERSION := 0.13.8

# uv ignores pip's settings; folders of wheels that pip is told to look in (a CPU build of torch, say) serve here too.
comma := ,
space := $(subst ,, )
export UV_FIND_LINKS ?= $(subst $(space),$(comma),$(strip $(wildcard $(PIP_FIND_LINKS))))
# Compile once now instead of in every job.
export UV_COMPILE_BYTECODE := 1
# The only absolute path: this folder's own may have a space or a quote in it.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: all setup test test-slow test-kill test-cluster cluster-stop lint format report bench clean
all: setup
	snakemake --cores $(CORES)

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	"$(PYTHON)" -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	uv pip install --python $(VENV)/bin/python --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# Files side by side: one process per core, at most four.
PARALLEL ?= -n logical --maxprocesses 4 --dist loadscope --no-loadscope-reorder
test: setup lint
	pytest -rs $(PARALLEL)

# What takes minutes each and is left out of the suite: trainings, kills of every kind of job, whole runs on full disks,
# and, as test-cluster, a Slurm cluster.
test-slow: setup
	pytest -rs -m slow

# Kill runs at random moments and look at every file; see docs/robustness.md.
KILLS ?= 100
SEED ?= 0
test-kill: setup
	python tests/kill_workflow.py --kills $(KILLS) --seed $(SEED)

# Everything that can go wrong on a Slurm cluster, on a small one that this starts; needs root and Debian's packages.
test-cluster: setup
	pytest -m 'slow or not slow' tests/test_slurm.py

# On a cluster: stop this folder's run, its jobs included, so that the same snakemake command can go on.
cluster-stop:
	python -m discreteness.workflow.cluster

lint: setup
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	python tests/lint_workflow.py

format: setup
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules

report: setup
	snakemake --report results/report.zip

bench: setup
	python tests/benchmarks/bench_probe.py
	python tests/benchmarks/bench_decode.py
	python tests/benchmarks/bench_curve.py

clean:
	rm -rf results/*/ results/report.zip .snakemake
