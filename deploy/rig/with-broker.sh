#!/usr/bin/env bash
# Runs a command with a real Kafka broker beside it: with-broker.sh CMD ARGS...
#
# The broker listens on a free port, keeps its data in a temporary folder, and ends with the command, also on Ctrl-C and on a failure;
# so do the brokers that the command started itself with kafka.sh. The exit code is the command's. It sees:
#   DRAY_TEST_BOOTSTRAP     127.0.0.1:PORT of the broker that all tests share: nobody stops this one
#   DRAY_TEST_BROKER_DIR    its folder, with broker.log in it
#   DRAY_TEST_BROKER_PORT   its port
#   DRAY_TEST_KAFKA_SH      absolute path of kafka.sh; a test that stops, kills and restarts a broker starts a private one:
#                           `kafka.sh start TMPDIR $(kafka.sh freeport)`, then `kafka.sh kill9 TMPDIR`, ...
#   DRAY_TEST_STARTED       the file in which kafka.sh notes what it started; not for tests
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -gt 0 ] || { echo "usage: with-broker.sh CMD ARGS..." >&2; exit 2; }
kafka="$here/kafka.sh"
"$kafka" fetch

work=$(mktemp -d "${TMPDIR:-/tmp}/dray-broker.XXXXXX")
child=''
cleanup() {
  local code=$? pid dir
  trap '' INT TERM HUP # a second Ctrl-C must not leave servers behind
  trap - EXIT
  if [ -n "$child" ]; then # its whole process group: asked first, then made to
    kill -TERM -- "-$child" 2>/dev/null || true
    for _ in $(seq 1 50); do kill -0 -- "-$child" 2>/dev/null || break; sleep 0.1; done
    kill -KILL -- "-$child" 2>/dev/null || true
  fi
  if [ "$code" != 0 ] && [ "$code" -lt 128 ] && [ -f "$work/broker/broker.log" ]; then
    local kept; kept="${DRAY_RIG:-$here/../../.rig}/broker-failed.log"
    cp "$work/broker/broker.log" "$kept" 2>/dev/null && echo "with-broker.sh: the broker's log is kept in $(cd "$(dirname "$kept")" && pwd)/broker-failed.log" >&2
  fi
  while read -r pid dir; do
    # A test may have removed the folder of its broker, pid file and all. The command line tells whether the pid is still that broker.
    case $({ tr '\0' ' ' <"/proc/$pid/cmdline" || ps -ww -p "$pid" -o args=; } 2>/dev/null) in
      *"kafka.Kafka $dir/server.properties"*) kill -KILL "$pid" 2>/dev/null || true ;;
    esac
  done <"$work/started"
  rm -rf "$work" 2>/dev/null || { sleep 1; rm -rf "$work"; } # a broker that is just ending may still write
  exit "$code"
}
export DRAY_TEST_STARTED="$work/started"; : >"$DRAY_TEST_STARTED"
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

port=''
for attempt in 1 2 3; do # a free port can be taken before the broker has it
  port=$("$kafka" freeport)
  if "$kafka" start "$work/broker" "$port"; then break; fi
  [ "$attempt" != 3 ] || exit 1
  rm -rf "$work/broker"
done
export DRAY_TEST_BOOTSTRAP="127.0.0.1:$port" DRAY_TEST_BROKER_PORT="$port"
export DRAY_TEST_BROKER_DIR="$work/broker" DRAY_TEST_KAFKA_SH="$kafka"

# In a process group of its own, and waited for: a signal to this script is acted on at once, and reaches everything the command started.
set -m
"$@" </dev/null &
child=$!
set +m
code=0; wait "$child" || code=$?
exit "$code"
