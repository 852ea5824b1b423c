#!/usr/bin/env bash
# gpu.sh FOLDER [SEED]: the device tests in a form that ends within three minutes on a GPU whose
# driver takes a second to compile a pipeline; and what was left out. FOLDER holds test programs, at
# any depth: a build folder, or what was copied from one. It needs neither CMake nor Python, so it
# runs on a machine that has the driver alone. By tests/on_driver.sh it sees one driver of several.
#
# Operators run a sample of their cases, drawn by SEED, which runs each kernel once in each
# precision and by each kind of test (tests/support/sample.h); networks, training and all else run
# whole. Programs run side by side, since compiling is the processor's work, but for what measures.
#
# CALDERA_TEST_SECONDS: the limit, 175. CALDERA_TEST_JOBS: programs at a time. CALDERA_TEST_LOGS: a
# folder for their output. If FOLDER holds reference_nets/ and reference_training/, which CTest's
# fixtures write, the programs that compare with PyTorch's files run too.
# Exit code: 0 where nothing failed, 1 where something did or nothing ran, 2 for misuse.
set -uo pipefail

if (($# < 1 || $# > 2)) || [[ ! -d $1 ]]; then
  echo "usage: $0 FOLDER [SEED]" >&2
  exit 2
fi
folder=$1
export CALDERA_TEST_SAMPLE=${2:-$RANDOM}
limit=${CALDERA_TEST_SECONDS:-175}
jobs=${CALDERA_TEST_JOBS:-$(nproc)}
logs=${CALDERA_TEST_LOGS:-$(mktemp -d)}
mkdir -p "$logs"
for files in reference_nets reference_training; do
  name=CALDERA_${files^^}
  if [[ -z ${!name:-} && -d $folder/$files ]]; then export "$name=$folder/$files"; fi
done

# Program and parts: a part is a process of its own, the longest first.
alone=(runtime_device_test/1)
together=(graph_ops_test/6 gpu_plans_test/4 fit_test/1 networks_test/2 network_training_test/1
  graph_training_test/2 graph_session_test/1 graph_slicing_test/1 training_repeats_test/1
  runtime_cooperative_matrix_test/1 graph_tuner_test/1 graph_steady_test/1 predictor_test/1
  real_checkpoints_test/1)

left() { echo $((limit - SECONDS)); }

# run PROGRAM PART PARTS: its output, exit code and seconds go to files in $logs.
run() {
  local program=$1 part=$2 parts=$3 path started=$SECONDS code=0 seconds
  local log=$logs/$program.$part
  path=$(find "$folder" -type f -name "$program" -perm -u+x | head -n 1)
  seconds=$(left)
  if ((seconds < 25)); then
    echo "Left out: no time" >"$log"
    return
  fi
  # Operators are parted by kernel, all others by test.
  local -a parted=(CALDERA_TEST_PART="$part/$parts")
  if [[ $program != graph_ops_test ]]; then
    parted=(GTEST_TOTAL_SHARDS="$parts" GTEST_SHARD_INDEX=$((part - 1)))
  fi
  # A program begins nothing in the last 20 seconds, and is ended if it has not come to its end.
  env "${parted[@]}" CALDERA_TEST_SECONDS=$((seconds - 20)) \
    timeout -k 5 "$seconds" "$path" >"$log" 2>&1 || code=$?
  echo "Exit: $code after $((SECONDS - started)) s" >>"$log"
}

# start NAME/PARTS...
start() {
  local entry program parts part
  for entry in "$@"; do
    program=${entry%/*} parts=${entry#*/}
    if [[ -z $(find "$folder" -type f -name "$program" -perm -u+x | head -n 1) ]]; then
      missing+=("$program")
      continue
    fi
    for ((part = 1; part <= parts; ++part)); do
      while (($(jobs -rp | wc -l) >= jobs)); do wait -n; done
      run "$program" "$part" "$parts" &
      started+=("$program.$part")
    done
  done
  wait
}

if ! find "$folder" -type f -name runtime_device_test -perm -u+x | grep -q .; then
  echo "$0: $folder holds no test programs, such as runtime_device_test: build them first" >&2
  exit 2
fi
missing=() started=()
echo "Seed $CALDERA_TEST_SAMPLE, at most $limit s, $jobs programs at a time, output in $logs"
start "${alone[@]}"
start "${together[@]}"
grep -hm 1 "^On " "$logs"/* | sort -u | head -n 1

number() { sed -nE "s/^Sample: .*[^0-9]([0-9]+) $2.*/\1/p" "$logs/$1" | tail -n 1; }
failures=0 late=0 skipped=0 covered=0 passed=0
printf '%-36s %7s %7s %7s %8s %8s  %s\n' program passed failed skipped covered "no time" ended
for name in "${started[@]}"; do
  ended=$(sed -n 's/^Exit: //p' "$logs/$name" | tail -n 1)
  p=$(grep -c '^\[       OK \]' "$logs/$name") f=$(grep -cE '^\[  FAILED  \].*ms\)$' "$logs/$name")
  s=$(number "$name" skipped)
  c=$(number "$name" "covered by") l=$(number "$name" "out of time")
  printf '%-36s %7s %7s %7s %8s %8s  %s\n' "$name" "$p" "$f" "${s:--}" "${c:--}" \
    "${l:--}" "${ended:-not begun}"
  passed=$((passed + p)) skipped=$((skipped + ${s:-0})) covered=$((covered + ${c:-0}))
  late=$((late + ${l:-0}))
  case ${ended%% *} in
    0) ;;
    "") late=$((late + 1)) ;;
    *) failures=$((failures + 1)) ;;  # 124 and 137: ended, for it hung or took too long.
  esac
done

for name in "${started[@]}"; do
  grep -qE "^Exit: [1-9]" "$logs/$name" || continue
  echo
  echo "== $name"
  grep -E "^\[  FAILED  \].*(ms\)|GetParam)" "$logs/$name" | sort -u | head -n 20
  grep -A 8 -m 3 ": Failure" "$logs/$name" || tail -n 15 "$logs/$name"
done

echo
echo "Left out:"
echo "  $covered cases whose kernels ran on other cases; $late for want of time"
for program in "${missing[@]}"; do echo "  $program: not in $folder"; done
cat "$logs"/* | sed -nE 's/^On no case: (.*)/  on no case, as a rule because no device like this runs it: \1/p' | sort -u
# Why tests were skipped, and how many for each reason.
cat "$logs"/* | grep -A 1 ": Skipped" | grep -vE "^--|: Skipped|^covered:|^left out:" |
  sort | uniq -c | sort -rn | head -n 20
echo "  what reads no device, and tools/: run ctest -L host, and tools_*_test where they were built"
echo
echo "$passed passed, $failures programs failed, $SECONDS s"
((failures == 0 && passed > 0))
