// What kernels are guessed to take, for KernelVariant::cost: the numbers behind an order of
// variants that nobody measured on the device at hand. All are here but the rates of the tiles of
// *_gemm and *_coopmat, which stand beside the tiles. Guesses are compared with each other
// alone. Those of software drivers were measured (lavapipe, two cores), and those of
// conv2d_coopmat's tiles (an H200); other GPU rates come from the designs: which part of a
// processor's peak a tile's loads leave to its multiply-adds.
#pragma once

#include <cmath>

#include "runtime/capabilities.h"

namespace caldera {

// Multiply-adds a second of one of a GPU's processors, as an H200's were measured: by its vector
// units, in fp32, and by its matrix units on halves, in tiles that are as good as tiles get.
constexpr double kGpuRate = 230e9;
constexpr double kGpuMatrixRate = 1.2e12;
// The processors of a GPU whose driver does not tell.
constexpr double kGpuProcessors = 96;
inline double processors_of(const Capabilities& capabilities) {
  return capabilities.processors > 0 ? capabilities.processors : kGpuProcessors;
}
constexpr double kGpuDispatch = 3e-6;  // Seconds until a dispatch is under way.

// What a kernel reaches: on a GPU as a part of a processor's rate, on a software driver as
// multiply-adds a second of the whole.
struct KernelRate {
  double gpu = 0;
  double cpu = 0;
};

// `workgroups` of equal work, each of so many multiply-adds, those that pad its tile included. A
// GPU gives each of its processors one workgroup at a time, and waits for the last.
inline double guessed_seconds(const Capabilities& capabilities, double workgroups,
                              double multiply_adds, KernelRate rate,
                              double processor_rate = kGpuRate) {
  if (capabilities.cpu) return workgroups * multiply_adds / rate.cpu;
  const double waves = std::ceil(workgroups / processors_of(capabilities));
  return kGpuDispatch + waves * multiply_adds / (rate.gpu * processor_rate);
}

// Kernels without shared memory, whose loads are what they wait for.
constexpr KernelRate kDirectRate{0.01, 0.6e9};
constexpr KernelRate kDepthwiseRate{0.05, 3e9};
constexpr KernelRate kTileRate{0.08, 4.5e9};
// On GPUs alone: software drivers have their own figures, below.
constexpr KernelRate kSubgroupRate{0.20, 0};
// Several dispatches and no shared memory: on GPUs it is tuning's to find out where that pays.
constexpr KernelRate kWinogradRate{0.05, 0};
// On GPUs alone, as above.
constexpr KernelRate kWeightGradientRate{0.15, 0};
// As fast as tiles in shared memory on lavapipe, and two to fifteen times so on SwiftShader.
constexpr KernelRate kWeightGradientDirectRate{0.01, 1.3e9};
constexpr KernelRate kPanelRate{0.15, 10e9};

// The same of kernels whose invocations are independent of each other.
inline double guessed_seconds_of_invocations(const Capabilities& capabilities, double invocations,
                                             double multiply_adds, KernelRate rate) {
  constexpr double kWorkgroup = 64;
  if (capabilities.cpu) return invocations * multiply_adds / rate.cpu;
  return guessed_seconds(capabilities, std::ceil(invocations / kWorkgroup),
                         multiply_adds * kWorkgroup, rate);
}

// What conv2d_subgroup and Winograd take on software drivers, piece by piece.
namespace software {

// Nanoseconds of one processor, as measured on lavapipe 25.0.7 with AVX2 (docs/kernels.md); other
// software drivers scale all of them alike.
constexpr double kSum = 1.15;  // Four multiply-adds of a register, with their sum's load and store.
constexpr double kWide = 1.1;  // A factor of that, of more than four pixels a lane: they spill.
constexpr double kLoad = 7;    // Of a vector of four a lane.
constexpr double kStore = 40;
constexpr double kTapStart = 15;         // A pixel: where a tap lies.
constexpr double kTransform4 = 36 * 70;  // Of one Winograd tile of four channels a lane.
constexpr double kTransform2 = 16 * 45;
// Of conv2d_weight_gradient's tile: four pixels' loads and, for four output channels, sums.
constexpr double kGradientLoads = 40;
constexpr double kGradientSums = 26;
constexpr double kDispatch = 40'000;
constexpr double kProcessors = 2;  // Of the machine that was measured.
// A factor, of a tile that wins by little where it does: each kind of pipeline costs a first run
// half a second of compiling, so such ones are left to tuning.
constexpr double kRare = 1.3;

// Nanoseconds of such a step of `blocks` times four output channels.
constexpr double gradient_step(double blocks) {
  return kGradientLoads + blocks * kGradientSums;
}

// From nanoseconds of one processor.
constexpr double seconds(double nanoseconds) {
  return nanoseconds * 1e-9 / kProcessors;
}

}  // namespace software

}  // namespace caldera
