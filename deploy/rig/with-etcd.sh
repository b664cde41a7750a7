#!/usr/bin/env bash
# Runs a command with a real etcd beside it: with-etcd.sh [--nodes N] CMD ARGS...
#
# It listens on free ports, keeps its data in a temporary folder, and ends with the command, also on Ctrl-C and on a failure; so does
# every etcd that the command started itself with etcd.sh. The exit code is the command's. It sees:
#   DRAY_TEST_ETCD            the endpoints, with commas: of the etcd that all tests share. Nobody compacts, fills or stops this one
#   DRAY_TEST_ETCD_DIR        its folder
#   DRAY_TEST_ETCD_SH         absolute path of etcd.sh; a test that kills members, compacts or fills starts an etcd of its own:
#                             `etcd.sh start TMPDIR 3`, then `etcd.sh kill9 TMPDIR 1`, ...
#   DRAY_TEST_ETCD_STARTED    the file in which etcd.sh notes what it started; not for tests
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nodes=1
[ "${1:-}" != --nodes ] || { nodes=${2:-}; shift 2; }
case $nodes/$# in */0 | [!1-9]*/*) echo "usage: with-etcd.sh [--nodes N] CMD ARGS..." >&2; exit 2 ;; esac

work=$(mktemp -d "${TMPDIR:-/tmp}/dray-etcd.XXXXXX")
child=''
cleanup() {
  local code=$? pid data
  trap '' INT TERM HUP # a second Ctrl-C must not leave servers behind
  trap - EXIT
  if [ -n "$child" ]; then # its whole process group: asked first, then made to. What is in it may have servers of its own to end.
    kill -TERM -- "-$child" 2>/dev/null || true
    for _ in $(seq 1 100); do kill -0 -- "-$child" 2>/dev/null || break; sleep 0.1; done
    kill -KILL -- "-$child" 2>/dev/null || true
  fi
  while read -r pid data; do
    # A test may have removed the folder of its etcd, pid file and all. The command line tells whether the pid is still that member.
    case $({ tr '\0' ' ' <"/proc/$pid/cmdline" || ps -ww -p "$pid" -o args=; } 2>/dev/null) in
      *"etcd "*"--data-dir $data "*) kill -KILL "$pid" 2>/dev/null || true ;;
    esac
  done <"$work/started"
  rm -rf "$work" 2>/dev/null || { sleep 1; rm -rf "$work"; } # a member that is just ending may still write
  exit "$code"
}
export DRAY_TEST_ETCD_STARTED="$work/started"; : >"$DRAY_TEST_ETCD_STARTED"
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

"$here/etcd.sh" start "$work/etcd" "$nodes"
DRAY_TEST_ETCD=$(paste -sd, "$work/etcd/endpoints")
export DRAY_TEST_ETCD DRAY_TEST_ETCD_DIR="$work/etcd" DRAY_TEST_ETCD_SH="$here/etcd.sh"

# In a process group of its own, and waited for: a signal to this script is acted on at once, and reaches everything the command started.
set -m
"$@" </dev/null &
child=$!
set +m
code=0; wait "$child" || code=$?
exit "$code"
