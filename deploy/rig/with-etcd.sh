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

is_its() { case $1 in *"etcd "*"--data-dir $2 "*) ;; *) return 1 ;; esac }

# shellcheck source=deploy/rig/beside.sh
. "$here/beside.sh"
begin etcd
export DRAY_TEST_ETCD_STARTED="$started"
"$here/etcd.sh" start "$work/etcd" "$nodes"
DRAY_TEST_ETCD=$(paste -sd, "$work/etcd/endpoints")
export DRAY_TEST_ETCD DRAY_TEST_ETCD_DIR="$work/etcd" DRAY_TEST_ETCD_SH="$here/etcd.sh"
beside "$@"
