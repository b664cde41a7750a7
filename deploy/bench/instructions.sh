#!/usr/bin/env bash
# Counts the instructions that one record costs on fixed workloads, and compares with deploy/bench/instructions.txt: a figure more
# than 3 % off, up or down, fails. `--record` writes the figures down instead. Counts do not depend on the machine's load, so this
# finds what a stop watch in CI cannot.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
figures=deploy/bench/instructions.txt
command -v valgrind >/dev/null || { echo "instructions: valgrind is missing: run \`make setup\`" >&2; exit 1; }

cargo build --quiet --locked --profile instructions -p dray-agent --example instructions
program=${CARGO_TARGET_DIR:-target}/instructions/examples/instructions

count() { # workload, records: the instructions of the whole run
  local log; log=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1) ||
    { echo "instructions: $1 $2 failed:" >&2; echo "$log" >&2; exit 1; }
  sed -n 's/.*Collected : //p' <<<"$log"
}

# Two sizes: the difference is what the records cost, without the start.
measure() { # workload, fewer records, more records
  local few many; few=$(count "$1" "$2"); many=$(count "$1" "$3")
  echo "$1 $(((many - few) / ($3 - $2)))"
}
measured=$(measure string 20000 60000; measure to-file 20000 60000; measure json 2000 6000; measure json-schema 2000 6000
  measure json-chain 2000 6000; measure json-schema-chain 2000 6000)

if [ "${1:-}" = --record ]; then
  { sed -n '/^#/p' "$figures"; echo "$measured"; } >"$figures.new"
  mv "$figures.new" "$figures"
  exit
fi
failed=0
while read -r workload now; do
  recorded=$(awk -v workload="$workload" '$1 == workload { print $2 }' "$figures")
  [ -n "$recorded" ] || { echo "instructions: $figures has no line for $workload" >&2; exit 1; }
  echo "instructions: $workload $now a record (recorded: $recorded)"
  if ((now * 100 > recorded * 103 || now * 100 < recorded * 97)); then
    echo "instructions: $workload is more than 3 % off; find out why, or write the new figure down with $0 --record" >&2
    failed=1
  fi
done <<<"$measured"
exit $failed
