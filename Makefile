# make study   the first study, from nothing to figures
# make test    everything the tests need, then the tests
.PHONY: study test slow clean
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN := .venv/bin/python
# Brian2 2.9 is the last release for Python 3.11, on which everything here is tested.
CHECK = $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and \
	"Python 3.11 is needed, $(PYTHON) is " + sys.version.split()[0] + "; say: make PYTHON=...")'

study: .venv/.study
	$(RUN) studies/run_amos.py

test: .venv/.test
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal

slow: .venv/.test
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist worksteal -m slow

.venv/.study: requirements.txt constraints.txt
	test -x $(RUN) || { $(CHECK) && $(PYTHON) -m venv .venv; }
	$(RUN) -m pip install --quiet --constraint constraints.txt --requirement requirements.txt
	touch $@

.venv/.test: requirements.txt requirements-train.txt requirements-test.txt constraints.txt
	test -x $(RUN) || { $(CHECK) && $(PYTHON) -m venv .venv; }
	$(RUN) -m pip install --quiet --constraint constraints.txt --requirement requirements-test.txt
	touch $@ .venv/.study

clean:
	rm -rf .venv .cache .pytest_cache .ruff_cache .mypy_cache
