# Every step of CI is a target here; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
IMAGE ?= sample
OUT ?= results
SEED ?= 7

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Big activations without page faults; measured 1.5 to 2.4 times faster (ARCHITECTURE.md).
export MALLOC_MMAP_MAX_ := 0
export MALLOC_TRIM_THRESHOLD_ := 8589934592
export MALLOC_TOP_PAD_ := 268435456
export MALLOC_ARENA_MAX := 1

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}'

.PHONY: install
install: $(INSTALLED) ## Install thale and its tools into .venv

# torch goes first and exactly: only so does pip find the CPU wheel and leave gigabytes of CUDA alone.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "thale needs Python 3.11: say which with make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[models,dev]'
	@touch $@

.PHONY: run
run: install ## Start the platform, phenotype a plate (IMAGE=path), keep serving until Ctrl-C
	@exec $(BIN)/thale up --analyze '$(IMAGE)' --out '$(OUT)'

.PHONY: test
test: install lint types layers wheel checkov azurite prometheus ## Everything that CI checks
	$(BIN)/pytest

.PHONY: test-fast
test-fast: install ## Run the unit tests alone: no server, no container
	$(BIN)/pytest -m 'not integration and not slow'

.PHONY: lint
lint: install ## Check code style with ruff and prose with the word list
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m tools.prose_lint

.PHONY: types
types: install ## Check the types with mypy --strict
	$(BIN)/mypy

.PHONY: layers
layers: install ## Check who may import whom
	$(BIN)/lint-imports

.PHONY: wheel
wheel: install ## Build the wheel, install it alone, and import the facade without torch
	$(BIN)/python -m build --wheel --outdir dist
	.ci/wheel-imports dist/thale-*.whl

# checkov wants versions of its own, so it lives apart.
TOOLS := .tools
$(TOOLS)/checkov/bin/checkov:
	$(PYTHON) -m venv $(TOOLS)/checkov
	$(TOOLS)/checkov/bin/pip install --quiet --disable-pip-version-check checkov==3.3.30

.PHONY: checkov
# It reads bases before kustomize: the overlays add digests (CKV_K8S_14), and `facts` never reaches a cluster (CKV_K8S_21).
checkov: $(TOOLS)/checkov/bin/checkov ## Look for insecure settings in Terraform, Kubernetes, Dockerfiles and workflows
	$< --directory . --framework terraform kubernetes dockerfile github_actions --skip-path '$(VENV)' --skip-path '$(TOOLS)' \
	  --skip-download --compact --quiet

# Azure's own blob service for development, which the model store is tested against. Without npm those tests are skipped.
AZURITE := $(TOOLS)/azurite/node_modules/.bin/azurite-blob
.PHONY: azurite
azurite: ## Install Azurite for the model store's tests
	@test -x $(AZURITE) || ! command -v npm >/dev/null && exit 0; \
	  npm install --prefix $(TOOLS)/azurite --no-audit --no-fund --loglevel error azurite@3.35.0
	@test -x $(AZURITE) || echo 'npm is not there: the tests of the model store in Azure Blob will be skipped'

# The rules' own tools. Debian would start what it installs as services, so it is asked for, not installed.
.PHONY: prometheus
prometheus: ## Say what the rules' tests miss: promtool, amtool, Prometheus, Alertmanager
	@command -v prometheus >/dev/null && command -v promtool >/dev/null && command -v amtool >/dev/null || \
	  echo "Prometheus is not there: the rules' tests will be skipped (apt-get install --no-install-recommends prometheus \
	  prometheus-alertmanager)"

.PHONY: terraform-reference
terraform-reference: install ## Write terraform/REFERENCE.md from the variables and outputs
	$(BIN)/python terraform/reference.py

.PHONY: metrics-reference
metrics-reference: install ## Write docs/metrics.md from the tables of metrics
	$(BIN)/python -m thale.telemetry.metrics_reference > docs/metrics.md

.PHONY: first-release
first-release: install ## Write the release that a new cluster begins with, from the weights in this repository
	$(BIN)/python tools/generate/first_release.py

.PHONY: dashboards
dashboards: install ## Write the Grafana dashboards anew, from observability/dashboards
	$(BIN)/python -m observability.dashboards

.PHONY: rules
rules: install ## Write the promises' rules from services/thale/slo.toml, and the rules' manifest for clusters
	$(BIN)/python -m tools.generate.slo_rules
	$(BIN)/python -m tools.generate.prometheus_rule

.PHONY: observe
observe: install ## Watch the thale that runs here, with Prometheus, Alertmanager and its rules, until Ctrl-C
	@exec $(BIN)/python -m observability.observe

.PHONY: dashboard-pictures
dashboard-pictures: install ## Draw docs/dashboards from the real stack, after MINUTES of load; needs Debian's prometheus
	$(BIN)/python tools/render_dashboards/draw_docs.py --minutes $(or $(MINUTES),15)

.PHONY: load
load: install ## Put load on the thale that runs here, or on one of its own, and judge slo.toml (USERS=8 MINUTES=5)
	$(BIN)/python -m loadtests.run --users $(or $(USERS),8) --minutes $(or $(MINUTES),5)

.PHONY: load-smoke
load-smoke: install ## A minute of one researcher and one hostile client, judged by slo.toml
	$(BIN)/python -m loadtests.run --users 2 --minutes 1 --scenario interactive --scenario hostile

.PHONY: knee
knee: install ## Measure what this machine holds, in seven quiet minutes: services/thale/capacity/benchmark.json, docs/capacity.md
	$(BIN)/python -m loadtests.knee

.PHONY: fleets
fleets: install ## Write what each environment may run, for thale capacity
	$(BIN)/python tools/generate/environment_limits.py

.PHONY: format
format: install ## Write the code in the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

SEGMENTATION ?= model-server/weights/plate-seg/1.0.0
LANDMARKS ?= model-server/weights/plate-landmarks/1.0.0
NOTE ?=

.PHONY: evaluate
evaluate: install ## Measure the default models on 40 unseen plates; DATA=folder measures them on yours
	$(BIN)/thale-models synthesize --out data/unseen --plates 40 --seed 930000 --split test
	$(BIN)/thale-models evaluate --model $(SEGMENTATION) --model $(LANDMARKS) \
	  --data data/unseen --out $(OUT)/evaluation/unseen --title '40 unseen synthetic plates' $(NOTE)
	$(if $(DATA),$(BIN)/thale-models evaluate --model $(SEGMENTATION) --model $(LANDMARKS) \
	  --data '$(DATA)' --out $(OUT)/evaluation/data --title '$(DATA)')

DRAWN := --plates 2400 --crop-px 960 --seed $(SEED)
WORDS := --seed $(SEED) --licence 'Apache-2.0 (trained on synthetic plates alone)' \
  --data-description '2400 synthetic plate crops: thale-models synthesize $(DRAWN); no photograph of a real plate' \
  --limits 'Trained on drawn Arabidopsis seedlings on square plates at 14 to 23 px/mm. Roots that run together are told \
apart poorly; other species, rosettes and soil were never seen.'

# Legs: each goes on from the one before, with the learning rate up again; landmarks at last at a finer scale.
.PHONY: weights
weights: install ## Train the default models again from nothing but a seed (about five hours on two cores)
	$(BIN)/thale-models synthesize --out data/plates $(DRAWN) --jobs 2
	$(BIN)/thale-models train --recipe plate-seg --data data/plates --out runs/plate-seg --steps 2400 $(WORDS)
	$(BIN)/thale-models train --recipe plate-seg --data data/plates --out runs/plate-seg --steps 3200 $(WORDS)
	$(BIN)/thale-models train --recipe plate-seg --data data/plates --out runs/plate-seg --steps 7000 $(WORDS)
	$(BIN)/thale-models train --recipe plate-landmarks-coarse --data data/plates --out runs/plate-landmarks-coarse --steps 2600 $(WORDS)
	$(BIN)/thale-models train --recipe plate-landmarks-coarse --data data/plates --out runs/plate-landmarks-coarse --steps 3400 $(WORDS)
	$(BIN)/thale-models train --recipe plate-landmarks-coarse --data data/plates --out runs/plate-landmarks-coarse --steps 7000 $(WORDS)
	$(BIN)/thale-models train --recipe plate-landmarks-coarse --data data/plates --out runs/plate-landmarks-coarse --steps 11000 $(WORDS)
	$(BIN)/thale-models train --recipe plate-landmarks --data data/plates --out runs/plate-landmarks --steps 3600 \
	  --init runs/plate-landmarks-coarse/weights.safetensors $(WORDS)
	$(MAKE) evaluate SEGMENTATION=runs/plate-seg LANDMARKS=runs/plate-landmarks NOTE=--write-to-cards
	$(BIN)/thale-models archive runs/plate-seg --out runs
	$(BIN)/thale-models archive runs/plate-landmarks --out runs

# With podman or docker. What a place needs (a certificate authority, a network) comes in BUILD_FLAGS and RUN_FLAGS.
ENGINE ?= $(if $(shell command -v podman),podman,docker)
TAG ?= dev
BUILD_FLAGS ?=
RUN_FLAGS ?=
NAMED = --build-arg VERSION='$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' services/thale/_version.py)' \
  --build-arg REVISION='$(shell git rev-parse HEAD)'

# podman keeps health checks in docker's format alone; docker does not read the variable.
.PHONY: images
images: ## Build both images (TAG=dev DEVICE=cpu|cu130 ENGINE=podman|docker BUILD_FLAGS=…)
	BUILDAH_FORMAT=docker $(ENGINE) build $(BUILD_FLAGS) $(NAMED) --tag thale-services:$(TAG) --file services/Dockerfile .
	BUILDAH_FORMAT=docker $(ENGINE) build $(if $(DEVICE),--build-arg DEVICE=$(DEVICE)) $(BUILD_FLAGS) $(NAMED) \
	  --tag thale-model-server:$(TAG) --file model-server/Dockerfile .

.PHONY: images-check
images-check: install ## Run both images hardened, have a drawn plate measured, print their sizes (TAG=dev RUN_FLAGS=…)
	$(BIN)/python -m tools.container_check --engine $(ENGINE) --tag $(TAG) --run-flags='$(RUN_FLAGS)'

# Where these go: ENV=laptop|dev|staging|prod. docs/deploy.md says what each step does, and how to go on after one failed.
DEPLOY = $(BIN)/python -m deploy
TO = --env $(or $(ENV),$(error say where: make $@ ENV=laptop|dev|staging|prod))

.PHONY: deploy
deploy: install ## From this checkout to a serving cluster (ENV=laptop|dev|staging|prod); FRESH=1 looks at every step anew
	$(DEPLOY) up $(TO) $(if $(FRESH),--fresh)

.PHONY: plan
plan: install ## Show what `make deploy` would do (ENV=…)
	$(DEPLOY) plan $(TO)

.PHONY: diff
diff: install ## Show what `make deploy` would change in the cluster (ENV=…)
	$(DEPLOY) diff $(TO)

.PHONY: status
status: install ## Show what is deployed and whether it is ready (ENV=…)
	$(DEPLOY) status $(TO)

.PHONY: rollback
rollback: install ## Put back the deploy before, images and manifests; models by `thale release rollback` (ENV=…)
	$(DEPLOY) rollback $(TO)

.PHONY: destroy
destroy: install ## Take an environment down, after its name was typed (ENV=…)
	$(DEPLOY) destroy $(TO) $(if $(CONFIRM),--confirm '$(CONFIRM)')

.PHONY: clean
clean: ## Remove what the other targets made, but no results, data or runs
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
