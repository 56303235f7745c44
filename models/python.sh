#!/usr/bin/env bash
# Says where the Python is that has what models/requirements.txt lists, and makes it when it isn't there.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=target/models-venv
wanted=$(sha256sum < models/requirements.txt)
if [ "$(cat $venv/wanted 2>/dev/null)" != "$wanted" ]; then
  rm -rf $venv
  python3 -m venv $venv
  $venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement models/requirements.txt >&2
  printf '%s' "$wanted" > $venv/wanted
fi
echo "$PWD/$venv/bin/python"
