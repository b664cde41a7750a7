# `make` lists what there is. Everything may be run twice, and works without a network once `setup`, `build` and `test` have run.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build lint proto-accept test rest-diff rest-clients metrics e2e soak bench fuzz quickstart cluster cluster-stop agent-add agent-stop agent-kill clean

# One after the other, also under `make -j`: cargo uses all cores by itself.
.NOTPARALLEL:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## install what the machine lacks (apt-get; needs root or sudo; buf with npm), nothing when all is there
	@deploy/setup.sh
	@deploy/lint/proto.sh fetch

build: ## compile everything (dev profile)
	cargo build --workspace --all-targets --locked

lint: setup ## formatting, clippy, rustdoc, which crate may depend on which, the protos, and instructions a record
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	deploy/lint/arrows.sh
	deploy/lint/proto.sh
	deploy/bench/instructions.sh

proto-accept: ## take the protos as they are for what later ones may not break; BREAKING=1 even if they break the last ones
	@BREAKING="$(BREAKING)" deploy/lint/proto.sh accept

# Of the clusters of real processes all but a minute without a control plane, and the hundred kills: `make e2e`.
test: E2E := main_path operator secrets wrong store crash leave tasks_do_not_notice
# The last comparison has a broker of its own: what the real Connect had before would be in its topics.
# Compiled before the servers start, so that a compile error costs none.
test: export DRAY_TEST_ORACLE := $(CURDIR)/deploy/oracle/run.sh
test: export DRAY_TEST_REGISTRY_PYTHON := $(or $(DRAY_RIG),$(CURDIR)/.rig)/registry-clients/bin/python
# The same properties each time; PROPTEST_RNG_SEED=n tries others.
test: export PROPTEST_RNG_SEED ?= 1
test: setup ## all tests, against a real Kafka broker, etcd, schema registry and Moto started for them, and the real Connect as oracle
	deploy/rig/kafka.sh fetch
	deploy/oracle/build.sh
	deploy/rest-clients/fetch.sh
	deploy/rig/registry.sh fetch
	deploy/registry-clients/fetch.sh
	deploy/rig/moto.sh fetch
	python3 deploy/metrics/check.py fetch
	cargo test --workspace --locked --no-run
	cargo test -p dray-e2e --test it --locked --no-run
	python3 -m unittest discover -s deploy/bench
	exec deploy/rig/with-moto.sh deploy/rig/with-registry.sh deploy/rig/with-etcd.sh deploy/rig/with-broker.sh bash -c \
	  'cargo test --workspace --locked && cargo test -p dray-e2e --test it --locked -- $(E2E) && python3 deploy/rest-diff/diff.py && \
	  python3 deploy/rest-clients/clients.py && python3 deploy/metrics/check.py'
	exec deploy/rig/with-etcd.sh deploy/rig/with-broker.sh python3 deploy/rest-diff/diff.py --cluster

rest-diff: setup ## the REST API beside the real Kafka Connect's, request by request: what differs, and is no exception that is named
	deploy/rig/kafka.sh fetch
	cargo build -p dray --locked
	deploy/rig/with-broker.sh python3 deploy/rest-diff/diff.py

rest-clients: setup ## clients of Kafka Connect that others have written, and Schemathesis, against the REST API: SEED=1; EXAMPLES=25 a path
	deploy/rig/kafka.sh fetch
	deploy/rest-clients/fetch.sh
	cargo build -p dray --locked
	DRAY_TEST_EXAMPLES="$(or $(EXAMPLES),25)" deploy/rig/with-broker.sh python3 deploy/rest-clients/clients.py "$(or $(SEED),1)"
metrics: setup ## /metrics and logs of real processes: names as documented, records counted, levels that change
	deploy/rig/kafka.sh fetch
	python3 deploy/metrics/check.py fetch
	cargo build -p dray -p dray-control -p dray-agent --locked
	deploy/rig/with-etcd.sh deploy/rig/with-broker.sh python3 deploy/metrics/check.py

e2e: setup ## the tests of the binaries again, longer: 50 kills of one process instead of 10, 100 in a cluster instead of 5
	deploy/rig/kafka.sh fetch
	cargo test -p dray -p dray-control -p dray-agent --locked --no-run
	cargo test -p dray-e2e --test it --locked --no-run
	DRAY_TEST_KILLS=50 deploy/rig/with-broker.sh cargo test -p dray --locked -- --nocapture
	DRAY_TEST_KILLS=100 DRAY_TEST_CONNECTORS=60 DRAY_TEST_AWAY=600 \
	  deploy/rig/with-moto.sh deploy/rig/with-etcd.sh deploy/rig/with-broker.sh cargo test -p dray-e2e --test it --locked -- --nocapture

soak: export SEEDS FROM TRACE MUTATION
soak: ## the simulation of the control plane: SEEDS=100000 runs from seed FROM=1000000; TRACE=1: the end of each trace, 2: all of it
	cargo run --locked -p dray-simulation

bench: setup ## one workload beside the real Kafka Connect, pinned, five to nine minutes: W=W1-200, or W=W1 for several; W=cluster; no W lists them
	@python3 deploy/bench/run.py "$(W)"

fuzz: ## any bytes into one target for S=60 seconds: T=pattern; no T lists them
	@deploy/fuzz/run.sh $(T) $(if $(T),$(or $(S),60))

quickstart: setup ## file to topic to file on a broker in the process; ONCE=1 ends when the lines have arrived (dev profile)
ifeq ($(ONCE),1)
	cargo run --locked -p dray -- quickstart --once
else
	cargo run --release --locked -p dray -- quickstart
endif

cluster: setup ## a whole cluster on loopback: CONTROLS=3 AGENTS=3; KAFKA=host:port ETCD=host:port use running servers; DIR= its folder
	deploy/rig/kafka.sh fetch
	cargo build --release --locked -p dray-control -p dray-agent -p dray
	@python3 deploy/cluster/cluster.py start

cluster-stop: ## end the cluster, in order
	@python3 deploy/cluster/cluster.py stop

agent-add: ## one agent more
	@python3 deploy/cluster/cluster.py agent-add

agent-stop: ## ask an agent to hand its tasks over and end: NAME=agent-1, or the newest
	@python3 deploy/cluster/cluster.py agent-stop

agent-kill: ## kill -9 of an agent: NAME=agent-1, or the newest
	@python3 deploy/cluster/cluster.py agent-kill

clean: ## remove what was built; the fetched Kafka jars stay
	cargo clean
	rm -rf .rig/bench .rig/oracle .rig/oracle.* .rig/kafka/libs.* .rig/broker-failed.log
