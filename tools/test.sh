#!/usr/bin/env bash
# tools/test.sh [--preset NAME] [--no-setup] [CTEST ARGUMENTS...]: sets the machine up, builds and
# runs the tests. NAME is release (the default), debug, asan or tsan, as in CMakePresets.json.
#
#   tools/test.sh -L host                   only the tests that need no Vulkan device
#   tools/test.sh --preset asan -R runtime  only those named so, with the sanitizers
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
setup=yes
while (($#)); do
  case $1 in
    --preset) preset=${2:?"test.sh: --preset needs a name"}; shift 2 ;;
    --preset=*) preset=${1#*=}; shift ;;
    --no-setup) setup=; shift ;;
    -h | --help) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) break ;;
  esac
done

[[ -z $setup ]] || tools/setup.sh

# Where the system has no package of PyTorch, tools/setup.sh made a Python that has it.
python=${CALDERA_PREFIX:-${HOME:-/root}/.cache/caldera}/python/bin/python3
[[ -x $python ]] || python=

cmake --preset "$preset" ${python:+"-DCALDERA_PYTHON=$python"}
cmake --build --preset "$preset"

# A software driver fills the cores by itself, but compiles its kernels on one: so as many tests
# at once as there are cores.
ctest --preset "$preset" --no-tests=error -j "$(nproc)" "$@"
