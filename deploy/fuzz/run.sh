#!/usr/bin/env bash
# Runs a fuzz target: run.sh [TARGET [SECONDS]]. Without a target it lists them.
#
# An ordinary rustc is enough: LLVM's passes for coverage are among its stable options, and libFuzzer comes with the crate libfuzzer-sys.
# Only sanitizers need nightly; these targets are safe Rust, and what they look for are panics, failed assertions, overflows, memory by the
# word of the input and what takes too long. What was found lies in the crate's fuzz/corpus, what failed in fuzz/artifacts, from where
# `run.sh TARGET 0 FILE` plays it again.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
target=${1:-} seconds=${2:-60}
file=${3:-}
if [ -z "$target" ]; then
  for found in data-plane/*/fuzz/fuzz_targets/*.rs; do basename "$found" .rs; done
  exit
fi
source=$(ls data-plane/*/fuzz/fuzz_targets/"$target".rs 2>/dev/null) || { echo "run.sh: there is no target $target; without one it lists them" >&2; exit 2; }
folder=${source%/fuzz_targets/*}

# The versions are those of the workspace; cargo leaves out what this crate does not need.
[ -f "$folder/Cargo.lock" ] || cp Cargo.lock "$folder/Cargo.lock"
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/fuzz"
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks"
# With a target named, build scripts and macros are not instrumented.
cargo build --release --manifest-path "$folder/Cargo.toml" --target "$host" --bin "$target"
mkdir -p "$folder/corpus/$target" "$folder/artifacts/$target"
binary=("$CARGO_TARGET_DIR/$host/release/$target" -artifact_prefix="$folder/artifacts/$target/" -timeout=10 -rss_limit_mb=2048)
if [ -n "$file" ]; then
  exec "${binary[@]}" "$file"
fi
exec "${binary[@]}" -max_total_time="$seconds" -print_final_stats=1 "$folder/corpus/$target"
