#!/usr/bin/env bash
# The protos: their style, and that no older program is broken by a change of them.
#
#   proto.sh fetch    puts buf into $DRAY_RIG/buf (default: .rig in the repository) with npm; once there, needs no network
#   proto.sh          lints (rules in proto/buf.yaml), compares with what was accepted last (proto/dray.binpb), checks the format
#   proto.sh accept   writes what is accepted, unless it would break somebody; BREAKING=1 accepts that too
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
rig=${DRAY_RIG:-$root/.rig}
version=1.75.0
folder="$rig/buf/$version"

fail() { echo "proto.sh: $*" >&2; exit 1; }

# npm's packages hold one binary each, and no script of theirs is run. The folder appears by one rename.
fetch() {
  [ ! -d "$folder" ] || return 0
  command -v npm >/dev/null || fail "npm is missing: run \`make setup\`"
  mkdir -p "$rig/buf"
  local new; new=$(mktemp -d "$rig/buf/new.XXXXXX")
  echo "proto.sh: fetching buf $version with npm (about 90 MB)" >&2
  npm install --prefix "$new" --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error "@bufbuild/buf@$version" >&2 ||
    { rm -rf "$new"; fail "npm could not fetch buf"; }
  mv -T "$new" "$folder" 2>/dev/null || rm -rf "$new" # another fetch was faster
}

case ${1:-check} in fetch) fetch; exit ;; check | accept) ;; *) fail "there is no command $1" ;; esac
fetch
buf=$(echo "$folder"/node_modules/@bufbuild/buf-*/bin/buf)
[ -x "$buf" ] || fail "there is no buf for this machine in $folder"
cd "$root/proto"
image() { "$buf" build --exclude-source-info -o "$1"; }

breaking() {
  "$buf" breaking --against dray.binpb ||
    fail "an older program would misread this. Add instead, and reserve what goes; or, before anybody runs it: make proto-accept BREAKING=1"
}
if [ "${1:-check}" = accept ]; then
  [ "${BREAKING:-}" = 1 ] || breaking
  image dray.binpb
  exit
fi
"$buf" lint
breaking
"$buf" format --diff --exit-code || fail "format with: $buf format -w"
now=$(mktemp --suffix=.binpb); trap 'rm -f "$now"' EXIT
image "$now"
cmp -s "$now" dray.binpb || fail "proto/dray.binpb does not have all of the protos yet: run \`make proto-accept\` and commit it"
