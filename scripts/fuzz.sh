#!/usr/bin/env bash
# Fuzzes the decoders: `scripts/fuzz.sh [--seconds N] [--build] [target…]`, all targets for 60 s each by default.
#
# The targets are in fuzz/targets, what they check in fuzz/src/decoder, what they begin with in fuzz/corpus/<target>.
# Everything is stable Rust: the compiler's coverage pass is switched on by flags and libFuzzer is linked in, which needs
# a C++ compiler. What libFuzzer finds on its way is kept in target/fuzz/found/<target> and not in the repository; an
# input that breaks a check is kept in target/fuzz/broken/<target>-… and named here. Put it into the corpus under a name
# that says what it is: an ordinary test replays every file of the corpora (tests/tests/corpora/).
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=60
only_build=
targets=()
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
    --build) only_build=yes; shift ;;
    -*) echo "usage: scripts/fuzz.sh [--seconds N] [--build] [target…]" >&2; exit 2 ;;
    *) targets+=("$1"); shift ;;
  esac
done
if [ ${#targets[@]} -eq 0 ]; then
  for file in fuzz/targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi
for target in "${targets[@]}"; do
  [ -f "fuzz/targets/$target.rs" ] || { echo "there is no target $target in fuzz/targets" >&2; exit 2; }
done
command -v c++ >/dev/null || command -v g++ >/dev/null || { echo "a C++ compiler is needed: apt-get install g++" >&2; exit 1; }

place=${CARGO_TARGET_DIR:-target}/fuzz
mkdir -p "$place"
place=$(cd "$place" && pwd)
triple=$(rustc -vV | sed -n 's/^host: //p')
pass="-Cllvm-args=-sanitizer-coverage"
# --target keeps the flags away from build scripts and procedural macros.
RUSTFLAGS="-Cpasses=sancov-module $pass-level=4 $pass-inline-8bit-counters $pass-pc-table $pass-trace-compares --cfg fuzzing" \
  CARGO_INCREMENTAL=0 cargo build --manifest-path fuzz/Cargo.toml --release --locked --target "$triple" \
  --target-dir "$place" $(printf -- '--bin %s ' "${targets[@]}")
[ -z "$only_build" ] || exit 0

broken=0
for target in "${targets[@]}"; do
  mkdir -p "$place/found/$target" "$place/broken"
  log=$place/$target.log
  echo "==== $target, $seconds s"
  # The bounds of one input: 5 s, 2 GiB, 16 KiB.
  if "$place/$triple/release/$target" "$place/found/$target" "fuzz/corpus/$target" -artifact_prefix="$place/broken/$target-" \
    -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 >"$log" 2>&1; then
    grep -E 'INITED|DONE|stat::(number_of_executed_units|average_exec_per_sec|slowest_unit_time_sec)' "$log" || true
  else
    broken=$((broken + 1))
    grep -E "^thread .* panicked|^[^ ].*panicked|ERROR: libFuzzer|Test unit written" -A2 "$log" | tail -20
    echo "$target: an input broke a check; the log is $log" >&2
  fi
done
[ "$broken" = 0 ] || { echo "$broken of ${#targets[@]} targets broke" >&2; exit 1; }
echo "${#targets[@]} targets, $seconds s each: no input broke a check"
