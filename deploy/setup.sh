#!/usr/bin/env bash
# Installs what the build and the tests need and the machine lacks, with apt-get. Says what it does; does nothing, and needs no
# network, when everything is there. Rust is not installed here: rustup brings the version that rust-toolchain.toml names.
set -euo pipefail

missing=()
command_() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
library() { command -v pkg-config >/dev/null 2>&1 && pkg-config --exists "$1" || missing+=("$2"); }
# librdkafka is compiled from source, with TLS and compression.
command_ gcc gcc
command_ g++ g++
command_ make make
command_ pkg-config pkg-config
library openssl libssl-dev
library zlib zlib1g-dev
# etcd-client compiles its protos while it is built, with the well-known ones.
command_ protoc protobuf-compiler
library protobuf libprotobuf-dev
# The tests run against a real Kafka and a real etcd, with certificates.
command_ javac default-jdk-headless
command_ mvn maven
command_ etcd etcd-server
command_ openssl openssl
# The benchmarks; what reads the metrics in the tests comes with pip.
command_ python3 python3
# Clients of Kafka Connect from PyPI stand in a folder of their own.
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
# `make lint` counts instructions, and gets buf with npm.
command_ valgrind valgrind
command_ npm npm

if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || { echo "setup: missing: ${missing[*]} (names of Debian packages); there is no apt-get here, please install them" >&2; exit 1; }
  root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "setup: missing: ${missing[*]}; run this as root, or install them with apt-get" >&2; exit 1; }
    root=(sudo)
  fi
  echo "setup: installing ${missing[*]} with apt-get" >&2
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

command -v cargo >/dev/null 2>&1 || { echo "setup: Rust is missing (no cargo on PATH): install rustup from rustup.rs; it reads rust-toolchain.toml" >&2; exit 1; }
