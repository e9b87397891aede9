# `make demo` and `make test` set up everything they need; see scripts/setup.sh for what that is.
.DEFAULT_GOAL := help
.PHONY: help setup check test test-slow test-lowest bench demo screenshots docs dist clean

BIN := .venv/bin
WITH_DISPLAY := scripts/with_display.sh

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

setup: ## virtual environment in .venv, and on a headless Debian or Ubuntu what a window needs
	@scripts/setup.sh

check: setup ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy napari_mmssl

test: check ## check, then all tests but the slow ones
	$(WITH_DISPLAY) $(BIN)/python -m pytest

test-slow: setup ## proofs of learning, long fault tests, and the viewer's tests with PySide6
	$(WITH_DISPLAY) $(BIN)/python -m pytest -m slow --timeout 1800
	@scripts/test_pyside6.sh

test-lowest: setup ## the viewer's tests with the lowest versions that pyproject.toml allows
	@scripts/test_lowest.sh

bench: setup ## every benchmark beside its peers, into benchmarks/results.json and docs/benchmarks.md
	@scripts/bench.sh

demo: setup ## the whole path on the embedded sample cohort, into ./demo
	$(BIN)/mmssl demo --out demo

screenshots: setup ## every widget, light and dark, at 1280x800, into docs/images, from ./demo
	test -f demo/summary.json || $(BIN)/mmssl demo --out demo --no-window
	test -d demo/synthesis/weights || $(BIN)/mmssl synthesize train demo/cohort --method paired --from t1 --to flair \
	  --size tiny --steps 120 --out demo/synthesis
	for theme in dark light; do \
	  $(WITH_DISPLAY) $(BIN)/python -m napari_mmssl.viewer.screenshots --demo demo --every \
	    --theme $$theme --size 1280x800 --out docs/images/$$theme-1280x800 || exit 1; \
	done

docs: setup ## the documentation, into docs/_build; a warning is an error
	$(BIN)/python -m pip --disable-pip-version-check install -q -c constraints.txt -e ".[docs]"
	rm -rf docs/_build docs/reference/modules
	$(BIN)/sphinx-build -E -W --keep-going -q -b html docs docs/_build

dist: setup ## wheel and source archive in dist, tried out in an empty environment
	@scripts/dist.sh

clean: ## remove what the other targets made, but not .venv
	rm -rf demo dist build docs/_build docs/reference/modules *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
