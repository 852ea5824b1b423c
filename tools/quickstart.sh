#!/usr/bin/env bash
# Sets the machine up, builds Caldera and shows it at work on the best device that the machine
# has: a GPU, else the software driver. With data (CALDERA_DATA, else ../shared/data beside the
# checkout) it scores a real checkpoint on the CIFAR-10 test images; without, it checks a seeded
# ResNet-18 layer by layer against the CPU, and times it.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n%s\n' "$*"; }

tools/setup.sh
cmake --preset release >/dev/null
cmake --build --preset release --target caldera
caldera=build/release/tools/caldera

say "The devices that Caldera sees; it takes the first:"
"$caldera" devices

data=${CALDERA_DATA:-../shared/data}
checkpoint=$data/checkpoints/resnet20-12fca82f.th
if [[ -r $checkpoint && -r $data/cifar10/test.zip ]]; then
  prefix=${CALDERA_PREFIX:-$HOME/.cache/caldera}
  images=$prefix/cifar10-test
  if [[ ! -d $images ]]; then
    rm -rf "$images.new"
    unzip -q "$data/cifar10/test.zip" -d "$images.new"
    mv "$images.new/test" "$images"
    rm -rf "$images.new"
  fi
  say "ResNet-20, trained on CIFAR-10 in PyTorch, on $(find "$images" -type f | wc -l) test images:"
  "$caldera" eval "$checkpoint" "$images"
else
  [[ -z ${CALDERA_DATA:-} ]] || say "No checkpoints/ and cifar10/ in $data: going on without data."
  say "ResNet-18 with random weights, every layer against the CPU's result:"
  "$caldera" verify resnet18 --seed 1 | tail -n 6
  say "The same net, timed on a random 224x224 image:"
  "$caldera" run resnet18 --seed 1
fi

say "The program is $PWD/$caldera. Try next:
  $caldera classify resnet50.pth cat.jpg   # a torchvision checkpoint and an image of yours
  $caldera --help                          # all it can do, with examples
\`cmake --install build/release --prefix ~/.local\` installs it, with the libraries."
