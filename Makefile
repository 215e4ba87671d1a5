# Everything a developer runs. `make` alone prints this list.
SHELL := /bin/sh
.DELETE_ON_ERROR:

PYTHON ?= python3
SANDBOX_PORT ?= 4599
REGISTRY_PORT ?= 5599
SERVICE_PORT ?= 9000
DEV_PORT ?= 8000
VENV := .venv
# `.venv/bin/python -m tool`, never `.venv/bin/tool`: it works wherever the checkout's path leads.
RUN := $(VENV)/bin/python -m
READY := $(VENV)/.ready
# Tools whose pins fit neither ours nor one another's: each has a lock file and a virtual environment of its own.
TOOLS := .tools
SAM := $(TOOLS)/sam/.ready
CHECKOV := $(TOOLS)/checkov/.ready
LINT := $(TOOLS)/lint/.ready

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# Set up once, and again only when the lock file or pyproject.toml changes (which names the commands).
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "setup: needs Python 3.11 or newer, found: $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "setup: installing the locked dependencies into $(VENV) (once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(RUN) pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(RUN) pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@# pip's script for the AWS CLI does not start from a path with a space in it.
	@printf '#!/bin/sh\nexec "$$(dirname "$$0")/python" -m awscli "$$@"\n' >$(VENV)/bin/aws
	@touch $@

$(TOOLS)/%/.ready: tools/%.lock | $(READY)
	@echo "setup: installing the locked tools of $< into $(@D) (once)"
	@$(RUN) venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

.PHONY: setup
setup: $(READY) ## create the virtual environment (the others do it by themselves)

# RUNTIME=docker: images run as containers; an engine is started, and a base image made, where there is none.
RUNTIME ?= process
IN_CONTAINERS := $(if $(filter docker,$(RUNTIME)),tests.container)

.PHONY: demo
demo: $(READY) ## play the whole job in a sandbox: six releases under traffic (RUNTIME=docker: in containers)
	@$(RUN) $(IN_CONTAINERS) sandbox.demo --runtime $(RUNTIME)

.PHONY: sandbox
sandbox: $(READY) ## an AWS account on this laptop, with the stack in it, until Ctrl-C (RUNTIME=docker: takes docker push)
	@$(RUN) $(IN_CONTAINERS) sandbox up --port $(SANDBOX_PORT) --runtime $(RUNTIME) --registry-port $(REGISTRY_PORT)

.PHONY: service
service: $(READY) ## the service's container behind Lambda's emulator on port 9000, until Ctrl-C (needs a Docker engine)
	@$(RUN) tests.container.service --port $(SERVICE_PORT)

.PHONY: service-dev
service-dev: $(READY) ## the service without a container on port 8000 (`chalice local`), started again when a file changes
	@# Not `python -m`: it starts itself again by the name it was called.
	@cd service && exec ../$(VENV)/bin/chalice local --stage dev --port $(DEV_PORT)

.PHONY: engine
engine: $(READY) ## start the Docker engine that is installed, until Ctrl-C (as root, where nothing else starts it)
	@$(RUN) tests.container.engine

.PHONY: test
test: $(READY) ## all tests
	@# Each worker takes its tests in one piece, so that what a module sets up is set up once.
	@$(RUN) pytest -n auto --dist worksteal

.PHONY: simulate
simulate: $(READY) ## the whole deployer through SCHEDULES=10000 of crashes, races and faults; SEED=1 for the same again
	@$(RUN) tests.simulation $(if $(SCHEDULES),--schedules $(SCHEDULES)) $(if $(SEED),--seed $(SEED))

.PHONY: planted
planted: $(READY) ## plant bugs, one at a time, and see the simulation catch each
	@$(RUN) tests.simulation.planted

.PHONY: coverage
coverage: $(READY) ## line and branch coverage of the core, which must be 100 %
	@$(RUN) coverage run -m pytest -q tests/unit tests/stories
	@$(RUN) coverage report

.PHONY: lint
lint: $(READY) ## format, lint, types, and what `make validate` does
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@$(MAKE) --no-print-directory validate

# SAM and checkov look for news of themselves at every chance, and SAM for credentials; here they ask nobody.
OFFLINE := AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true SAM_CLI_TELEMETRY=0 \
  __SAM_CLI_APP_DIR=.build/sam CKV_SKIP_PACKAGE_UPDATE_CHECK=true
BUILT := .build/package/.checked

.PHONY: validate
validate: $(READY) $(CHECKOV) $(LINT) $(BUILT) ## the template, the package that SAM builds from it, and all YAML
	@$(VENV)/bin/cfn-lint template.yaml
	@$(OFFLINE) $(TOOLS)/checkov/bin/python -m checkov.main --file template.yaml --framework cloudformation \
	  --skip-download --compact --quiet
	@$(TOOLS)/lint/bin/python -m yamllint --strict .
	@$(TOOLS)/lint/bin/python -m check_jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(TOOLS)/lint/bin/python -m check_jsonschema --quiet --builtin-schema custom.github-workflows-require-timeout \
	  .github/workflows/*.yml
	@$(TOOLS)/lint/bin/zizmor --offline --quiet --strict-collection --pedantic .github/workflows

# Built and imported again only when a file in it has changed. (A folder changes with its __pycache__, too.)
$(BUILT): $(SAM) Makefile template.yaml samconfig.toml tools/check_package.py tools/check_guide.py requirements.lock \
  $(shell find deployer -name __pycache__ -prune -o -type f -print)
	@mkdir -p .build/sam
	@echo '{"lastVersionCheck": 4102444800}' >.build/sam/metadata.json
	@$(OFFLINE) $(TOOLS)/sam/bin/python -m samcli validate --lint
	@PATH="$(CURDIR)/$(TOOLS)/sam/bin:$$PATH" $(OFFLINE) $(TOOLS)/sam/bin/python -m samcli build \
	  --build-dir .build/package >.build/package.log 2>&1 || { cat .build/package.log; exit 1; }
	@$(RUN) tools.check_package .build/package $(RUNTIME_BRINGS)
	@$(OFFLINE) $(TOOLS)/sam/bin/python tools/check_guide.py .build/package/template.yaml
	@touch $@

.PHONY: docs
docs: $(READY) ## draw again what documents show of the code
	@$(RUN) docs.draw_phases
	@$(RUN) docs.draw_iam
	@$(RUN) docs.draw_costs
	@$(RUN) docs.draw_events

.PHONY: pictures
pictures: $(READY) ## draw again the pictures in README.md (needs a Chromium)
	@$(RUN) docs.draw_pictures

SECONDS ?= 60
.PHONY: kills
kills: $(READY) ## kill the real deployer at each of its calls to AWS, and see the work completed (six minutes)
	@$(RUN) tests.kills

.PHONY: burst
burst: $(READY) ## push 200 releases (or PUSHES=40) in a few seconds, and see where each of them ended
	@$(RUN) tests.kills.burst $(PUSHES)

.PHONY: reads
reads: $(READY) ## what `deployer status` and its like ask AWS for, with 100 deployments and with 10,000
	@$(RUN) tests.whole.reading_costs

.PHONY: fuzz
fuzz: $(READY) ## throw what atheris makes at every entry for SECONDS in all; DRAW=1 writes the figures down
	@$(RUN) tests.fuzz --seconds $(SECONDS) $(if $(DRAW),--draw)

.PHONY: bench
bench: $(READY) ## how long the page takes to draw, and how large it is
	@$(RUN) tests.bench

.PHONY: mutate
mutate: $(READY) ## break every decision in rollout.py and see a test notice (a minute)
	@rm -rf mutants && mkdir -p .build && $(RUN) mutmut run >.build/mutmut.log 2>&1 || { tail -n 40 .build/mutmut.log; exit 1; }
	@$(RUN) mutmut export-cicd-stats >/dev/null && $(RUN) json.tool mutants/mutmut-cicd-stats.json
	@! $(RUN) mutmut results | grep . # a survivor is named, and fails

PIN := --generate-hashes --no-header --no-annotate --output-file
# In the deployer's package, as little as possible: Lambda's Python brings boto3 and what that needs.
RUNTIME_BRINGS := boto3 botocore s3transfer urllib3 jmespath python-dateutil six

.PHONY: lock
lock: ## pin the dependencies again, with hashes (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 $(PIN) requirements.lock
	echo 'aws-lambda-powertools[tracer]' | uv pip compile - --constraint requirements.lock --python-version 3.12 \
	  --python-platform x86_64-manylinux2014 $(addprefix --no-emit-package ,$(RUNTIME_BRINGS)) $(PIN) deployer/requirements.txt
	cd service && uv pip compile requirements.in --no-deps --constraints ../requirements.lock --universal \
	  --python-version 3.12 $(PIN) requirements.txt
	for tool in sam checkov lint; do \
	  uv pip compile tools/$$tool.in --universal --python-version 3.11 $(PIN) tools/$$tool.lock; done

# What `sam build` runs, in a copy of this folder, for the functions whose code is the deployer's package.
.PHONY: build-Deployer build-DashboardFunction build-PlaceholderFunction
build-Deployer build-DashboardFunction build-PlaceholderFunction:
	mkdir -p "$(ARTIFACTS_DIR)"
	cp -R deployer "$(ARTIFACTS_DIR)/"
	@# The command is for people; a change to it is no change of the functions.
	cd "$(ARTIFACTS_DIR)/deployer" && rm -rf cli.py __main__.py commands
	find "$(ARTIFACTS_DIR)" -name __pycache__ -prune -exec rm -rf {} +
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile \
	  --only-binary :all: --platform manylinux2014_x86_64 --python-version 3.12 --target "$(ARTIFACTS_DIR)" -r deployer/requirements.txt

.PHONY: clean
clean: ## remove what was built, and the virtual environment
	rm -rf $(VENV) $(TOOLS) .build .aws-sam .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache mutants
