// Measuring what a device can do. Every piece of work starts small and grows until it takes long
// enough to be timed from the host, since not every queue has a clock, and short enough for any
// driver's watchdog.
#include "caldera/device_peak.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <limits>

#include "runtime/peak_work.h"
#include "runtime/recorder.h"
#include "shaders/peak/peak_params.h"

namespace caldera {

namespace {

// Seconds: a submit's own cost is a hundredth of it, and on a busy CPU the scheduler lets some such
// pieces pass undisturbed.
constexpr double kLongEnough = 0.005;
constexpr double kInAll = 0.06;          // Seconds that one figure is worth.
constexpr int kRepeats = 4;              // At least.
constexpr uint32_t kWorkgroupSize = 64;  // Which every device has.
constexpr uint64_t kWidest = 32768;      // Workgroups along x; every device has 65,535.
constexpr uint64_t kLargestCopy = uint64_t{128} << 20;
constexpr uint64_t kManyDispatches = 1024;

using RecordWork = std::function<Status(Recorder&)>;

Result<double> time(const Device& device, const RecordWork& record) {
  using Clock = std::chrono::steady_clock;
  CALDERA_TRY_ASSIGN(Recorder recorder, Recorder::create(device.impl().shared_from_this()));
  CALDERA_TRY(record(recorder));
  CALDERA_TRY_ASSIGN(CommandList commands, std::move(recorder).finish());
  const auto start = Clock::now();
  CALDERA_TRY(commands.run());
  return std::chrono::duration<double>(Clock::now() - start).count();
}

template <typename Params>
Status dispatch(Recorder& recorder, const Device& device, ShaderId shader, const Params& params,
                std::span<const BufferRange> bindings, uint64_t workgroups) {
  CALDERA_TRY_ASSIGN(const Pipeline* pipeline,
                     device.impl().pipelines().get({shader, {kWorkgroupSize}}));
  const uint64_t rows = (workgroups + kWidest - 1) / kWidest;
  const uint64_t columns = (workgroups + rows - 1) / rows;
  return recorder.dispatch({pipeline,
                            bindings,
                            std::as_bytes(std::span(&params, 1)),
                            {static_cast<uint32_t>(columns), static_cast<uint32_t>(rows), 1}});
}

Result<Buffer> small_buffer(const Device& device) {
  return Buffer::create(device.impl().shared_from_this(), 256, MemoryKind::kDevice,
                        "the result of a measurement");
}

// Amounts a second at the best. `seconds_of(amount)` does that much work.
Result<double> best_rate(uint64_t amount,
                         const std::function<Result<double>(uint64_t)>& seconds_of) {
  CALDERA_TRY_ASSIGN(double seconds, seconds_of(amount));
  constexpr uint64_t kMost = uint64_t{1} << 22;  // Work that takes no time is measured no further.
  while (seconds < kLongEnough / 2 && amount < kMost) {
    // By no more than eight times at once: small work tells little of large work.
    amount *= static_cast<uint64_t>(std::clamp(kLongEnough / seconds, 2.0, 8.0));
    CALDERA_TRY_ASSIGN(seconds, seconds_of(amount));
  }
  double spent = 0;
  for (int i = 1; i < kRepeats || spent < kInAll; ++i) {
    CALDERA_TRY_ASSIGN(const double again, seconds_of(amount));
    seconds = std::min(seconds, again);
    spent += again;
  }
  return static_cast<double>(amount) / seconds;
}

Result<double> best_gflops(const Device& device, std::span<const ShaderId> shaders) {
  double best = 0;
  for (const ShaderId shader : shaders) {
    CALDERA_TRY_ASSIGN(const double rate, best_rate(64, [&](uint64_t workgroups) {
                         return time_multiply_adds(device, shader, workgroups);
                       }));
    best = std::max(best, rate * flops_of_workgroup(shader) * 1e-9);
  }
  return best;
}

// Large beside any cache, small beside the device's memory.
uint64_t copy_size(const Device& device) {
  const Capabilities& can = device.impl().capabilities();
  const uint64_t room = std::min(device.impl().available_memory() / 8, can.max_allocation_size);
  const uint64_t bytes = std::min({kLargestCopy, can.max_storage_buffer_range, room});
  return std::max<uint64_t>(bytes & ~uint64_t{0xffff}, 0x10000);
}

Result<double> best_copy_gbps(const Device& device) {
  const uint64_t bytes = copy_size(device);
  const auto make = [&] {
    return Buffer::create(device.impl().shared_from_this(), bytes, MemoryKind::kDevice,
                          "measuring the memory");
  };
  CALDERA_TRY_ASSIGN(const Buffer from, make());
  CALDERA_TRY_ASSIGN(const Buffer to, make());
  // Memory that was never written may not be there at all.
  CALDERA_TRY_ASSIGN(const double ignored, time(device, [&](Recorder& recorder) {
                       recorder.fill(from, 0);
                       recorder.fill(to, 0);
                       return Status();
                     }));
  (void)ignored;
  double best = 0;
  for (const CopyWay way : {CopyWay::kCommand, CopyWay::kShader}) {
    CALDERA_TRY_ASSIGN(const double rate, best_rate(1, [&](uint64_t count) {
                         return time_copies(device, way, from, to, bytes, count);
                       }));
    best = std::max(best, rate * 2 * static_cast<double>(bytes) * 1e-9);
  }
  return best;
}

// The best of several, where `work` takes next to no time.
Result<double> shortest(int repeats, const std::function<Result<double>()>& work) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repeats; ++i) {
    CALDERA_TRY_ASSIGN(const double seconds, work());
    best = std::min(best, seconds);
  }
  return best;
}

}  // namespace

Result<double> time_multiply_adds(const Device& device, ShaderId shader, uint64_t workgroups,
                                  uint32_t steps) {
  CALDERA_TRY_ASSIGN(const Buffer result, small_buffer(device));
  const BufferRange range{&result, 0, result.size()};
  return time(device, [&](Recorder& recorder) {
    const shader::MultiplyAddParams params{steps, -1.7f, 1e4f};
    return dispatch(recorder, device, shader, params, std::span(&range, 1), workgroups);
  });
}

double flops_of_workgroup(ShaderId shader) {
  const uint32_t components = shader == ShaderId::multiply_add_float ? 1 : 4;
  return 2.0 * kWorkgroupSize * shader::kPeakChains * components * kPeakSteps;
}

Result<double> time_copies(const Device& device, CopyWay way, const Buffer& from, const Buffer& to,
                           uint64_t bytes, uint64_t count) {
  const std::array ranges{BufferRange{&from, 0, bytes}, BufferRange{&to, 0, bytes}};
  const shader::CopyParams params{static_cast<uint32_t>(bytes / 16)};
  const uint64_t workgroups = (params.vectors + kWorkgroupSize - 1) / kWorkgroupSize;
  return time(device, [&](Recorder& recorder) -> Status {
    for (uint64_t i = 0; i < count; ++i) {
      if (way == CopyWay::kCommand) {
        recorder.copy(from, 0, to, 0, bytes);
      } else {
        CALDERA_TRY(dispatch(recorder, device, ShaderId::copy, params, ranges, workgroups));
      }
    }
    return {};
  });
}

Result<double> time_empty_dispatches(const Device& device, uint64_t count) {
  CALDERA_TRY_ASSIGN(const Buffer buffer, small_buffer(device));
  const BufferRange range{&buffer, 0, buffer.size()};
  return time(device, [&](Recorder& recorder) -> Status {
    for (uint64_t i = 0; i < count; ++i) {
      CALDERA_TRY(dispatch(recorder, device, ShaderId::empty, shader::CopyParams{0},
                           std::span(&range, 1), 1));
    }
    return {};
  });
}

Result<DevicePeak> measure_peak(const Device& device) {
  return detail::no_throw<Result<DevicePeak>>("measuring", [&]() -> Result<DevicePeak> {
    DevicePeak peak;
    static constexpr std::array kSingle{ShaderId::multiply_add_float, ShaderId::multiply_add_vec4};
    static constexpr std::array kHalf{ShaderId::multiply_add_f16};
    CALDERA_TRY_ASSIGN(peak.gflops_fp32, best_gflops(device, kSingle));
    if (device.impl().capabilities().fp16) {
      CALDERA_TRY_ASSIGN(peak.gflops_fp16, best_gflops(device, kHalf));
    }
    CALDERA_TRY_ASSIGN(peak.copy_gbps, best_copy_gbps(device));
    CALDERA_TRY_ASSIGN(peak.submit_seconds,
                       shortest(10, [&] { return time_empty_dispatches(device, 0); }));
    CALDERA_TRY_ASSIGN(const double many, shortest(kRepeats, [&] {
                         return time_empty_dispatches(device, kManyDispatches);
                       }));
    peak.dispatch_seconds = std::max(many - peak.submit_seconds, 0.0) / kManyDispatches;
    return peak;
  });
}

}  // namespace caldera
