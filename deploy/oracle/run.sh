#!/usr/bin/env bash
# Starts the oracle: JSON lines in, JSON lines out. The protocol is at the head of Oracle.java; build.sh has to have run.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rig=${DRAY_RIG:-$(cd "$here/../.." && pwd)/.rig}
[ -f "$rig/oracle/.complete" ] || { echo "run.sh: the oracle is not built: run deploy/oracle/build.sh" >&2; exit 1; }
for name in debezium apicurio; do
  [ -f "$rig/$name/libs/.complete" ] || { echo "run.sh: the jars of $name are missing: run deploy/oracle/build.sh" >&2; exit 1; }
done
exec java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Ddray.log=fatal -Dlog4j2.configurationFile="$here/../rig/log4j2.properties" \
  -cp "$rig/oracle:$rig/kafka/libs/*:$rig/debezium/libs/*:$rig/apicurio/libs/*" Oracle
