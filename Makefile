# make study   the first study, from nothing to figures
# make test    everything the tests need, then the tests
# make check   style, types, and the quick tests of what changed
# make slow    the long tests
.PHONY: study test check slow clean
# 3.11 first: it is the one with PyTorch, on which everything is tested. The first that runs counts.
PYTHON ?= $(or $(shell for p in python3.11 python3.12 python3.13; do \
	$$p -c '' 2>/dev/null && { echo $$p; break; }; done),python3)
RUN := .venv/bin/python
# `import ann2brian` in this environment, from any folder, is this checkout.
INSTALL = $(RUN) -m pip install --quiet --no-deps --no-build-isolation --editable .
# Pythons for which requirements.txt names a release of Brian2.
CHECK = $(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and \
	"Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is " + sys.version.split()[0] + \
	"; say: make PYTHON=...")'

# An environment of another Python is not used silently.
ifeq ($(origin PYTHON)$(filter clean,$(MAKECMDGOALS)),command line)
ifneq ($(wildcard $(RUN)),)
ifneq ($(shell $(PYTHON) -V),$(shell $(RUN) -V))
$(error .venv holds $(shell $(RUN) -V), $(PYTHON) is $(shell $(PYTHON) -V); say first: make clean)
endif
endif
endif

study: .venv/.study
	$(RUN) studies/run_amos.py

test: .venv/.test
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal

check: .venv/.test
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal -m "not slow and not compiled" \
		$$($(RUN) tests/of_changes.py)

slow: .venv/.test
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal -m slow

.venv/.study: requirements.txt constraints.txt
	test -x $(RUN) || { $(CHECK) && $(PYTHON) -m venv .venv; }
	$(RUN) -m pip install --quiet --constraint constraints.txt --requirement requirements.txt
	$(INSTALL)
	touch $@

.venv/.test: requirements.txt requirements-train.txt requirements-exports.txt \
		requirements-cluster.txt requirements-test.txt constraints.txt
	test -x $(RUN) || { $(CHECK) && $(PYTHON) -m venv .venv; }
	$(RUN) -m pip install --quiet --constraint constraints.txt --requirement requirements-test.txt
	$(INSTALL)
	touch $@ .venv/.study

clean:
	rm -rf .venv .cache .pytest_cache .ruff_cache .mypy_cache
