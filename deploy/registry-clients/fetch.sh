#!/usr/bin/env bash
# Brings Confluent's Python client with its serializers of Avro, JSON Schema and Protobuf into .rig/registry-clients: from PyPI, in the versions of requirements.txt.
# Nothing is done, and no network needed, when it is there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${DRAY_RIG:-$here/../../.rig}/registry-clients
versions=$(sha256sum <"$here/requirements.txt")
[ "$(cat "$folder/versions" 2>/dev/null)" = "$versions" ] && exit
echo "registry-clients: fetching from PyPI" >&2
rm -rf "$folder"
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
echo "$versions" >"$folder/versions"
