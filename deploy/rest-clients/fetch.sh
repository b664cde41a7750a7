#!/usr/bin/env bash
# Brings the clients of Kafka Connect, and Schemathesis, into .rig/rest-clients: from PyPI and npm, in the versions of requirements.txt and
# package-lock.json. Nothing is done, and no network needed, when they are there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${DRAY_RIG:-$here/../../.rig}/rest-clients
versions=$(cat "$here/requirements.txt" "$here/package-lock.json" | sha256sum)
[ "$(cat "$folder/versions" 2>/dev/null)" = "$versions" ] && exit
echo "rest-clients: fetching from PyPI and npm" >&2
rm -rf "$folder"
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
cp "$here/package.json" "$here/package-lock.json" "$folder"
(cd "$folder" && npm ci --silent --no-audit --no-fund)
echo "$versions" >"$folder/versions"
