#!/usr/bin/env bash
# Sets the machine up, builds Caldera and shows it at work on the best device that the machine
# has: a GPU, else the software driver. With data (CALDERA_DATA, else ../shared/data beside the
# checkout) it scores a real checkpoint on the CIFAR-10 test images; without, it checks a seeded
# ResNet-18 layer by layer against the CPU, and times it. In the end it draws a small labelled set
# of images and fine-tunes a ResNet on it, with a report to look at.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n%s\n' "$*"; }

tools/setup.sh
cmake --preset release >/dev/null
cmake --build --preset release --target caldera make_shapes
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

# A ResNet that knows plain shapes learns them in colours, turned, of all sizes and under noise.
work=build/quickstart
rm -rf "$work"
build/release/tools/make_shapes "$work/plain" 1 100 --plain
build/release/tools/make_shapes "$work/shapes" 2 200
build/release/tools/make_shapes "$work/unseen" 3 50
report=()
if [[ -r ${CALDERA_PREFIX:-$HOME/.cache/caldera}/chart.js/version ]]; then
  report=(--report "$work/report")
fi
say "A ResNet-20 learns discs, squares, triangles and crosses, white on black:"
"$caldera" train cifar_resnet20 "$work/plain" --epochs 3 --batch 20 --lr 0.05 --augment none \
  --output "$work/plain.safetensors"
say "On shapes in colours, turned, of all sizes and under noise it is right so often:"
"$caldera" eval "$work/plain.safetensors" "$work/unseen" 2>/dev/null | grep '^top-1'
say "It is fine-tuned on $(find "$work/shapes" -type f | wc -l) of those:"
"$caldera" finetune "$work/plain.safetensors" "$work/shapes" --val "$work/unseen" --epochs 4 \
  --batch 20 --lr 0.02 --augment none --output "$work/shapes.safetensors" "${report[@]}"
say "And on the ones that it has not seen, it is now right so often:"
"$caldera" eval "$work/shapes.safetensors" "$work/unseen" | grep '^top-1'
if ((${#report[@]})); then say "The report, for any browser: $PWD/$work/report/report.html"; fi

say "The program is $PWD/$caldera. Try next:
  $caldera classify resnet50.pth cat.jpg   # a torchvision checkpoint and an image of yours
  $caldera --help                          # all it can do, with examples
\`cmake --install build/release --prefix ~/.local\` installs it, with the libraries."
