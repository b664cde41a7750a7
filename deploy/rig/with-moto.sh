#!/usr/bin/env bash
# Runs a command with Moto beside it, which answers as AWS does: with-moto.sh CMD ARGS...
#
# It listens on a free port and ends with the command, also on Ctrl-C and on a failure; so does every Moto that the command started itself
# with moto.sh. The exit code is the command's. It sees:
#   DRAY_TEST_MOTO           the URL of the one that all tests share. Nobody stops or resets it, and secrets have names of their own
#   DRAY_TEST_MOTO_SH        absolute path of moto.sh; a test that pauses one starts its own: `moto.sh start TMPDIR PORT`, ...
#   DRAY_TEST_MOTO_STARTED   the file in which moto.sh notes what it started; not for tests
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -gt 0 ] || { echo "usage: with-moto.sh CMD ARGS..." >&2; exit 2; }
moto="$here/moto.sh"
"$moto" fetch

is_its() { case $1 in *" dray.dir=$2 "*) ;; *) return 1 ;; esac }
start() { rm -rf "$work/moto"; "$moto" start "$work/moto" "$1"; }

# shellcheck source=deploy/rig/beside.sh
. "$here/beside.sh"
begin moto
export DRAY_TEST_MOTO_STARTED="$started"
on_free_port start
export DRAY_TEST_MOTO="http://127.0.0.1:$port" DRAY_TEST_MOTO_SH="$moto"
beside "$@"
