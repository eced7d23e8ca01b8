# The two commands of a new user are `cargo run --release -- demo` and `make test`; CONTRIBUTING.md says the rest.
SHELL := /bin/bash
.PHONY: test lint bench bless accuracy rig core

# Installs what the tests need (root or sudo), then runs every test, the real servers and clients included. At its end it prints what
# was found on real parts, which must be what docs/accuracy.md says.
test: rig
	cargo fmt --all --check
	rustfmt --edition 2024 --check src/finding/*/*.rs
	tests/rig/.venv/bin/python tests/rig/accuracy.py clear
	status=0; \
	cargo test --locked --features real-rig --no-fail-fast || status=$$?; \
	tests/rig/.venv/bin/python tests/rig/accuracy.py || status=$$?; \
	exit $$status

# The pure core and its tests alone: seconds.
core:
	cargo test --locked --no-default-features --lib

rig:
	tests/rig/install.sh

lint:
	cargo fmt --all --check
	rustfmt --edition 2024 --check src/finding/*/*.rs
	cargo clippy --locked --all-targets --features real-rig -- -D warnings
	cargo clippy --locked --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --locked --no-deps --document-private-items

# authtap, a bare relay, nginx and HAProxy side by side, and reading captures beside tshark (installs wrk, nginx, HAProxy and
# tshark; takes 1 GB of the temporary folder).
bench:
	benches/install.sh
	cargo build --locked --release --example bare_relay --example captures --bin authtap
	cargo bench --locked --bench framing --bench observer --bench token --bench logs
	python3 benches/side_by_side.py
	python3 benches/packets.py

# Writes docs/accuracy.md anew from a run on real parts.
accuracy: rig
	tests/rig/.venv/bin/python tests/rig/accuracy.py clear
	cargo test --locked --features real-rig --test real -- --skip soak
	tests/rig/.venv/bin/python tests/rig/accuracy.py write

# Writes the generated files (docs/findings, docs/handshakes.md, the schemas) anew.
bless:
	AUTHTAP_BLESS=1 cargo test --locked --test it
