# `make demo` and `make test` do all their set-up themselves, in .venv.
SHELL := /bin/bash
VENV := $(or $(MMWSL_VENV),.venv)
PYTHON_VENV := $(VENV)/bin/python
DEMO_CONFIG ?= configs/cam/cam_r18_toy.py
DEMO_DIR ?= work_dirs/demo

.PHONY: demo test lint docs setup clean

demo: setup
	$(PYTHON_VENV) tools/train.py $(DEMO_CONFIG) --work-dir $(DEMO_DIR)
	$(PYTHON_VENV) tools/test.py $(DEMO_CONFIG) \
	    "$$(cat $(DEMO_DIR)/last_checkpoint)" \
	    --work-dir $(DEMO_DIR) --show-dir $(DEMO_DIR)/pictures
	@echo
	@echo 'Metrics of $(DEMO_CONFIG):'
	@$(PYTHON_VENV) scripts/print_metrics.py $(DEMO_DIR)
	@echo 'Pictures: $(abspath $(DEMO_DIR)/pictures)'

test: setup
	# One process a core; more threads in each would only wait for another.
	OMP_NUM_THREADS=1 $(PYTHON_VENV) -m pytest -q -n auto --dist worksteal

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell

docs: setup
	$(PYTHON_VENV) -m sphinx -q -W --keep-going -c docs . docs/_build
	@echo 'The site: $(abspath docs/_build/index.html)'

setup:
	@scripts/setup_env.sh

# Keeps .venv and the built mmcv wheel.
clean:
	rm -rf build dist docs/_build *.egg-info .mypy_cache .pytest_cache .ruff_cache \
	    $(DEMO_DIR)
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
