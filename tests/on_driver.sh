#!/usr/bin/env bash
# on_driver.sh DRIVER PROGRAM [ARGS...]: runs a program so that it sees one Vulkan driver and no
# other. DRIVER is lavapipe (Mesa's, of this system), lavapipe-next (Mesa's newest, in the Debian
# 13 tree that tools/setup.sh unpacks), swiftshader (of Debian's Chromium), or the name of any
# ICD file without its "_icd.json": "nvidia", "radeon".
#
# The program finds the name in CALDERA_TEST_DRIVER, and in CALDERA_TEST_LAUNCHER what stands
# before a command line that is to see the same driver: empty, or a program.
#
# Where the driver is not installed: exit code 77, by which CTest skips a test, or 1 where
# CALDERA_REQUIRE_DRIVERS=1.
set -euo pipefail

if (($# < 2)); then
  echo "usage: $0 DRIVER PROGRAM [ARGS...]" >&2
  exit 2
fi
driver=$1
shift

debian13=${CALDERA_PREFIX:-${HOME:-/root}/.cache/caldera}/debian13
launcher=()

# The ICD file of a driver: of the folders given, the first that has NAME_icd.json or, as many
# drivers' packages name it, NAME_icd.x86_64.json.
find_icd() {
  local name=$1 folder file
  shift
  for folder in "$@"; do
    for file in "$folder/${name}_icd.json" "$folder/${name}_icd.$(uname -m).json"; do
      if [[ -r $file ]]; then
        echo "$file"
        return
      fi
    done
  done
}

system=(/etc/vulkan/icd.d /usr/local/share/vulkan/icd.d /usr/share/vulkan/icd.d
  "${HOME:-/root}/.local/share/vulkan/icd.d")
case $driver in
  lavapipe) icd=$(find_icd lvp "${system[@]}") ;;
  swiftshader) icd=$(find_icd vk_swiftshader /usr/lib/chromium "${system[@]}") ;;
  lavapipe-next)
    icd=$(find_icd lvp "$debian13/tree/usr/share/vulkan/icd.d")
    launcher=("$debian13/bin/launch")
    # The system's validation layer is older than the driver, and made for an older libc.
    export VK_LAYER_PATH=$debian13/tree/usr/share/vulkan/explicit_layer.d
    ;;
  *) icd=$(find_icd "$driver" "${system[@]}") ;;
esac

if [[ -z $icd ]]; then
  echo "on_driver.sh: no Vulkan driver '$driver' is installed (tools/setup.sh installs those tested)"
  [[ ${CALDERA_REQUIRE_DRIVERS:-} == 1 ]] && exit 1
  exit 77
fi

# The validation layers leak at the end, from modules unloaded by then, which no suppression can
# name. (The program without them leaks nothing: `caldera verify` with the asan preset.)
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}

export VK_DRIVER_FILES=$icd
export VK_ICD_FILENAMES=$icd  # What loaders before 1.3.207 read.
export NODEVICE_SELECT=1      # Mesa's implicit layer has nothing to choose from.
export CALDERA_TEST_DRIVER=$driver
export CALDERA_TEST_LAUNCHER=${launcher[*]}
exec "${launcher[@]}" "$@"
