#!/usr/bin/env bash
# Installs httpbin, which some tests call, into target/httpbin: a virtual environment of its own, so nothing else changes.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.10.2
python=target/httpbin/bin/python
if "$python" -c "import importlib.metadata as m, sys; sys.exit(m.version('httpbin') != '$version')" 2> /dev/null; then
  echo "httpbin $version is in target/httpbin"
  exit 0
fi
mkdir -p target
python3 -m venv --clear target/httpbin
"$python" -m pip install --quiet --disable-pip-version-check "httpbin==$version"
echo "httpbin $version is in target/httpbin now"
