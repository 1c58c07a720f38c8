#!/usr/bin/env bash
# Submits a suite: dispatch.sh TESTFLEET SUITE. The start of the program counts, other than with the peers.
set -euo pipefail
t0=$EPOCHREALTIME
run=$("$1" --log error submit "$2")
t1=$EPOCHREALTIME
printf '{"t0": %s, "t1": %s, "run": "%s"}\n' "$t0" "$t1" "$run"
