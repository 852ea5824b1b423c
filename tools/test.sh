#!/usr/bin/env bash
# tools/test.sh [--preset NAME] [--no-setup] [--quick] [CTEST ARGUMENTS...]: sets the machine up,
# builds and runs the tests. NAME is release (the default), debug, asan or tsan, as in
# CMakePresets.json. --quick: those of a minute alone, and only what they need is built.
#
#   tools/test.sh -L host                   only the tests that need no Vulkan device
#   tools/test.sh --preset asan -R runtime  only those named so, with the sanitizers
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
setup=yes
target=all
while (($#)); do
  case $1 in
    --preset) preset=${2:?"test.sh: --preset needs a name"}; shift 2 ;;
    --preset=*) preset=${1#*=}; shift ;;
    --no-setup) setup=; shift ;;
    --quick) target=caldera_quick; shift ;;
    -h | --help) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) break ;;
  esac
done

[[ -z $setup ]] || tools/setup.sh

cmake --preset "$preset"
cmake --build --preset "$preset" --target "$target"
[[ $target == all ]] || set -- -L quick "$@"

# A software driver fills the cores by itself, but compiles its kernels on one: so as many tests
# at once as there are cores.
ctest --preset "$preset" --no-tests=error -j "$(nproc)" "$@"
