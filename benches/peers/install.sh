#!/usr/bin/env bash
# Installs the peers outside of the repository, in ${PEERS_HOME:-~/.cache/testfleet-peers}: install.sh [PEER...], all without one.
# Sidekiq is Debian's; apt-get needs root.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
home=${PEERS_HOME:-$HOME/.cache/testfleet-peers}
peers=("$@")
if [ ${#peers[@]} = 0 ]; then peers=(bullmq apalis celery sidekiq taskiq dramatiq); fi
rust=()
mkdir -p "$home"

python() { # PEER: all Python peers share an environment
  [ -x "$home/venv/bin/pip" ] || python3 -m venv "$home/venv"
  "$home/venv/bin/pip" install -q --disable-pip-version-check -c "$here/constraints.txt" -r "$here/$1/requirements.txt"
}

for peer in "${peers[@]}"; do
  case ${peer%%:*} in
    testfleet) ;;
    apalis) rust+=(-p peer-apalis) ;;
    bullmq)
      mkdir -p "$home/bullmq"
      cp "$here"/bullmq/package*.json "$home/bullmq/"
      (cd "$home/bullmq" && npm ci --silent --no-audit --no-fund)
      ;;
    celery | taskiq | dramatiq) python "${peer%%:*}" ;;
    sidekiq) command -v sidekiq > /dev/null || apt-get install -y -qq --no-install-recommends ruby-sidekiq > /dev/null ;;
    *)
      echo "there is no peer ${peer%%:*}; there are: bullmq apalis celery sidekiq taskiq dramatiq" >&2
      exit 2
      ;;
  esac
done
(cd "$here" && CARGO_TARGET_DIR=$home/target cargo build --quiet --release --locked -p peer-mock "${rust[@]}")
