# SPDX-License-Identifier: GPL-3.0-or-later
# On a fresh machine with Python 3.11: `make demo` and `make test`. Both set up .venv on their first run.

PYTHON ?= $(shell tools/find_python.sh 3.11)
RUN := .venv/bin/python
STAMP := .venv/.constraints
EXTENSION_TOOL = $(wildcard .venv/lib/python3.11/site-packages/bpy/4.5/scripts/addons_core/bl_pkg/cli/blender_ext.py)
VALID_TAGS = .venv/lib/python3.11/site-packages/bpy/4.5/scripts/modules/_bpy_internal/extensions/tags.py
MATRIX_TESTS := -m 'not slow and not real_blender' --ignore=tests/backend --ignore=tests/test_repository.py

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-matrix test-5.0 test-5.2 real-blender lint bench train train-portrait finetune
.PHONY: ablations zip setup clean portrait-sheets

help: ## list the targets
	@grep -hE '^[a-z0-9.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## make .venv with the pinned packages

$(STAMP): constraints.txt tools/set_up.py
	@$(if $(PYTHON),$(PYTHON) tools/set_up.py,exit 1)
	@touch $@

demo: $(STAMP) ## speech to a talking head: build/demo with a .blend, a video, a contact sheet and a report
	@$(RUN) -m tools.demo

portrait-sheets: $(STAMP) ## contact sheets of portraits: make portrait-sheets PICTURES=folder AUDIO=files LANDMARKS=folder
	@$(RUN) -m tools.portrait_sheet $(PICTURES) $(if $(AUDIO),--audio $(AUDIO)) $(if $(LANDMARKS),--landmarks $(LANDMARKS))

test: $(STAMP) ## the test suite
	$(RUN) -m pytest

test-slow: $(STAMP) ## the tests that take minutes
	$(RUN) -m pytest -m slow

test-matrix: test-5.0 test-5.2 ## the Blender tests on Blender 5.0 and 5.2

test-5.0: .venv-5.0/.ready
	.venv-5.0/bin/python -m pytest $(MATRIX_TESTS)

test-5.2: .venv-5.2/.ready
	.venv-5.2/bin/python -m pytest $(MATRIX_TESTS)

.venv-5.0/.ready: tools/set_up.py | $(STAMP)
	$(PYTHON) tools/set_up.py --venv .venv-5.0 --blender 5.0.1
	@touch $@

.venv-5.2/.ready: tools/set_up.py | $(STAMP)
	@python=$$(tools/find_python.sh 3.13) && "$$python" tools/set_up.py --venv .venv-5.2 --blender 5.2.3
	@touch $@

real-blender: zip ## the installed extension in a whole Blender; REAL_BLENDER names a runner, see tools/check_real_blender.py
	$(RUN) -m pytest -m real_blender

lint: $(STAMP) ## ruff and pyright
	$(RUN) -m ruff check
	$(RUN) -m pyright

bench: $(STAMP) ## measure speed; tables, and JSON under build/bench
	$(RUN) -m benchmarks

train: $(STAMP) ## train the networks from the data sets named in docs/training.md
	@test -d build/training/voices || $(RUN) -m blender_demo.backend.training.synthesize build/training/voices --clips 2400
	$(RUN) -m blender_demo.backend.training $(DATA)

train-portrait: $(STAMP) ## train the portrait's refiner from synthetic people: needs no data, see docs/training.md
	$(RUN) -m blender_demo.backend.training.refiner

ablations: $(STAMP) ## what each choice of the recipe is worth: build/ablations.md
	$(RUN) -m blender_demo.backend.training.ablations $(DATA) --out build/ablations.md

finetune: $(STAMP) ## go on training on a performer's recordings: make finetune TAKES=folder OUT=folder
	$(RUN) -m blender_demo.backend.training.finetune $(TAKES) --out $(OUT)

zip: $(STAMP) ## the extension as dist/*.zip, validated and built by Blender's own tool
	@mkdir -p dist
	$(RUN) $(EXTENSION_TOOL) validate --valid-tags $(VALID_TAGS) blender_demo
	$(RUN) $(EXTENSION_TOOL) build --valid-tags $(VALID_TAGS) --source-dir blender_demo --output-dir dist

clean: ## remove what was built, but not .venv
	rm -rf build dist
