// Opens the shared device, collects what the validation layers say, and fails the test under
// which they say it: a GoogleTest environment closes the device, a listener reports.
#include "tests/support/device.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace caldera::test {

namespace {

// Parts of messages that are proven to be a layer's own error: each with the layer's version and
// the proof. None so far.
constexpr std::array<std::string_view, 0> kAllowed = {};

// Messages come from any thread, between tests too.
class Messages {
 public:
  void add(const std::string& message) {
    const bool allowed = std::any_of(kAllowed.begin(), kAllowed.end(), [&](std::string_view part) {
      return message.find(part) != std::string::npos;
    });
    if (allowed) return;
    const std::lock_guard lock(mutex_);
    messages_.push_back(message);
  }

  // Fails the current test, or the program's set-up or tear-down, with what has come in.
  void report() {
    const std::lock_guard lock(mutex_);
    for (const std::string& message : std::exchange(messages_, {})) {
      ADD_FAILURE() << "validation message: " << message;
    }
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> messages_;
};

Messages& messages() {
  static Messages collected;
  return collected;
}

struct Shared {
  std::optional<Device> device;
  bool tried = false;
  std::string error;
};

Shared& shared() {
  static Shared state;
  return state;
}

// With validation where that can be had, else without, and one line that says so.
Result<Device> open() {
  DeviceOptions options;
  options.validation = true;
  options.on_message = [](const std::string& message) { messages().add(message); };
  auto validated = Device::open(options);
  if (validated.ok() || all_required()) return validated;
  auto bare = open_without_validation();
  if (bare.ok()) {
    std::printf("Without validation: %s\n", validated.error().message.c_str());
  }
  return bare;
}

class FailOnMessages : public testing::EmptyTestEventListener {
  void OnTestEnd(const testing::TestInfo&) override { messages().report(); }
};

class DeviceEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    testing::UnitTest::GetInstance()->listeners().Append(new FailOnMessages);
  }
  void TearDown() override {
    shared().device.reset();  // What is left open now is told by the layers.
    messages().report();
  }
};

// Registered before main(), as GoogleTest lets environments be.
[[maybe_unused]] const testing::Environment* const kEnvironment =
    testing::AddGlobalTestEnvironment(new DeviceEnvironment);

}  // namespace

const Device* device() {
  Shared& state = shared();
  if (!std::exchange(state.tried, true)) {
    auto opened = open();
    if (opened.ok()) {
      state.device = std::move(opened).value();
      std::printf("On %s (%s %s)\n", state.device->info().name.c_str(),
                  state.device->info().driver_name.c_str(),
                  state.device->info().driver_info.c_str());
    } else {
      state.error = opened.error().message;
    }
  }
  return state.device ? &*state.device : nullptr;
}

std::string why_no_device() {
  return shared().error;
}

Result<Device> open_without_validation() {
  return Device::open();
}

}  // namespace caldera::test
