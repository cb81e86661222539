# Needs Go and make. `make deps` installs the Debian packages that only the PyTorch comparisons and the arm64 tests use.
# The scripts in testdata/oracle need numpy and PyTorch, which it installs for Debian's own Python: not always the first in the PATH.
GO ?= go
PYTHON ?= $(or $(wildcard /usr/bin/python3),python3)
export CGO_ENABLED = 0

BIN = bin/coar
KERNEL_PACKAGES = ./internal/kernel/... ./internal/nn/... ./internal/models/... ./internal/ablate/...
RACE_PACKAGES = ./internal/ablate/... ./internal/store/... ./internal/gradient/... ./internal/regress/... ./internal/evaluate/... ./internal/study/...
FUZZTIME ?= 5000x
QEMU_ARM64 ?= qemu-aarch64-static

.PHONY: all build demo test bench roofline bench-scaling bench-torch goldens generate clean-generated fmt fmt-check vet lint test-isa test-arm64 race fuzz cross ci deps

all: build

build:
	$(GO) build -trimpath -o $(BIN) ./cmd/coar

# The main job on the embedded networks and images, in ./coar-demo.
demo: build
	$(BIN) demo

test:
	$(GO) test ./...

# Our own benchmarks: kernels, whole rows, scores, Gram matrix, coordinate descent.
bench:
	$(GO) test -run '^$$' -bench . -benchtime 1s ./internal/kernel ./internal/models ./internal/evaluate ./internal/regress

# Each class of layers beside the limits of one core, as Markdown tables.
roofline:
	@$(GO) run ./internal/roofline

# Speed-up of a second worker, time against examples and rows, memory with 1,000 images; needs numpy.
bench-scaling: build
	$(PYTHON) testdata/oracle/bench_scaling.py $(BIN)

# Margins per second, f32 and bf16, beside PyTorch on the same weights, images and keep-rows; needs `make deps`.
bench-torch: build
	$(PYTHON) testdata/oracle/bench_torch.py $(BIN)

# Recomputes testdata/margins and testdata/gradients with PyTorch; needs `make deps`.
goldens:
	$(PYTHON) testdata/oracle/golden_margins.py
	$(PYTHON) testdata/oracle/golden_gradients.py

generate:
	$(GO) generate ./...

clean-generated: generate
	git diff --exit-code -- internal/kernel

fmt:
	$(GO) fmt ./...

fmt-check:
	@files=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$files" ]; then echo "not gofmt-ed: $$files"; exit 1; fi

vet:
	$(GO) vet ./...

lint:
	$(GO) tool staticcheck ./...

# The same tests with each lesser set of kernels forced. AVX2 is amd64's; arm64 has nothing between NEON and portable.
test-isa:
	@set -e; for isa in $(if $(filter amd64,$(shell $(GO) env GOARCH)),avx2) portable; do \
		echo "test-isa: $$isa"; \
		COAR_ISA=$$isa $(GO) test $(KERNEL_PACKAGES) ./cmd/...; \
	done

# The NEON kernels and the ops over them, emulated; needs `make deps`.
test-arm64:
	@if command -v $(QEMU_ARM64) >/dev/null; then \
		GOOS=linux GOARCH=arm64 $(GO) test -short -exec $(QEMU_ARM64) ./internal/kernel ./internal/nn; \
	else \
		echo "test-arm64: skipped, there is no $(QEMU_ARM64); make deps installs it"; \
	fi

race:
	CGO_ENABLED=1 $(GO) test -race -short $(RACE_PACKAGES)

# Every fuzz target for FUZZTIME executions: a count, because go test sometimes fails a target that meets its deadline in time.
fuzz:
	@set -e; for pkg in $$($(GO) list ./internal/...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "fuzz $$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg; \
		done; \
	done

cross:
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./cmd/coar
	GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/coar
	GOOS=linux GOARCH=arm64 $(GO) vet ./internal/kernel/...

ci: fmt-check vet lint clean-generated test test-isa test-arm64 race cross fuzz

deps:
	apt-get install -y python3-torch python3-torchvision python3-sklearn dataset-fashion-mnist qemu-user-static
