#!/usr/bin/env bash
# Makes a fresh Debian 12, Debian 13 or Ubuntu 24.04 machine ready to build and test Caldera.
# Run it again at will: what is there already is left alone, in a fraction of a second.
#
# Beside the system's packages it unpacks a few of Debian 13's into $CALDERA_PREFIX/debian13, and
# installs none of them: a shader compiler that knows cooperative matrices (bin/), newer Vulkan
# headers (include/), and the newest Mesa software driver with its loader and validation layer
# (tree/). Those programs run by that release's own dynamic linker, so nothing of the system is
# replaced. Beside it goes the library that draws the pages of `--report`, from the npm registry
# ($CALDERA_PREFIX/chart.js).
#
#   CALDERA_PREFIX         where that goes; default ~/.cache/caldera
#   CALDERA_DEBIAN_MIRROR  a Debian mirror; default: the one that this system's apt uses
set -euo pipefail

say() { echo "setup: $*"; }
fail() { echo "setup: $*" >&2; exit 1; }

case "${1:-}" in
  '') ;;
  -h | --help) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  *) fail "unknown option '$1'; it takes none but --help" ;;
esac

[[ -r /etc/os-release ]] || fail "no /etc/os-release: install by hand what this script lists"
. /etc/os-release
case "$ID:$VERSION_ID" in
  debian:12 | debian:13 | ubuntu:24.04) ;;
  *) fail "this is ${PRETTY_NAME:-$ID}; only Debian 12, Debian 13 and Ubuntu 24.04 are set up" \
    "by this script" ;;
esac

[[ -n "${CALDERA_PREFIX:-}${HOME:-}" ]] || fail "set HOME or CALDERA_PREFIX"
prefix=${CALDERA_PREFIX:-$HOME/.cache/caldera}
mkdir -p "$prefix" || fail "cannot write to $prefix; set CALDERA_PREFIX to a folder that is yours"
prefix=$(cd "$prefix" && pwd)
log=$prefix/setup.log
exec 9>"$prefix/setup.lock"
flock 9  # Two runs at once would unpack into one folder.
: >"$log"

# run_logged WHAT COMMAND...: three tries, for networks fail; its output goes to the log.
run_logged() {
  local what=$1 try
  shift
  for try in 1 2 3; do
    if "$@" >>"$log" 2>&1 </dev/null; then return 0; fi
    [[ $try == 3 ]] || sleep $((try * 5))
  done
  local reason
  reason=$(grep -E '^(E|Err|dpkg-deb: error|ERROR):?' "$log" | tail -n 1) || true
  echo "setup: $what failed three times: ${reason:-see $log}" >&2
  return 1
}

# --- The system's packages ---------------------------------------------------------------------

apt_options=(-y --no-install-recommends -o Acquire::Retries=3 -o DPkg::Lock::Timeout=600
  -o Dpkg::Options::=--force-confold)

as_root() {
  if [[ $(id -u) == 0 ]]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

need_root() {
  [[ $(id -u) == 0 ]] || command -v sudo >/dev/null ||
    fail "packages are missing, and this is neither root nor a system with sudo: $*"
}

updated=
update_lists() {
  [[ -z $updated ]] || return 0
  run_logged "apt-get update" as_root apt-get update -o Acquire::Retries=3 || exit 1
  updated=yes
}

# The names given that are not installed.
missing() {
  local installed
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
    sed -n 's/^installed //p') || true
  grep -vxF -e "$installed" < <(printf '%s\n' "$@") || true
}

available() {
  [[ $(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p') == [0-9]* ]]
}

install_packages() {
  local wanted
  mapfile -t wanted < <(missing "$@")
  ((${#wanted[@]})) || return 0
  need_root "${wanted[*]}"
  update_lists
  say "installing ${wanted[*]}"
  run_logged "apt-get install" as_root apt-get install "${apt_options[@]}" "${wanted[@]}"
}

# Debian 12's own Mesa, 22.3.6, works too; that of its backports is nearer to what users have. All
# of Mesa's packages have to come from there together, so apt is told to prefer them.
prefer_new_mesa() {
  local source=/etc/apt/sources.list.d/bookworm-backports.list
  local pin=/etc/apt/preferences.d/caldera-mesa
  local version
  version=$(dpkg-query -W -f='${Version}' mesa-vulkan-drivers 2>/dev/null) || true
  if [[ -n $version && -z $(missing "$@") ]] && dpkg --compare-versions "$version" ge 25; then
    return
  fi
  need_root "mesa-vulkan-drivers of bookworm-backports"
  if ! apt-get indextargets --format '$(RELEASE)' | grep -qx bookworm-backports; then
    local mirror
    mirror=$(debian_mirror)
    echo "deb $mirror bookworm-backports main" | as_root tee "$source" >/dev/null
    if ! run_logged "apt-get update with bookworm-backports" \
      as_root apt-get update -o APT::Update::Error-Mode=any; then
      as_root rm -f "$source"
      say "going on with Debian 12's own Mesa"
      return
    fi
    updated=yes
  fi
  printf 'Package: src:mesa src:libdrm\nPin: release n=bookworm-backports\nPin-Priority: 500\n' |
    as_root tee "$pin" >/dev/null
  if [[ -n $version ]] && dpkg --compare-versions "$version" lt 25; then
    update_lists
    say "installing mesa-vulkan-drivers from bookworm-backports"
    run_logged "Mesa from bookworm-backports" as_root apt-get install "${apt_options[@]}" \
      mesa-vulkan-drivers || say "going on with Debian 12's own Mesa"
  fi
}

# PyTorch is the reference that the tests compare with; the library and program never need it.
# Where the system has no package of it, a virtual environment in the prefix has.
pytorch=(python3-torch python3-torchvision python3-numpy python3-pil)
install_pytorch() {
  if [[ -x $prefix/python/bin/python3 ]]; then return; fi
  if [[ -n $(missing "${pytorch[@]}") ]]; then
    update_lists
    local package
    for package in "${pytorch[@]}"; do
      available "$package" && continue
      say "$PRETTY_NAME has no package $package: taking PyTorch from PyPI into $prefix/python"
      install_packages python3-venv
      rm -rf "$prefix/python.new"
      python3 -m venv "$prefix/python.new"
      run_logged "pip install torch" "$prefix/python.new/bin/pip" install \
        torch torchvision numpy pillow || return 1
      mv "$prefix/python.new" "$prefix/python"
      return
    done
  fi
  install_packages "${pytorch[@]}"
}

# --- Debian 13's packages, unpacked ------------------------------------------------------------

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Where this system's apt finds Debian. Ubuntu's debootstrap knows a mirror of Debian's as well.
debian_mirror() {
  local mirror=${CALDERA_DEBIAN_MIRROR:-}
  if [[ -z $mirror && $ID == debian ]]; then
    mirror=$(apt-get indextargets --format '$(RELEASE) $(SITE)' |
      awk -v release="$VERSION_CODENAME" '$1 == release { print $2; exit }')
  elif [[ -z $mirror ]]; then
    mirror=$(sed -n 's/^[[:space:]]*default_mirror \(http[^ ]*\).*/\1/p' \
      /usr/share/debootstrap/scripts/{trixie,sid} 2>/dev/null | head -n 1) || true
  fi
  [[ -n $mirror ]] || fail "no Debian mirror among apt's sources; set CALDERA_DEBIAN_MIRROR"
  echo "$mirror"
}

debian13_packages=(glslang-tools spirv-tools libvulkan-dev libvulkan1 vulkan-validationlayers
  mesa-vulkan-drivers/trixie-backports)
# Bump when what is made of the packages changes.
debian13_stamp="2 ${debian13_packages[*]}"

unpack_debian13() {
  local target=$prefix/debian13 new=$prefix/debian13.new
  if [[ -r $target/stamp && $(<"$target/stamp") == "$debian13_stamp" ]]; then return; fi
  local mirror
  mirror=$(debian_mirror)
  [[ -r $keyring ]] || fail "no $keyring: install debian-archive-keyring"
  say "unpacking Debian 13's shader compiler and Vulkan driver into $target"
  rm -rf "$new"
  mkdir -p "$new"/apt/{lists/partial,archives/partial} "$new"/{bin,include,tree}

  # An apt of its own: it knows nothing of this system, checks Debian's signature, and reckons
  # the dependencies down to libc.
  : >"$new/apt/status"
  printf "deb [signed-by=$keyring] $mirror %s main\n" trixie trixie-backports \
    >"$new/apt/sources.list"
  cat >"$new/apt/apt.conf" <<CONF
Dir::Etc "$new/apt";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "$new/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$new/apt";
Dir::State::status "$new/apt/status";
Dir::State::lists "$new/apt/lists";
Dir::Cache "$new/apt";
Dir::Cache::archives "$new/apt/archives";
APT::Sandbox::User "$(id -un)";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
  # Proxies and certificates as the system has them.
  apt-config dump | grep -E '^Acquire::(https?|Check-[A-Za-z-]+|ForceIPv[46])\b' \
    >>"$new/apt/apt.conf" || true
  local apt_get=(env "APT_CONFIG=$new/apt/apt.conf" apt-get)
  run_logged "reading Debian 13's package lists" "${apt_get[@]}" -o APT::Update::Error-Mode=any \
    update || return 1
  run_logged "fetching Debian 13's packages" "${apt_get[@]}" install -y --download-only \
    "${debian13_packages[@]}" || return 1

  local deb
  for deb in "$new"/apt/archives/*.deb; do
    run_logged "unpacking ${deb##*/}" dpkg-deb -x "$deb" "$new/tree" || return 1
  done
  rm -rf "$new"/apt "$new"/tree/usr/share/{doc,man,locale,lintian,bug,python3,zoneinfo}
  rm -rf "$new"/tree/{etc,var,usr/lib/python3*}
  mv "$new"/tree/usr/include/{vulkan,vk_video} "$new/include/"

  # launch PROGRAM...: by the tree's linker; libraries that the tree lacks are the system's.
  cat >"$new/bin/launch" <<'LAUNCH'
#!/bin/sh
# Runs a program by the tree's dynamic linker, with the tree's libraries before the system's.
tree=$(cd "$(dirname "$(readlink -f "$0")")/../tree" && pwd)
program=$(command -v "$1") || { echo "launch: no program '$1'" >&2; exit 127; }
shift
for linker in "$tree"/usr/lib*/ld-linux-*.so.* "$tree"/lib*/ld-linux-*.so.*; do
  [ -x "$linker" ] && break
done
libraries=
for folder in "$tree"/usr/lib/*-linux-gnu "$tree"/lib/*-linux-gnu; do
  [ -d "$folder" ] && libraries=$libraries${libraries:+:}$folder
done
exec "$linker" --library-path "$libraries" "$program" "$@"
LAUNCH
  local tool
  for tool in glslangValidator spirv-val spirv-opt; do
    printf '#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")\nexec "$here/launch" %s "$@"\n' \
      "\"\$here/../tree/usr/bin/$tool\"" >"$new/bin/$tool"
  done
  chmod +x "$new"/bin/*
  "$new/bin/glslangValidator" --version >>"$log" 2>&1 ||
    fail "Debian 13's glslangValidator does not run here; see $log"
  echo "$debian13_stamp" >"$new/stamp"
  rm -rf "$target"
  mv "$new" "$target"
}

# --- What reports draw with ---------------------------------------------------------------------

# One file of it, which the build embeds in the program. The checksum is of the package: what the
# registry gives has to be what was looked at here.
chart_version=4.6.1
chart_sha512=849ca78ae72c166abffc4bd762f27a73a99a84fa08de46b1763547f1ac13689fdf0cd59e4aaaaa02b8b13095a458d37a7dc62f3d4dc79de480345358b518bad6

unpack_chart_library() {
  local target=$prefix/chart.js new=$prefix/chart.js.new
  if [[ -r $target/version && $(<"$target/version") == "$chart_version" ]]; then return; fi
  command -v npm >/dev/null || install_packages npm || return 1
  say "unpacking Chart.js $chart_version into $target"
  rm -rf "$new"
  mkdir -p "$new"
  run_logged "npm pack chart.js" npm pack "chart.js@$chart_version" --pack-destination "$new" ||
    return 1
  local package=$new/chart.js-$chart_version.tgz
  echo "$chart_sha512  $package" | sha512sum --check --status ||
    fail "$package is not the package whose checksum this script holds: it was not taken"
  tar -xzf "$package" -C "$new" --strip-components=1 \
    package/dist/chart.umd.min.js package/LICENSE.md || return 1
  mv "$new"/dist/* "$new"
  rm -r "$new/dist" "$package"
  echo "$chart_version" >"$new/version"
  rm -rf "$target"
  mv "$new" "$target"
}

# -----------------------------------------------------------------------------------------------

packages=(
  build-essential cmake ninja-build pkg-config unzip
  libvulkan-dev libvulkan1 libvulkan-volk-dev vulkan-tools vulkan-validationlayers
  mesa-vulkan-drivers
  glslang-tools spirv-tools spirv-headers
  libfmt-dev nlohmann-json3-dev libcli11-dev libstb-dev
  libzip-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  clang-format clang-tidy
  debian-archive-keyring
)
# SwiftShader comes in Debian's Chromium. Ubuntu's Chromium is a snap.
if [[ $ID == debian ]]; then packages+=(chromium); else packages+=(debootstrap); fi

[[ $ID:$VERSION_ID != debian:12 ]] || prefer_new_mesa "${packages[@]}" "${pytorch[@]}"
install_packages "${packages[@]}" || exit 1
install_pytorch || exit 1
unpack_debian13 || exit 1
unpack_chart_library || say "going on without Chart.js: \`--report\` is left out"

notes=
[[ $ID == debian ]] || notes="; no SwiftShader: Ubuntu's Chromium is a snap"
say "ready; Debian 13's tools are in $prefix/debian13$notes"
