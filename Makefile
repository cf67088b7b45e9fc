# The project's commands. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

CARGO_DENY := .local/bin/cargo-deny
CARGO_DENY_VERSION := 0.20.2

.PHONY: help
help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)$$/\1\t\2/' | expand -t 14

.PHONY: run
run: stand-ins ## Show both jobs end to end on this machine: a sign-in and a bulk sync
	@cargo build --quiet --workspace --bins
	@cargo run --quiet -p stand-ins --bin demo

.PHONY: quick
quick: ## Run the tests that need no install and little time (after every edit)
	if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --profile quick --lib --test fast; \
	else \
	  cargo test --lib --test fast; \
	fi

.PHONY: test
test: stand-ins providers sdks linters browser ## Run all tests, also the end-to-end ones
	cargo build --workspace --all-targets
	if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --workspace && cargo test --workspace --doc; \
	else \
	  cargo test --workspace; \
	fi
	scripts/test-readme.sh
	scripts/test_deploy.py
	scripts/rehearsal.py

.PHONY: check
check: $(CARGO_DENY) ## Check format, lints, licences, duplicate dependencies and sources
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(CARGO_DENY) --offline check licenses bans sources

.PHONY: lint
lint: linters ## Lint the template, the state machine and the workflows
	scripts/lint-template.sh

ENV ?= default

.PHONY: deploy
deploy: ## Deploy it to AWS: asks on the first run, checks, builds, deploys (ENV=prod: another section of samconfig.toml)
	@scripts/deploy.py --env $(ENV) $(DEPLOY_FLAGS) deploy

.PHONY: outputs
outputs: ## Print the deployed stack's next steps and addresses again
	@scripts/deploy.py --env $(ENV) outputs

.PHONY: rollback
rollback: ## Go back to the deployment before, without a build (under a minute)
	@scripts/deploy.py --env $(ENV) $(DEPLOY_FLAGS) rollback

.PHONY: enable-schedule
enable-schedule: ## Turn the stack's nightly bulk sync on, after you have seen a plan
	@scripts/deploy.py --env $(ENV) enable-schedule

.PHONY: disable-schedule
disable-schedule: ## Turn the stack's nightly bulk sync off
	@scripts/deploy.py --env $(ENV) disable-schedule

.PHONY: arm64
arm64: ## Build the functions for arm64 with installed tools, and run each under qemu for one event
	@scripts/arm64.sh

.PHONY: bench
bench: stand-ins ## Measure it beside Node and Python on Permit's SDKs (BENCH_FULL=1: a million people too)
	@benches/run.sh

.PHONY: build
build: ## Build everything for this machine
	cargo build --workspace --all-targets

.PHONY: sdks
sdks: # Install Permit's own SDKs, for the test that runs them against the sandbox
	@scripts/install-sdks.sh

.PHONY: stand-ins
stand-ins: ## Install the stand-ins for AWS into .local/ (once; needs Python and Node)
	@scripts/install-stand-ins.sh

.PHONY: providers
providers: ## Install the stand-ins for identity providers into .local/ (once; needs Node)
	@scripts/install-providers.sh

.PHONY: linters
linters: ## Install the linters and the local engine of the state machine into .local/ (once)
	@scripts/lint-template.sh install

.PHONY: browser
browser: ## Install the browser that the tests open pages with, if it is missing (Debian)
	@scripts/install-browser.sh

.PHONY: pictures
pictures: stand-ins browser ## Make README's pictures again, from real runs
	@cargo build --quiet --workspace --bins
	@cargo run --quiet -p stand-ins --bin pictures

.PHONY: clean
clean: ## Remove all that was built or installed here
	cargo clean
	rm -rf .local

$(CARGO_DENY):
	CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-deny --debug --version $(CARGO_DENY_VERSION) --locked --root .local --target-dir .local/build
	rm -rf .local/build
