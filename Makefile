# make help tells the targets. Everything that is made lies in .venv-*, bin,
# build and dist; make clean removes it.
#
# PYTHON=… chooses the interpreter; without it, make wheel takes the python3 that
# is first on PATH, and everything else the newest that is found.

SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SECONDARY:
.NOTPARALLEL:

# A Python is written LABEL=PATH, such as 3.13=/usr/bin/python3.13; the label names its files.
PYTHONS := $(shell tests/pythons.sh)
MAIN    := $(if $(PYTHON),$(shell tests/pythons.sh $(PYTHON)),$(firstword $(PYTHONS)))
OTHERS  := $(filter-out $(MAIN),$(PYTHONS))
label    = $(firstword $(subst =, ,$1))
path     = $(firstword $(patsubst $1=%,%,$(filter $1=%,$(MAIN) $(WHEEL) $(PYTHONS))))
VENV    := .venv-$(call label,$(MAIN))

SOURCES := go.mod go.sum $(shell find bridge cmd python server -type f ! -name '*_test.go' ! -name '*.pyc' ! -path '*/testdata/*')
C_FILES := $(shell find bridge tests -name '*.[ch]')
# Go with the libpython that is embedded.
GO       = $(call path,$(call label,$(MAIN))) cmd/goasgi/libpython.py go

.PHONY: help
help: ## Show this.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14
	@echo "Python: $(or $(MAIN),none found; CPython 3.11 or newer is needed)$(if $(OTHERS),; others: $(OTHERS))"

# ------------------------------------------------------------------ products

.PHONY: wheel
wheel: WHEEL = $(shell tests/pythons.sh $(or $(PYTHON),python3))
wheel: ## Build the wheel for python3, or PYTHON=…, into dist/.
	@$(if $(WHEEL),,exit 1)
	$(MAKE) build/wheel-$(call label,$(WHEEL)) WHEEL=$(WHEEL)
	mkdir -p dist && cp build/wheel-$(call label,$(WHEEL))/*.whl dist/ && ls dist/*.whl

.PHONY: build
build: bin/goasgi ## Build the Go program, with libpython inside, as bin/goasgi.

bin/goasgi: $(SOURCES) cmd/goasgi/libpython.py build/python-$(call label,$(MAIN))
	$(GO) build -trimpath -o $@ ./cmd/goasgi

# A Python that can make environments and compile extensions.
build/python-%:
	tests/system-packages.sh $(call path,$*)
	@mkdir -p $(@D) && touch $@

build/venv-%: build/python-%
	$(call path,$*) -m venv --clear .venv-$*
	@touch $@

build/wheel-%: $(SOURCES) python/pyproject.toml build/venv-%
	rm -rf $@ && mkdir -p $@
	.venv-$*/bin/pip wheel -q --no-deps -w $@ ./python

# An environment with goasgi and what the tests or the examples need.
build/installed-%: build/wheel-%
	.venv-$*/bin/pip install -q --force-reinstall --no-deps build/wheel-$*/*.whl
	@touch $@

build/requirements-%: tests/requirements.txt build/venv-%
	.venv-$*/bin/pip install -q -r tests/requirements.txt
	@touch $@

build/smoke-%: tests/python/requirements.txt build/venv-%
	.venv-$*/bin/pip install -q -r tests/python/requirements.txt
	@touch $@

build/demo-%: examples/fastapi/requirements.txt build/venv-%
	.venv-$*/bin/pip install -q -r examples/fastapi/requirements.txt
	@touch $@

# ---------------------------------------------------------------------- demo

.PHONY: demo
demo: build/installed-$(call label,$(MAIN)) build/demo-$(call label,$(MAIN)) ## Set everything up and serve the FastAPI example.
	@cat examples/fastapi/TRY
	@$(VENV)/bin/goasgi main:app --app-dir examples/fastapi $(ARGS)

# --------------------------------------------------------------------- tests

.PHONY: test test-go test-python test-c test-pythons
test: test-go test-python test-c test-pythons ## Set everything up and run all tests.

test-go: build/python-$(call label,$(MAIN)) ## Test the Go packages.
	CGO_ENABLED=0 go test ./server/... ./bridge ./bridge/asgi/... ./cmd/cli/...
	$(GO) vet ./...
	$(GO) test -race ./...

# The C without Go, then end to end under AddressSanitizer and UBSan in an environment of its own.
test-c: build/requirements-$(call label,$(MAIN)) ## Test the C, alone and with sanitizers.
	tests/bridge/run.sh $(CURDIR)/$(VENV)/bin/python -q
	tests/bridge/sanitize.sh $(CURDIR)/$(VENV)/bin/python -q

.PHONY: test-sanitized
test-sanitized: build/sanitized-$(call label,$(MAIN)) build/requirements-$(call label,$(MAIN)) ## Test end to end with the C under sanitizers; slow, not part of make test.
	cd tests && GOASGI="env LD_PRELOAD='$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)' \
	    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 PYTHONMALLOC=malloc \
	    $(CURDIR)/.venv-sanitized/bin/goasgi" ../$(VENV)/bin/python -m pytest -q asgi $(ARGS)

build/sanitized-%: $(SOURCES) tests/requirements.txt build/python-%
	$(call path,$*) -m venv --clear .venv-sanitized
	.venv-sanitized/bin/pip install -q -r tests/requirements.txt
	GOASGI_SANITIZE=1 .venv-sanitized/bin/pip install -q ./python
	@touch $@

test-python: build/installed-$(call label,$(MAIN)) build/requirements-$(call label,$(MAIN)) bin/goasgi ## Test both hosts, end to end, with one Python.
	cd tests && ../$(VENV)/bin/python -m pytest -q $(ARGS)
	cd tests && GOASGI=$(CURDIR)/bin/goasgi ../$(VENV)/bin/python -m pytest -q asgi command $(ARGS)

test-pythons: $(foreach p,$(OTHERS),test-$(call label,$p)) ## Try the wheel with every other Python of this machine.

test-%: build/installed-% build/smoke-%
	cd tests && ../.venv-$*/bin/python -m pytest -q python asgi/test_scope.py asgi/test_lifespan.py $(ARGS)

.PHONY: bench
bench: build/installed-$(call label,$(MAIN)) ## Measure against other servers.
	tests/system-packages.sh wrk
	$(MAKE) -C tests/bench PYTHON=$(CURDIR)/$(VENV)/bin/python

# ---------------------------------------------------------------------- lint

.PHONY: lint format
lint: build/linters build/python-$(call label,$(MAIN)) ## Check the form of Go, Python and C.
	@test -z "$$(gofmt -l bridge cmd python server tests | tee /dev/stderr)" || { echo "not formatted; make format"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	.venv-lint/bin/ruff check -q --config python/pyproject.toml python tests examples
	.venv-lint/bin/ruff format -q --check --config python/pyproject.toml python tests examples
	.venv-lint/bin/clang-format --dry-run -Werror $(C_FILES)

format: build/linters ## Bring Go, Python and C into form.
	gofmt -w bridge cmd python server tests
	.venv-lint/bin/ruff check -q --fix --config python/pyproject.toml python tests examples
	.venv-lint/bin/ruff format -q --config python/pyproject.toml python tests examples
	.venv-lint/bin/clang-format -i $(C_FILES)

build/linters: Makefile build/python-$(call label,$(MAIN))
	$(call path,$(call label,$(MAIN))) -m venv --clear .venv-lint
	.venv-lint/bin/pip install -q ruff==0.17.5 clang-format==21.1.8
	@touch $@

.PHONY: clean
clean: ## Remove all that was made.
	rm -rf bin build dist .venv-* .tools
	find . -name __pycache__ -prune -exec rm -rf {} +
