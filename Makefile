# Every target brings what it needs; a second run does no set-up again.
#
#   make demo             boots real Xen with domb in Dom0's place and shows what it builds (XEN=4.20 for the other Xen)
#   make test             everything that is checked: format, lints, licences, unit tests, fuzz corpora, scenarios on Xen
#   make loom             a part of it: rings in every order that the memory model allows
#   make bench            the same work by this project and by its peers, in one run: stores; xl in a stock Dom0 and domb
#   make fuzz SECONDS=60  fuzzes every decoder for so long

XEN ?= 4.17
SECONDS ?= 60
export XEN

CARGO ?= cargo
CACHE = $(or $(DOMB_CACHE),target/cache)
DENY = $(CACHE)/cargo-tools/bin/cargo-deny

.PHONY: help setup images demo test bench fuzz deny fmt clippy unit loom scenarios fuzz-replay clean

help:
	@sed -n 's/^#   \(make .*\)/\1/p' Makefile

setup:
	@./tests/setup

images:
	@echo "== bare-metal images"
	@./build-images

demo: setup images
	@$(CARGO) run --quiet --release -p scenarios --bin demo

bench: setup images
	@echo "== stores: this project's, C xenstored, oxenstored"
	@$(CARGO) run --quiet --release -p store-peers --bin store-bench
	@echo "== a stock Dom0 with xl, and domb"
	@$(CARGO) run --quiet --release -p scenarios --bin bench

test: setup fmt clippy deny unit images fuzz-replay scenarios

fmt:
	@echo "== format"
	@$(CARGO) fmt --all --check

clippy:
	@echo "== lints"
	@$(CARGO) clippy --quiet --all-targets -- -D warnings
	@./build-images clippy

$(DENY):
	@echo "== building cargo-deny (some minutes, once)"
	@$(CARGO) install --quiet --locked --debug --root $(CACHE)/cargo-tools cargo-deny

deny: $(DENY)
	@echo "== licences, bans, sources"
	@$(DENY) --log-level error check licenses bans sources

unit: loom
	@echo "== unit tests"
	@$(CARGO) test --workspace --exclude scenarios --exclude domb-image --exclude bare-guest \
		--exclude stubdom --exclude xenstore-guard-image --exclude store-peers
	@echo "== the store's daemon: stock clients, the stock stores beside it, restarts, advisories"
	@$(CARGO) test -p store-peers

# The ring between the store and a domain, in every order that the memory model allows. A target directory of its own, since the
# flag would have everything else built again.
loom:
	@echo "== rings under loom"
	@RUSTFLAGS="--cfg loom" $(CARGO) test --quiet -p xen -p xenstore-guard-core --test ring_model --test serve_model \
		--target-dir target/loom

fuzz-replay:
	@echo "== fuzz targets: seeds and a short run each"
	@./tests/fuzz replay

fuzz:
	@./tests/fuzz run $(SECONDS)

# One machine at a time: it takes both processors.
scenarios: setup images
	@echo "== scenarios on real Xen"
	@$(CARGO) build --quiet --release -p domb -p xenstore-guard
	@$(CARGO) test --release -p scenarios -- --test-threads=1 --nocapture

clean:
	@$(CARGO) clean
