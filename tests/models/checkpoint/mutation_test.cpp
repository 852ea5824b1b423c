// Random damage, from a fixed seed: bytes changed, inserted, removed and copied about, in files of
// every format. A second by default; CALDERA_FUZZ_SECONDS and CALDERA_FUZZ_SEED make it a campaign
// (best with the sanitizers on).
#include <chrono>
#include <cstdlib>
#include <random>

#include <gtest/gtest.h>

#include "caldera/checkpoint.h"
#include "caldera/npy.h"

#include "models/checkpoint/zip_writer.h"
#include "tests/models/checkpoint/allocations.h"
#include "tests/models/checkpoint/builders.h"
#include "tests/support/paths.h"

namespace caldera::test {
namespace {

namespace fs = std::filesystem;

long setting(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atol(text) : otherwise;
}

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  size_t below(size_t limit) { return limit ? random_() % limit : 0; }

  void mutate(std::string& bytes) {
    for (size_t rounds = 1 + below(4); rounds > 0 && !bytes.empty(); --rounds) {
      const size_t at = below(bytes.size());
      const size_t length = std::min(1 + below(16), bytes.size() - at);
      switch (below(7)) {
        case 0:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
          break;
        case 1:
          bytes[at] = static_cast<char>(random_());
          break;
        case 2:
          bytes.erase(at, length);
          break;
        case 3:
          bytes.insert(at, bytes.substr(below(bytes.size()), length));
          break;
        case 4:
          bytes.replace(at, length, bytes.substr(below(bytes.size()), length));
          break;
        case 5: {  // A telling number.
          constexpr uint64_t kNumbers[] = {
              0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0xffffffff, uint64_t{1} << 62, ~uint64_t{0}};
          const std::string number = bytes_of(kNumbers[below(std::size(kNumbers))], 8);
          bytes.replace(at, length, number.substr(0, std::min<size_t>(length, 8)));
          break;
        }
        default: {  // An opcode.
          constexpr char kOpcodes[] =
              "(.0123FIJKLMNPQRSTUVX]abcdeghijlopqrstu}\x81\x85\x86\x87\x88"
              "\x89\x8a\x8b\x8c\x90\x93\x94\x95";
          bytes[at] = kOpcodes[below(sizeof(kOpcodes) - 1)];
        }
      }
    }
  }

 private:
  std::mt19937 random_;
};

// The records of a zip made by zip_file(), for damage inside that the checksums then cover.
std::string zip_with_damaged_pickle(Mutator& mutator, const std::string& pickle) {
  std::string damaged = pickle;
  mutator.mutate(damaged);
  return torch_zip(damaged, {{"0", std::string(480, 'x')}, {"1", bytes_of(7, 8)}});
}

TEST(Mutation, NeverBringsTheReaderDown) {
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::seconds(setting("CALDERA_FUZZ_SECONDS", 3));
  Mutator mutator(static_cast<unsigned>(setting("CALDERA_FUZZ_SEED", 1)));
  const ScratchDir scratch;
  const std::string pickle = Pickle()
                                 .op("}(")
                                 .string("epoch")
                                 .integer(3)
                                 .string("state_dict")
                                 .op("}(")
                                 .string("module.a")
                                 .tensor("FloatStorage", "0", {4, 5, 6}, {30, 1, 5}, 0, 120)
                                 .string("module.b")
                                 .tensor("LongStorage", "1", {}, {}, 0, 1)
                                 .op("uu")
                                 .done();
  std::vector<std::string> seeds = {small_torch_zip(), small_torch_legacy(), small_safetensors()};
  const fs::path made = CALDERA_MADE_CHECKPOINTS;
  if (fs::is_directory(made)) {
    for (const char* name : {"training.pth", "training-legacy.pth", "views1-legacy.pth",
                             "protocol4.pth", "zip64.pth", "newer.pth"}) {
      seeds.push_back(read_file(made / name));
    }
  }
  size_t count = 0, accepted = 0;
  // At least a few thousand, however slow the machine.
  for (; count < 3000 || std::chrono::steady_clock::now() < end; ++count) {
    std::string bytes;
    if (count % 2 == 0) {
      bytes = zip_with_damaged_pickle(mutator, pickle);
    } else {
      bytes = seeds[mutator.below(seeds.size())];
      mutator.mutate(bytes);
    }
    const AllocationWatch watch;
    const auto checkpoint = read_bytes(scratch.path(), bytes);
    ASSERT_LE(watch.peak(), kFixedAllowance + kAllowancePerByte * bytes.size()) << count;
    if (checkpoint.ok()) {
      ++accepted;
      for (const auto& [name, tensor] : checkpoint->tensors) (void)tensor.to_f32();
    } else {
      ASSERT_EQ(flaw_of(checkpoint.error()), "") << count;
    }
  }
  EXPECT_GT(accepted, 0u);  // Or the damage is too great to test anything.
  EXPECT_LT(accepted, count);
  RecordProperty("files", static_cast<int>(count));
}

TEST(Mutation, NeverBringsTheArrayReaderDown) {
  Mutator mutator(2);
  const ScratchDir scratch;
  const Tensor tensor = Tensor::from_floats({2, 3}, {1, 2, 3, 4, 5, 6});
  ASSERT_TRUE(write_npy(scratch / "x.pth", tensor).ok());
  const std::string sound = read_file(scratch / "x.pth");
  for (int count = 0; count < 5000; ++count) {
    std::string bytes = sound;
    mutator.mutate(bytes);
    write_file(scratch / "x.pth", bytes);
    const AllocationWatch watch;
    const auto array = read_npy(scratch / "x.pth");
    ASSERT_LE(watch.peak(), kFixedAllowance) << count;
    if (!array.ok()) {
      ASSERT_EQ(flaw_of(array.error()), "") << count;
    }
  }
}

}  // namespace
}  // namespace caldera::test
