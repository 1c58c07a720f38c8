#!/usr/bin/env bash
# The fleet in containers, and what befalls containers: stopped, killed, scaled, rolled, cut off, their Redis restarted.
# After each, every test has one result, the run has one summary and one mail, and the stub's own list of calls says
# what was called twice: nothing, unless a worker was lost.
#
#   tests/compose.sh [--start-engine] [--image NAME] [--keep]
#
#   --start-engine  where none answers, use a private engine: install Debian's packages if they are not there, start
#                   it on a directory of its own, make the base images with debootstrap, stop it at the end. Needs
#                   root. Where that is not possible, one line says why and the script succeeds.
#   --image NAME    test this image instead of building one
#   --keep          leave everything running, and say where
#
# Without --start-engine it uses the engine that `docker` reaches, which must be on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

start_engine=false image='' keep=false private=false
while [ $# -gt 0 ]; do
  case $1 in
    --start-engine) start_engine=true ;;
    --image) image=$2; shift ;;
    --keep) keep=true ;;
    *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 2 ;;
  esac
  shift
done

say() { echo "compose: $*"; }
fail() { say "FAILED: $*" >&2; exit 1; }
skip() { say "containers were not tested: $*"; exit 0; }
now() { date +%s.%N; }
since() { python3 -c "print(f'{$(now) - $1:.1f}')"; }

work=$(mktemp -d "${TMPDIR:-/tmp}/testfleet-compose.XXXXXX")
project=testfleet-test-$$
tests=96 workers=3
account() { python3 tests/compose/account.py "$@"; }

# --- The engine -----------------------------------------------------------------------------------------------------

engine_pid=''
engine_start() {
  [ "$(id -u)" = 0 ] || skip "a private engine needs root"
  local missing=()
  command -v dockerd >/dev/null && command -v docker >/dev/null || missing+=(docker.io)
  command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1 || missing+=(docker-compose)
  command -v debootstrap >/dev/null || missing+=(debootstrap)
  command -v iptables >/dev/null || missing+=(iptables)
  if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || skip "${missing[*]} cannot be installed without apt-get"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
      > "$work/apt.log" 2>&1 || skip "${missing[*]} could not be installed: $(tail -1 "$work/apt.log")"
  fi
  mkdir -p "$work/engine"
  # An engine changes both of these, and leaves them changed.
  { printf '*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n*nat\nCOMMIT\n' && iptables-save; } \
    > "$work/iptables" 2>/dev/null || skip "a private engine needs iptables"
  cat /proc/sys/net/ipv4/ip_forward > "$work/ip_forward"
  # No bridge of its own: the networks of the test are made and removed by the test. Builds use the host's network.
  dockerd --data-root "$work/engine/data" --exec-root "$work/engine/exec" --pidfile "$work/engine/pid" \
    --host "unix://$work/engine/socket" --bridge none > "$work/engine/log" 2>&1 &
  engine_pid=$!
  export DOCKER_HOST=unix://$work/engine/socket
  for _ in $(seq 100); do
    docker info >/dev/null 2>&1 && { private=true; return; }
    kill -0 "$engine_pid" 2>/dev/null || break
    sleep 0.3
  done
  skip "no engine can run here: $(grep -i 'level=fatal\|failed to start' "$work/engine/log" | tail -1 | cut -c1-300)"
}

finish() {
  local code=$?
  trap - EXIT
  if $keep; then
    say "left running: DOCKER_HOST=${DOCKER_HOST:-} docker-compose -p $project; directory $work${engine_pid:+; engine $engine_pid}"
    exit "$code"
  fi
  if [ "$code" != 0 ] && [ -n "${COMPOSE:-}" ]; then
    dc logs --no-color --tail 40 2>/dev/null | tail -120 || true
  fi
  [ -z "${COMPOSE:-}" ] || dc down -v --remove-orphans -t 1 >/dev/null 2>&1 || true
  if [ -n "$engine_pid" ] && kill "$engine_pid" 2>/dev/null; then
    wait "$engine_pid" 2>/dev/null || true
    awk -v under="$work/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount || true
    iptables-restore < "$work/iptables" || true
    cat "$work/ip_forward" > /proc/sys/net/ipv4/ip_forward || true
  fi
  rm -rf "$work" || true
  exit "$code"
}
trap finish EXIT

if $start_engine && docker info >/dev/null 2>&1; then
  say "an engine answers already; using it"
elif $start_engine && pgrep -x dockerd >/dev/null; then
  # Two engines on one machine take each other's bridge away.
  skip "another engine runs here, which docker does not reach"
elif $start_engine; then
  engine_start
else
  docker info >/dev/null 2>&1 || skip "no container engine answers; --start-engine starts one"
fi
if command -v docker-compose >/dev/null; then COMPOSE=(docker-compose); else COMPOSE=(docker compose); fi
# Where an engine is at hand and something else is missing, that is a failure.
command -v python3 >/dev/null || fail "python3 is missing"

# --- Images ---------------------------------------------------------------------------------------------------------

build() { DOCKER_BUILDKIT=0 docker build ${network:+--network "$network"} "$@" > "$work/build.log" 2>&1 || { tail -30 "$work/build.log"; fail "docker build $*"; }; }
network=''; if $private; then network=host; fi

has() { docker image inspect "$1" >/dev/null 2>&1; }

# The images that Dockerfiles start from: pulled where there is something to pull from, made here where not.
base_debian() {
  has debian:bookworm-slim && return
  local mirror
  mirror=$(grep -hoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v snapshot | head -1 || true)
  debootstrap --variant=minbase bookworm "$work/debian" ${mirror:-} > "$work/debootstrap.log" 2>&1 \
    || skip "a base image could not be made: $(tail -1 "$work/debootstrap.log")"
  tar -C "$work/debian" -c . | docker import - debian:bookworm-slim >/dev/null
  rm -rf "$work/debian"
}

base_redis() {
  has redis:7-bookworm && return
  mkdir -p "$work/redis"
  cat > "$work/redis/Dockerfile" <<'END'
FROM debian:bookworm-slim
RUN groupadd -r -g 999 redis && useradd -r -g redis -u 999 redis \
 && apt-get update && apt-get install -y --no-install-recommends redis-server && install -d -o 999 -g 999 /data
WORKDIR /data
VOLUME /data
END
  build -t redis:7-bookworm "$work/redis"
}

# This machine's compiler, and the packages that Cargo has here already, so that the build inside needs no registry.
base_rust() {
  has rust:1.95-bookworm && return
  cargo fetch --locked --quiet --target "$(rustc -vV | sed -n 's/^host: //p')"
  local cargo=${CARGO_HOME:-$HOME/.cargo} rust configuration=()
  rust=$(rustc --print sysroot)
  mkdir -p "$work/rust"
  cat > "$work/rust/Dockerfile" <<'END'
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev ca-certificates
COPY rust /usr/local
COPY cargo /usr/local/cargo
ENV CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true
END
  for file in config.toml config; do
    if [ -e "$cargo/$file" ]; then configuration=("$file"); break; fi
  done
  tar -c -C "$work/rust" Dockerfile \
    --transform='s,^\(bin\|lib\)/,rust/\1/,' -C "$rust" bin/cargo bin/rustc lib \
    --transform='s,^\(registry\|config\),cargo/\1,' -C "$cargo" registry/cache registry/index "${configuration[@]}" \
    > "$work/rust.tar"
  build -t rust:1.95-bookworm - < "$work/rust.tar"
  rm "$work/rust.tar"
}

began=$(now)
if $private; then
  say "making base images"
  base_debian
  base_redis
  if [ -z "$image" ]; then base_rust; fi
fi
build -t testfleet-mail:latest deploy/mail
if [ -z "$image" ]; then
  say "building the image"
  image=testfleet:test
  build -t "$image" --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" .
fi
printf 'FROM %s\nLABEL deploy=next\n' "$image" > "$work/next"
build -t testfleet:next - < "$work/next"
images_took=$(since "$began")
image_bytes=$(docker image inspect -f '{{.Size}}' "$image")
image_size=$(python3 -c "print(f'{$image_bytes / 1e6:.2f} MB ({$image_bytes / 2**20:.2f} MiB)')")
say "image: $image_size; images made in $images_took s"

# --- The fleet ------------------------------------------------------------------------------------------------------

export TESTFLEET_IMAGE=$image TESTFLEET_SECRETS=$work/secrets TESTFLEET_SUITES=$work/suites
# So that the tests of a run are spread over all workers.
export TESTFLEET_WORKER_CONCURRENCY=5
dc() { "${COMPOSE[@]}" -p "$project" --profile stub --profile mail "$@"; }
up() { dc up -d --no-build "$@" > "$work/up.log" 2>&1 || { cat "$work/up.log"; fail "up $*"; }; }
cli() { dc run --rm --no-deps -T cli "$@" 2> "$work/cli.log"; }
worker_ids() { docker ps -q --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.service=worker; }
one_worker() { local ids; ids=$(worker_ids); echo "${ids%%$'\n'*}"; }
address() { docker inspect -f "{{(index .NetworkSettings.Networks \"${project}_outside\").IPAddress}}" "$(dc ps -q "$1")"; }

until_true() { # SECONDS WHAT COMMAND…
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$until" ] || fail "waited in vain for $what"
    sleep 0.2
  done
}

mkdir -p "$work/suites"
scripts/make-secrets.sh > /dev/null
for suite in support-bot ticket-flow; do
  sed 's/127\.0\.0\.1:8765/stub:8765/' "config/examples/$suite.yaml" > "$work/suites/$suite.yaml"
done
cp config/examples/*.jsonl "$work/suites"
account suite "$work/suites" "$tests"
chmod -R a+rX "$work/suites"
chmod 755 "$work"

say "starting $workers workers"
started=$(now)
up --scale worker=$workers
stub=http://$(address stub):8765

runs=() rows=()
submit() { # FILE → run
  run=$(cli submit "$1") || { cat "$work/cli.log"; fail "submit $1"; }
  runs+=("$run")
}
called() { [ "$(account calls "$stub" "$1")" -ge "$2" ]; }
mails() { dc exec -T mail sh -c "grep -l '^Message-ID: <$1' /mail/box/new/* 2>/dev/null | wc -l" | tr -d '\r '; }
mailed() { [ "$(mails "$1")" -ge 1 ]; }

check() { # RUN TOTAL [STATUS] → duplicates
  local code=0
  cli wait "$1" --json --quiet --timeout 3m > "$work/$1.json" || code=$?
  # 100: tests have failed, as the examples' do on purpose.
  case $code in 0 | 100) ;; *) cat "$work/cli.log"; fail "wait $1 has ended with $code" ;; esac
  duplicates=$(account check "$stub" "$1" "$2" "$work/$1.json" "${3:-Completed}") || fail "see above"
  until_true 20 "the mail of $1" mailed "$1"
}

parallel='' sequential='' scenario_began=''
begin() { # LATENCY CALLS: both kinds of run, in the middle
  account latency "$stub" "$1"
  scenario_began=$(now)
  submit fleet.yaml; parallel=$run
  submit ticket-flow.yaml; sequential=$run
  until_true 60 "calls of $parallel" called "$parallel" "$2"
}
row() { rows+=("$(printf '%-40s %6s %10s %9s  %s' "$@")"); say "${rows[-1]}"; }
end() { # NAME MOST-DUPLICATES NOTE
  local p s
  check "$parallel" "$tests"; p=$duplicates
  check "$sequential" 8; s=$duplicates
  [ $((p + s)) -le "$2" ] || fail "$1: $p and $s calls were made twice; at most $2 may be"
  row "$1" $((tests + 8)) $((p + s)) "$(since "$scenario_began")" "${3:-}"
}

# --- The examples, health ---------------------------------------------------------------------------------------------

scenario_began=$(now)
submit support-bot.yaml; parallel=$run
until_true 60 "the first call" called "$parallel" 1
first_call=$(python3 -c "print(f'{$(account first "$stub" "$parallel") - $started:.1f}')")
submit ticket-flow.yaml; sequential=$run
# One of its tests is in error on purpose.
check "$parallel" 48 Partial; p=$duplicates
check "$sequential" 8
[ $((p + duplicates)) = 0 ] || fail "calls of the examples were made twice"
row "the examples, Parallel and Sequential" 56 0 "$(since "$scenario_began")"

healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' $(worker_ids) | sort -u)" = healthy ]; }
until_true 60 "healthy workers" healthy
redis=$(dc ps -q redis) worker=$(one_worker)
asked() { docker exec "$worker" testfleet-worker healthcheck "$@" > "$work/health" 2>&1; }
unready() { ! asked --ready; }
asked --ready || fail "an idle worker is not ready: $(cat "$work/health")"
docker pause "$redis" > /dev/null
until_true 20 "an unready worker" unready
reason=$(cat "$work/health")
asked || fail "a worker is not live because Redis hangs: $(cat "$work/health")"
docker unpause "$redis" > /dev/null
until_true 20 "a ready worker" asked --ready
say "Redis paused: live, and not ready (\"$reason\"); ready again afterwards"

# --- What is planned: nothing is called twice --------------------------------------------------------------------------

begin 1000 10
worker=$(one_worker)
stop_began=$(now)
docker stop -t 40 "$worker" > /dev/null
code=$(docker inspect -f '{{.State.ExitCode}}' "$worker")
[ "$code" = 0 ] || fail "a worker that was told to stop has ended with $code"
note="ended with 0 after $(since "$stop_began") s"
end "one worker stopped (SIGTERM to process 1)" 0 "$note"
up --scale worker=1

begin 1000 6
up --no-recreate --scale worker=5
until_true 60 "more calls" called "$parallel" 40
up --no-recreate --scale worker=1
[ "$(worker_ids | wc -l)" = 1 ] || fail "there is not one worker left"
end "scaled 1 → 5 → 1" 0
up --no-recreate --scale worker=$workers

begin 1000 10
TESTFLEET_IMAGE=testfleet:next up --scale worker=$workers worker
for id in $(worker_ids); do
  [ "$(docker inspect -f '{{.Config.Image}}' "$id")" = testfleet:next ] || fail "a worker was not replaced"
done
end "all workers replaced by a new image" 0
export TESTFLEET_IMAGE=testfleet:next

begin 1000 10
dc restart redis > "$work/up.log" 2>&1 || { cat "$work/up.log"; fail "restart redis"; }
end "Redis restarted" 0

# --- What is not planned: only what was in flight is called again --------------------------------------------------------

begin 2000 10
killed=$(now)
docker kill "$(one_worker)" > /dev/null
# What one worker holds: five tests of the one run, or fewer and one of the other.
end "one worker killed" 5
takeover=$(account takeover "$stub" "$parallel" "$killed")
[ "$takeover" != - ] || takeover=$(account takeover "$stub" "$sequential" "$killed")
rows[-1]+="taken over after $takeover s"
up --no-recreate --scale worker=$workers

begin 3000 10
worker=$(one_worker)
docker network disconnect "${project}_store" "$worker"
sleep 14
docker network connect "${project}_store" "$worker"
end "one worker cut off from Redis for 14 s" 5
worker_is_back() { asked --ready; }
until_true 30 "the worker that was cut off" worker_is_back

# --- The end ---------------------------------------------------------------------------------------------------------

for run in "${runs[@]}"; do
  [ "$(mails "$run")" = 1 ] || fail "run $run was mailed $(mails "$run") times"
done
if dc logs --no-color worker 2>/dev/null | grep -i panicked; then fail "a worker has panicked"; fi

echo
printf '%-40s %6s %10s %9s  %s\n' scenario tests duplicates seconds ''
printf '%s\n' "${rows[@]}"
echo
printf '%-40s %s\n' 'image' "$image_size" 'images made in' "$images_took s" 'from up to the first call' "$first_call s" \
  'takeover after a kill' "$takeover s (a lease is 10 s)" 'runs, each with one summary and one mail' "${#runs[@]}"
[ "$image" != testfleet:test ] || [ "$image_bytes" -le 40000000 ] || fail "the image is larger than 40 MB"
say "passed in $(since "$began") s"
