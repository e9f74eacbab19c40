# make study   the first study, from nothing to figures
# make test    everything the tests need, then the tests
.PHONY: study test slow lint clean
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN := .venv/bin/python

study: .venv/.study
	$(RUN) studies/run_amos.py

test: .venv/.test
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(RUN) -m pytest

slow: .venv/.test
	$(RUN) -m pytest -m slow

.venv/.study: requirements.txt
	test -x $(RUN) || $(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/.test: requirements.txt requirements-train.txt requirements-test.txt
	test -x $(RUN) || $(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --requirement requirements-test.txt
	touch $@ .venv/.study

clean:
	rm -rf .venv .cache .pytest_cache .ruff_cache .mypy_cache
