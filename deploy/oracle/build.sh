#!/usr/bin/env bash
# Compiles the oracle into $DRAY_RIG/oracle (default: .rig in the repository) when it changed, and copies the jars of Debezium and of Apicurio's
# converters into $DRAY_RIG/debezium/libs and $DRAY_RIG/apicurio/libs. Prints nothing when up to date; once the jars are there it needs no network.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rig=${DRAY_RIG:-$(cd "$here/../.." && pwd)/.rig}
out="$rig/oracle"
"$here/../rig/kafka.sh" fetch
# Beside Kafka's jars, not among them: on the class path of Connect they would add plugins that the comparisons of its REST API do not expect.
jars_of() { # NAME: what NAME.xml lists, into $rig/NAME/libs
  local name=$1 libs="$rig/$1/libs" wanted jars copy
  wanted=$(cksum <"$here/$name.xml")
  [ ! -f "$libs/.complete" ] || [ "$(cat "$libs/.complete")" != "$wanted" ] || return 0
  command -v mvn >/dev/null || { echo "build.sh: mvn is missing: run \`make setup\`" >&2; exit 1; }
  echo "build.sh: fetching the jars of $name.xml with Maven" >&2
  mkdir -p "$rig/$name"
  jars=$(mktemp -d "$rig/$name/libs.XXXXXX")
  copy=(mvn -q -B -f "$here/$name.xml" dependency:copy-dependencies -DoutputDirectory="$jars")
  "${copy[@]}" -o >/dev/null 2>&1 || "${copy[@]}" >&2 || { rm -rf "$jars"; echo "build.sh: Maven could not fetch the jars of $name.xml" >&2; exit 1; }
  echo "$wanted" >"$jars/.complete"
  rm -rf "$libs"; mv "$jars" "$libs"
}
jars_of debezium
jars_of apicurio
# Definitions.java is run by hand and is no part of the oracle.
cd "$here/src/main/java"
sources=$(find . -name '*.java' ! -name Definitions.java | LC_ALL=C sort)
want="$(xargs cat <<<"$sources" | cksum) $(cat "$rig/kafka/libs/.complete")"
[ ! -f "$out/.complete" ] || [ "$(cat "$out/.complete")" != "$want" ] || exit 0
command -v javac >/dev/null || { echo "build.sh: javac (a JDK, 17 or newer) is missing: run \`make setup\`" >&2; exit 1; }
echo "build.sh: compiling the oracle" >&2
# shellcheck disable=SC2086 # one word a file
new=$(mktemp -d "$rig/oracle.XXXXXX")
javac --release 17 -encoding UTF-8 -Xlint:all,-classfile,-processing,-path -Werror -proc:none -cp "$rig/kafka/libs/*:$rig/apicurio/libs/*" -d "$new" $sources ||
  { rm -rf "$new"; exit 1; }
echo "$want" >"$new/.complete"
rm -rf "$out"; mv "$new" "$out"
