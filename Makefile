# Every target sets up .venv by itself, where it is missing or older than the files that decide it.

PYTHON_CANDIDATES := python3.13 python3.12 python3.11 python3 python
IS_SUPPORTED := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
BIN := .venv/bin
STAMP := .venv/.set-up
DOCS_STAMP := .venv/.set-up-docs
DIST_STAMP := .venv/.set-up-dist
ACCEPTANCE_BIN := .venv-acceptance/bin
ACCEPTANCE_STAMP := .venv-acceptance/.set-up
FINDERS_BIN := .venv-finders/bin
FINDERS_STAMP := .venv-finders/.set-up
BENCH_BIN := .venv-bench/bin
BENCH_STAMP := .venv-bench/.set-up
REPRODUCE_DIR := build/reproduce

.PHONY: setup demo check test acceptance soak reproduce finders bench docs dist clean

setup: $(STAMP)

# A virtual environment whose interpreter has gone is as good as none.
ifeq ($(shell $(BIN)/python -c pass 2>/dev/null && echo works),)
.PHONY: $(STAMP)
endif

$(STAMP): pyproject.toml constraints.txt
	@for python in $(PYTHON_CANDIDATES); do \
	    if $$python -c '$(IS_SUPPORTED)' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "clrbench needs Python 3.11, 3.12 or 3.13 with venv; none was found on PATH." >&2; exit 1; fi; \
	echo "Setting up .venv with $$($$found --version)"; \
	$$found -m venv --clear .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/clrbench compare

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# One small case a kind. In the order of the folders, the slow files come first. Many processes start, which need not compile
# what others did.
test: check
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -m "not acceptance" -n 3 --dist loadfile --no-loadscope-reorder

# An environment of its own, beside which other people's frameworks lie.
$(ACCEPTANCE_STAMP): $(STAMP) constraints-integrations.txt
	$(BIN)/python -m venv --clear .venv-acceptance
	PIP_CONSTRAINT="constraints.txt constraints-integrations.txt" $(ACCEPTANCE_BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,docs,integrations]'
	@touch $@

# What takes longer: experiments killed again and again, a browser, the site, other people's frameworks, the notebook, a Ray cluster, and the backends as
# other processors would have them.
acceptance: $(ACCEPTANCE_STAMP)
	PYTHONDONTWRITEBYTECODE= $(ACCEPTANCE_BIN)/pytest -m acceptance -n 2 --dist loadfile
	$(ACCEPTANCE_BIN)/python tests/soak.py --kills 15
	$(ACCEPTANCE_BIN)/python tests/processors.py

# Takes three quarters of an hour or more.
soak: $(STAMP)
	$(BIN)/python tests/soak.py --kills 200
	$(BIN)/python tests/soak.py --kills 40 --executor ray
	CLRBENCH_SOAK_EXAMPLES=5000 $(BIN)/pytest -n 2 tests/spec/test_round_trip.py

reproduce: $(STAMP)
	$(BIN)/python experiments/reproduce.py --out $(REPRODUCE_DIR)

# The peers have an environment of their own. fastai goes in without what it depends on (see the extra `finders`).
$(FINDERS_STAMP): $(STAMP) constraints-integrations.txt constraints-finders.txt
	$(BIN)/python -m venv --clear .venv-finders
	PIP_CONSTRAINT="constraints.txt constraints-integrations.txt constraints-finders.txt" $(FINDERS_BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[finders]'
	PIP_CONSTRAINT=constraints-finders.txt $(FINDERS_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps fastai
	@touch $@

# The bake-off of rate finders, half an hour on two cores; trainings are kept in build/rates.
finders: $(FINDERS_STAMP)
	PYTHONPATH=benchmarks:experiments $(FINDERS_BIN)/python -m finders --processes 2

$(BENCH_STAMP): $(STAMP) constraints-integrations.txt constraints-finders.txt constraints-bench.txt
	$(BIN)/python -m venv --clear .venv-bench
	PIP_CONSTRAINT="constraints.txt constraints-integrations.txt constraints-finders.txt constraints-bench.txt" $(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	PIP_CONSTRAINT=constraints-finders.txt $(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps fastai
	@touch $@

# How fast clrbench is beside its peers: one more repetition, about a quarter of an hour on two cores that do nothing else.
bench: $(BENCH_STAMP)
	PYTHONPATH=benchmarks $(BENCH_BIN)/python -m speed

# The site in build/site; a warning or a dead link is an error.
docs: $(DOCS_STAMP)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site

$(DOCS_STAMP): $(STAMP)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,docs]'
	@touch $@

# Wheel and source distribution, checked, and tried in an empty environment without a network.
dist: $(DIST_STAMP)
	rm -rf dist
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python tests/distribution.py dist

$(DIST_STAMP): $(STAMP)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,release]'
	@touch $@

clean:
	rm -rf .venv .venv-acceptance .venv-finders .venv-bench build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
