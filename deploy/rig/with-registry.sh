#!/usr/bin/env bash
# Runs a command with a real schema registry beside it: with-registry.sh CMD ARGS...
#
# It listens on a free port and ends with the command, also on Ctrl-C and on a failure; so does every registry that the command started
# itself with registry.sh. The exit code is the command's. It sees:
#   DRAY_TEST_REGISTRY           the URL behind which it speaks Confluent's API: of the registry that all tests share. Nobody stops this one,
#                                and subjects have names of their own
#   DRAY_TEST_REGISTRY_SH        absolute path of registry.sh; a test that stops one starts its own: `registry.sh start TMPDIR PORT`, ...
#   DRAY_TEST_REGISTRY_STARTED   the file in which registry.sh notes what it started; not for tests
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -gt 0 ] || { echo "usage: with-registry.sh CMD ARGS..." >&2; exit 2; }
registry="$here/registry.sh"
"$registry" fetch

work=$(mktemp -d "${TMPDIR:-/tmp}/dray-registry.XXXXXX")
child=''
cleanup() {
  local code=$? pid dir
  trap '' INT TERM HUP # a second Ctrl-C must not leave servers behind
  trap - EXIT
  if [ -n "$child" ]; then # its whole process group: asked first, then made to. What is in it may have servers of its own to end.
    kill -TERM -- "-$child" 2>/dev/null || true
    for _ in $(seq 1 100); do kill -0 -- "-$child" 2>/dev/null || break; sleep 0.1; done
    kill -KILL -- "-$child" 2>/dev/null || true
  fi
  while read -r pid dir; do
    # A test may have removed the folder of its registry, pid file and all. The command line tells whether the pid is still that one.
    case $({ tr '\0' ' ' <"/proc/$pid/cmdline" || ps -ww -p "$pid" -o args=; } 2>/dev/null) in
      *"-Ddray.dir=$dir "*) kill -KILL "$pid" 2>/dev/null || true ;;
    esac
  done <"$work/started"
  rm -rf "$work" 2>/dev/null || { sleep 1; rm -rf "$work"; } # one that is just ending may still write
  exit "$code"
}
export DRAY_TEST_REGISTRY_STARTED="$work/started"; : >"$DRAY_TEST_REGISTRY_STARTED"
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

port=''
for attempt in 1 2 3; do # a free port can be taken before the registry has it
  port=$("$here/kafka.sh" freeport)
  if "$registry" start "$work/registry" "$port"; then break; fi
  [ "$attempt" != 3 ] || exit 1
  rm -rf "$work/registry"
done
export DRAY_TEST_REGISTRY="http://127.0.0.1:$port/apis/ccompat/v7" DRAY_TEST_REGISTRY_SH="$registry"

# In a process group of its own, and waited for: a signal to this script is acted on at once, and reaches everything the command started.
set -m
"$@" </dev/null &
child=$!
set +m
code=0; wait "$child" || code=$?
exit "$code"
