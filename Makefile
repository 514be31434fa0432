# The two commands that most people need: make run, make test. Both work with Go and
# make alone, as root and as an ordinary user.

GO ?= go
export CGO_ENABLED ?= 0
BIN := bin/safevma
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help build run test deps generate check vet fmt race cross fuzz bench test-user clean

help: ## show what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: $(BIN) ## build the static binary

.PHONY: $(BIN)
$(BIN):
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/safevma

LAB := bin/safevma-lab

.PHONY: lab-build
lab-build: ## build the lab's runner, which is also the init of its machines
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w' -o $(LAB) ./cmd/safevma-lab

run: build ## build, and audit this host: findings are the result, not a failure
	@$(BIN) audit || case $$? in 1|3) ;; *) exit 1 ;; esac

test: ## run all tests; one that lacks something skips, and says what
	$(GO) test ./...

deps: ## install what some tests use beyond Go: real programs to audit, a C compiler for the race detector (Debian, as root)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		gcc libc6-dev python3 python3-yaml nodejs default-jdk-headless postgresql chromium

generate: build ## make the generated files anew
	$(BIN) guarantees --output markdown > docs/guarantees.md
	rm -rf docs/man && mkdir -p docs/man && $(BIN) man docs/man
	$(GO) generate ./...

check: fmt vet ## formatting, vet, staticcheck
	$(GO) run $(STATICCHECK) ./...

fmt:
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "gofmt would change:"; echo "$$files"; exit 1; }

vet:
	$(GO) vet ./...

race: ## run all tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race ./...

cross: ## build everything for arm64, the tests too
	GOARCH=arm64 $(GO) build ./...
	GOARCH=arm64 $(GO) vet ./...

FUZZTIME ?= 10s
fuzz: ## fuzz every parser for FUZZTIME each: a time, or a number such as 5000x
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

bench: ## run the benchmarks of reading and auditing
	$(GO) test -run '^$$' -bench . ./kernel/vma ./rules ./audit
	cd internal/benchmark && $(GO) test -run '^$$' -bench . ./...

test-user: ## run all tests as an ordinary user; for root, who runs them as root by "make test"
	scripts/test-as-user $(GO)

clean: ## remove what was built
	rm -rf bin
