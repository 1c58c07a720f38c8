#!/usr/bin/env bash
# Makes the secret files that docker-compose.yml mounts. Files that exist are left alone.
#   scripts/make-secrets.sh [DIRECTORY]       default: $TESTFLEET_SECRETS, else ./secrets
# The mail server is SMTP_URL (default: the catcher of the profile `mail`), the stub's token is STUB_TOKEN, the name of the
# Redis REDIS_HOST (default: redis, as docker-compose.yml calls it; testfleet-redis in deploy/kubernetes).
set -euo pipefail
cd "$(dirname "$0")/.."
directory=${1:-${TESTFLEET_SECRETS:-secrets}}

# Only the owner gets into the directory. The files must be readable for the users inside the containers.
mkdir -p "$directory"
chmod 700 "$directory"

put() { # NAME TEXT
  if [ -e "$directory/$1" ]; then
    echo "kept  $directory/$1"
  else
    printf '%s\n' "$2" > "$directory/$1"
    chmod 644 "$directory/$1"
    echo "made  $directory/$1"
  fi
}

if [ -e "$directory/redis_conf" ]; then
  password=$(cut -d' ' -f2 "$directory/redis_conf")
else
  password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
fi
put redis_conf "requirepass $password"
put redis_url "redis://:$password@${REDIS_HOST:-redis}:6379"
put smtp_url "${SMTP_URL:-smtp://mail:2525}"
put stub_token "${STUB_TOKEN:-local-demo-token}"
