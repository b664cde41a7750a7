#!/usr/bin/env bash
# Compiles the oracle into $DRAY_RIG/oracle (default: .rig in the repository) when it changed. Prints nothing when up to date.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rig=${DRAY_RIG:-$(cd "$here/../.." && pwd)/.rig}
out="$rig/oracle"
"$here/../rig/kafka.sh" fetch
# Definitions.java is run by hand and is no part of the oracle.
cd "$here/src/main/java"
sources=$(find . -name '*.java' ! -name Definitions.java | LC_ALL=C sort)
want="$(xargs cat <<<"$sources" | cksum) $(cat "$rig/kafka/libs/.complete")"
[ ! -f "$out/.complete" ] || [ "$(cat "$out/.complete")" != "$want" ] || exit 0
command -v javac >/dev/null || { echo "build.sh: javac (a JDK, 17 or newer) is missing: run \`make setup\`" >&2; exit 1; }
echo "build.sh: compiling the oracle" >&2
# shellcheck disable=SC2086 # one word a file
new=$(mktemp -d "$rig/oracle.XXXXXX")
javac --release 17 -encoding UTF-8 -Xlint:all,-classfile,-processing,-path -Werror -proc:none -cp "$rig/kafka/libs/*" -d "$new" $sources ||
  { rm -rf "$new"; exit 1; }
echo "$want" >"$new/.complete"
rm -rf "$out"; mv "$new" "$out"
