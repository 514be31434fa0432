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

INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends

deps: lab-deps ## install what some tests use beyond Go: real programs to audit, a C compiler for the race detector, the lab's emulators (Debian, as root)
	$(INSTALL) gcc libc6-dev python3 python3-yaml nodejs default-jdk-headless postgresql chromium cpio

.PHONY: lab-deps lab lab-kernels lab-test lab-matrix
lab-deps: ## install what the lab uses: QEMU, and what makes file systems (Debian, as root)
	apt-get update -qq
	$(INSTALL) qemu-system-x86 qemu-system-arm ipxe-qemu e2fsprogs xfsprogs

KERNELS ?= 6.1 6.12 6.18 newest
lab-kernels: lab-build ## fetch kernels for the lab, or newer ones: KERNELS="6.1 newest"
	$(LAB) kernels --fetch $(KERNELS)
	$(LAB) kernels --fetch --arch arm64 6.12

KERNEL ?= newest
PKG ?= ./lab/...
LABFLAGS ?= --nvdimm ext4 --disk ext4
TESTFLAGS ?= -v
lab: lab-build ## run tests inside: PKG=./kernel/vma KERNEL=6.12 LABFLAGS="--disk xfs" TESTFLAGS="-run X"
	CGO_ENABLED=0 $(GO) test -count=1 -exec '$(CURDIR)/$(LAB) exec --kernel $(KERNEL) $(LABFLAGS)' $(TESTFLAGS) $(PKG)

INSIDE := ./lab ./lab/feature ./internal/sys ./internal/minimal ./kernel/... ./pmem/medium/... ./examples/...
MACHINE := --nvdimm ext4 --disk ext4 --numa 2 --persistence cpu
lab-test: lab-build ## run the tests of what talks to kernels inside, long ones shortened: on 6.1, the newest, and 6.12 of arm64
	for kernel in 6.1 newest; do \
		CGO_ENABLED=0 $(GO) test -count=1 -short -exec "$(CURDIR)/$(LAB) exec --kernel $$kernel $(MACHINE)" $(INSIDE) || exit 1; \
	done
	CGO_ENABLED=0 $(GO) test -count=1 -exec "$(CURDIR)/$(LAB) exec --kernel newest" -run 'TestDAMON|ModesOfOvercommitment|SplitsAreCounted' ./cmd/safevma ./probe
	CGO_ENABLED=0 $(GO) test -count=1 -short -exec "$(CURDIR)/$(LAB) exec --kernel newest $(MACHINE)" -run 'Attacks|FaultsAreFound' ./guard
	CGO_ENABLED=0 GOARCH=arm64 $(GO) test -count=1 -short -exec '$(CURDIR)/$(LAB) exec --kernel 6.12 --arch arm64 --numa 2' $(INSIDE)

.PHONY: lab-nightly
lab-nightly: lab-build ## the same whole, and programs started by "safevma run", on every kernel (an hour)
	for kernel in 6.1 6.12 6.18 newest; do \
		CGO_ENABLED=0 $(GO) test -count=1 -timeout 60m -exec "$(CURDIR)/$(LAB) exec --kernel $$kernel $(MACHINE)" $(INSIDE) ./watch ./guard || exit 1; \
		CGO_ENABLED=0 $(GO) test -count=1 -timeout 60m -exec "$(CURDIR)/$(LAB) exec --kernel $$kernel --append secretmem.enable=1" -run 'TestDAMON|ModesOfOvercommitment|SplitsAreCounted' ./cmd/safevma ./probe || exit 1; \
	done
	CGO_ENABLED=0 GOARCH=arm64 $(GO) test -count=1 -timeout 60m -exec '$(CURDIR)/$(LAB) exec --kernel 6.12 --arch arm64 --numa 2' $(INSIDE) ./guard
	SAFEVMA_NIGHTLY=1 $(GO) test -count=1 -timeout 60m -run PowerCut ./lab/vm

.PHONY: crash-nightly
crash-nightly: ## recover and check ten million images that a failure may leave, and more
	SAFEVMA_CRASH_IMAGES=10000000 SAFEVMA_NIGHTLY=1 $(GO) test -count=1 -timeout 60m -run Nightly -v ./pmem/crash ./pmem/model ./pmem/workload

.PHONY: pool-nightly
pool-nightly: ## pools at night: a thousand kills a medium, every byte flipped, crashes in each recovery
	SAFEVMA_NIGHTLY=1 $(GO) test -count=1 -timeout 120m ./pmem ./pmem/workload ./pmem/fsck ./internal/survival

.PHONY: region-nightly
region-nightly: ## regions under memory pressure that a neighbour makes, in a cgroup of both (as root)
	SAFEVMA_NIGHTLY=1 $(GO) test -count=1 -run 'Pressure$$' -v ./region

lab-matrix: lab-build ## make docs/lab-matrix.md anew: what each kernel can do
	$(LAB) matrix > bin/matrix.md && mv bin/matrix.md docs/lab-matrix.md

.PHONY: probe-nightly
probe-nightly: ## a hundred whole runs of probes in a row say the same, and leave nothing (as root, about an hour)
	SAFEVMA_PROBE_RUNS=100 nice $(GO) test -count=1 -timeout 3h -run RunsInARow -v ./probe

.PHONY: ledger
LEDGER := $(CURDIR)/bin/ledger
ledger: build lab-build ## make docs/ledger.md anew: what probes say on this kernel and on the lab's
	mkdir -p $(LEDGER)
	CGO_ENABLED=0 $(GO) test -c -o $(LEDGER)/probe.test ./probe
	$(BIN) probe run --output json > $(LEDGER)/here.json || case $$? in 1|3) ;; *) exit 1 ;; esac
	for kernel in $(KERNELS); do \
		(cd probe && SAFEVMA_PROBE_REPORT=1 $(CURDIR)/$(LAB) exec --kernel $$kernel --append secretmem.enable=1 --nvdimm ext4 --disk ext4 --timeout 20m \
			$(LEDGER)/probe.test -test.run TestReport) | sed '/^}$$/q' > $(LEDGER)/$$kernel.json || exit 1; \
	done
	CGO_ENABLED=0 GOARCH=arm64 $(GO) test -c -o $(LEDGER)/probe-arm64.test ./probe
	(cd probe && SAFEVMA_PROBE_REPORT=1 $(CURDIR)/$(LAB) exec --kernel 6.12 --arch arm64 --append secretmem.enable=1 --disk ext4 --timeout 20m \
		$(LEDGER)/probe-arm64.test -test.run TestReport) | sed '/^}$$/q' > $(LEDGER)/arm64.json
	cp docs/ledger.head $(LEDGER)/ledger.md
	$(BIN) probe diff --output markdown $(LEDGER)/here.json $(foreach kernel,$(KERNELS) arm64,$(LEDGER)/$(kernel).json) >> $(LEDGER)/ledger.md || test $$? = 1
	mv $(LEDGER)/ledger.md docs/ledger.md

.PHONY: run-matrix
MATRIX := $(CURDIR)/bin/run-matrix
MATRIX_KERNELS ?= 6.1 6.12 newest
run-matrix: lab-build ## make docs/run-matrix.md anew: attacks under the profiles of safevma run, here and on the lab's kernels (as root)
	rm -rf $(MATRIX) && mkdir -p $(MATRIX)
	CGO_ENABLED=0 $(GO) test -c -o $(MATRIX)/guard.test ./guard
	(cd guard && SAFEVMA_RUN_MATRIX=1 $(MATRIX)/guard.test -test.run 'TestMatrixPart$$') > $(MATRIX)/here
	for kernel in $(MATRIX_KERNELS); do \
		(cd guard && SAFEVMA_RUN_MATRIX=1 $(CURDIR)/$(LAB) exec --kernel $$kernel --timeout 20m \
			$(MATRIX)/guard.test -test.run 'TestMatrixPart$$') > $(MATRIX)/lab-$$kernel || exit 1; \
	done
	CGO_ENABLED=0 GOARCH=arm64 $(GO) test -c -o $(MATRIX)/guard-arm64.test ./guard
	(cd guard && SAFEVMA_RUN_MATRIX=1 $(CURDIR)/$(LAB) exec --kernel 6.12 --arch arm64 --timeout 20m \
		$(MATRIX)/guard-arm64.test -test.run 'TestMatrixPart$$') > $(MATRIX)/lab-6.12-arm64
	rm -f guard/testdata/run-matrix/*.json && mkdir -p guard/testdata/run-matrix
	for part in $(MATRIX)/here $(MATRIX)/lab-*; do \
		series=$$(sed -n 's/^ "kernel": "\([0-9]*\.[0-9]*\).*/\1/p' $$part) && \
		sed '/^}$$/q' $$part > guard/testdata/run-matrix/$$(basename $$part | sed "s/^here/$$series/; s/^lab-[^-]*/lab-$$series/").json || exit 1; \
	done
	$(GO) test -count=1 -run 'TestMatrix$$' ./guard -update

generate: build ## make the generated files anew
	$(BIN) guarantees --output markdown > docs/guarantees.md
	rm -rf docs/man && mkdir -p docs/man && $(BIN) man docs/man
	$(GO) generate ./...

check: fmt vet vet-check ## formatting, vet, staticcheck; the same and tests of the vet tool, and what it finds here
	$(GO) run $(STATICCHECK) ./...

fmt:
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "gofmt would change:"; echo "$$files"; exit 1; }

vet:
	$(GO) vet ./...

VETTOOL := bin/safevma-vet

.PHONY: vet-tool vet-check
vet-tool: ## build the vet tool for programs that use pools: go vet -vettool=bin/safevma-vet ./...
	cd cmd/safevma-vet && $(GO) build -trimpath -o $(CURDIR)/$(VETTOOL) .

vet-check: vet-tool
	cd cmd/safevma-vet && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./... && $(GO) test ./...
	$(GO) vet -vettool=$(CURDIR)/$(VETTOOL) ./...

race: ## run all tests, long ones shortened, under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short ./...

cross: ## build everything for arm64, the tests too
	GOARCH=arm64 $(GO) build ./...
	GOARCH=arm64 $(GO) vet ./...

FUZZTIME ?= 10s
fuzz: ## fuzz every parser for FUZZTIME each: a time, or a number such as 5000x
	@for package in $$($(GO) list -f '{{.Dir}}' ./...); do \
		grep -qs '^func Fuzz' $$package/*_test.go || continue; \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done
	cd cmd/safevma-vet && $(GO) test -run '^$$' -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME) ./layout

.PHONY: bench-read bench-peers bench-deps bench-test
bench: bench-read bench-peers ## run all benchmarks; those of pools write docs/benchmarks.md

bench-read: ## run the benchmarks of reading and auditing
	$(GO) test -run '^$$' -bench . ./kernel/vma ./rules ./audit
	cd internal/benchmark && $(GO) test -run '^$$' -bench . ./...

BENCHFLAGS ?= -docs ../docs/benchmarks.md
bench-peers: ## compare pools with their peers: BENCHFLAGS="-tables transactions -rounds 9"
	cd bench && $(GO) run . $(BENCHFLAGS)

.PHONY: bench-run
bench-run: ## measure what the profiles of safevma run cost, and write the tables of docs/benchmarks.md (as root)
	cd bench && $(GO) run . -tables run-start,run-calls -docs ../docs/benchmarks.md

bench-deps: ## install the peers in C that pools are compared with (Debian, as root)
	apt-get update -qq
	$(INSTALL) gcc libc6-dev pkg-config libpmemobj-dev liblmdb-dev

bench-test: ## check the benchmarks against peers, and run a little of each
	cd bench && $(GO) vet ./... && $(GO) run $(STATICCHECK) ./... && $(GO) test ./...

test-user: ## run all tests, long ones shortened, as an ordinary user; for root, who runs them as root by "make test"
	scripts/test-as-user $(GO)

clean: ## remove what was built
	rm -rf bin
