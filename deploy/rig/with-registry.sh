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

is_its() { case $1 in *"-Ddray.dir=$2 "*) ;; *) return 1 ;; esac }
start() { rm -rf "$work/registry"; "$registry" start "$work/registry" "$1"; }

# shellcheck source=deploy/rig/beside.sh
. "$here/beside.sh"
begin registry
export DRAY_TEST_REGISTRY_STARTED="$started"
on_free_port start
export DRAY_TEST_REGISTRY="http://127.0.0.1:$port/apis/ccompat/v7" DRAY_TEST_REGISTRY_SH="$registry"
beside "$@"
