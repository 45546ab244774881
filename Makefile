# Everything runs from .venv, which the first call builds. Wanted: a Python of at least 3.11, and nothing else.

VENV := .venv
INSTALLED := $(VENV)/.installed
# The extras that only the marked groups need, and nobody who reproduces.
GROUPS_INSTALLED := $(VENV)/.installed-groups
PYTEST := $(VENV)/bin/python -m pytest
GROUPS := real_data or shipped or thorough or ray or slurm or keras or wandb or browser or kill_storm
# Test processes side by side; each uses one thread.
TEST_JOBS ?= 2

# The first Python on the path that is new enough and can make environments; PYTHON=/path/to/python3 names another.
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11 python
PYTHON ?= $(shell for p in $(PYTHONS); do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# Given to pip's isolated builds too, under the names that older and newer versions of pip look for.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt

.PHONY: help setup reproduce test test-all kill-storm lint bench

help:
	@echo "make reproduce   train the two headline experiments on the digits, draw their figures, print the verdicts"
	@echo "make test        the tests that need no root and no service"
	@echo "make test-all    those, then the marked groups: $(GROUPS)"
	@echo "make kill-storm  a sweep killed 500 times at random instants, compared with one left alone"
	@echo "make lint        ruff"
	@echo "make bench       throughput against a bare loop and the usual loader"
	@echo "make setup       only build $(VENV)"

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with venv here: install python3 and python3-venv," \
		"or name one with 'make PYTHON=/path/to/python3'" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,dashboard]'
	@touch $@

$(GROUPS_INSTALLED): $(INSTALLED)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,dashboard,ray,slurm,keras,browser]'
	@touch $@

reproduce: $(INSTALLED)
	$(VENV)/bin/bnlab reproduce activation_histograms ics_vgg

test: $(INSTALLED)
	$(PYTEST) -n $(TEST_JOBS) -m "not ($(GROUPS))"

# 5 says that no test carries any of these marks.
test-all: test $(GROUPS_INSTALLED)
	$(PYTEST) -m "$(GROUPS)" $(if $(GROUP_REPORT),--junitxml=$(GROUP_REPORT)) || test $$? -eq 5

# Minutes; the group that test-all runs is the same with 25 kills.
kill-storm: $(INSTALLED)
	BNLAB_KILLS=500 $(PYTEST) -s -m kill_storm

lint: $(INSTALLED)
	$(VENV)/bin/python -m ruff check .

bench: $(INSTALLED)
	$(VENV)/bin/python benchmarks/throughput.py
