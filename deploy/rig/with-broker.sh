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

is_its() { case $1 in *"kafka.Kafka $2/server.properties"*) ;; *) return 1 ;; esac }
start() { rm -rf "$work/broker"; "$kafka" start "$work/broker" "$1"; }
keep() {
  local kept="${DRAY_RIG:-$here/../../.rig}/broker-failed.log"
  if [ "$1" != 0 ] && [ "$1" -lt 128 ] && cp "$work/broker/broker.log" "$kept" 2>/dev/null; then
    echo "with-broker.sh: the broker's log is kept in $(cd "$(dirname "$kept")" && pwd)/broker-failed.log" >&2
  fi
}

# shellcheck source=deploy/rig/beside.sh
. "$here/beside.sh"
begin broker
export DRAY_TEST_STARTED="$started"
on_free_port start
export DRAY_TEST_BOOTSTRAP="127.0.0.1:$port" DRAY_TEST_BROKER_PORT="$port"
export DRAY_TEST_BROKER_DIR="$work/broker" DRAY_TEST_KAFKA_SH="$kafka"
beside "$@"
