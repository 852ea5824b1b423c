// What every shader's SPIR-V has to keep to, since a driver is free to do otherwise with what it is
// not held to: software drivers keep a NaN through max() and NVIDIA's does not, so no run on those
// shows it. Read after optimisation, as drivers get it.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/reflection.h"
#include "runtime/shader.h"

namespace caldera {
namespace {

// Names as in the SPIR-V specification, and in that of GLSL.std.450.
enum Op : uint32_t {
  kOpExtInst = 12,
  kOpTypeFloat = 22,
  kOpTypeVector = 23,
  kOpStore = 62,
  kOpIsNan = 156,
  kOpIsInf = 157,
  kOpSelect = 169,
  kOpFOrdEqual = 180,
  kOpFUnordGreaterThanEqual = 191,
  kOpBranchConditional = 250,
};
enum Instruction : uint32_t {
  kFSign = 6,
  kFMin = 37,
  kFMax = 40,
  kFClamp = 43,
  kStep = 48,
  kSmoothStep = 49,
  kNMin = 79,
  kNClamp = 81,
};

bool may_lose_nan(uint32_t instruction) {
  return instruction == kFMin || instruction == kFMax || instruction == kFClamp ||
         instruction == kFSign || instruction == kStep || instruction == kSmoothStep ||
         (instruction >= kNMin && instruction <= kNClamp);
}

struct Instr {
  uint32_t op = 0;
  std::vector<uint32_t> operands;
};

std::vector<Instr> parse(std::span<const uint32_t> words) {
  std::vector<Instr> instructions;
  for (size_t at = 5; at < words.size(); at += words[at] >> 16) {
    const auto operands = words.subspan(at + 1, (words[at] >> 16) - 1);
    instructions.push_back({words[at] & 0xffffu, {operands.begin(), operands.end()}});
  }
  return instructions;
}

// The types of floats and of vectors of them.
std::set<uint32_t> float_types(const std::vector<Instr>& instructions) {
  std::set<uint32_t> types;
  for (const Instr& made : instructions) {
    if (made.op == kOpTypeFloat) types.insert(made.operands[0]);
    if (made.op == kOpTypeVector && types.contains(made.operands[1])) {
      types.insert(made.operands[0]);
    }
  }
  return types;
}

// What is wrong in a shader: the ways past shaders/common/nan.glsl.
std::vector<std::string> ways_to_lose_nan(std::span<const uint32_t> spirv) {
  const std::vector<Instr> instructions = parse(spirv);
  const std::set<uint32_t> floats = float_types(instructions);
  std::set<uint32_t> clipped;      // Results of max(), min(), clamp().
  std::set<uint32_t> comparisons;  // Results of comparisons of floats.
  std::vector<std::string> found;
  for (const Instr& made : instructions) {
    if (made.op == kOpIsNan || made.op == kOpIsInf) found.emplace_back("isnan() or isinf()");
    if (made.op >= kOpFOrdEqual && made.op <= kOpFUnordGreaterThanEqual) {
      comparisons.insert(made.operands[1]);
    }
    if (made.op == kOpExtInst && floats.contains(made.operands[0]) &&
        may_lose_nan(made.operands[3])) {
      clipped.insert(made.operands[1]);
    }
  }
  std::set<uint32_t> chosen;  // What was a side of a choice.
  for (const Instr& made : instructions) {
    const bool chooses = made.op == kOpSelect && floats.contains(made.operands[0]);
    const bool branches = made.op == kOpBranchConditional;
    const uint32_t condition = chooses ? made.operands[2] : branches ? made.operands[0] : 0;
    if (comparisons.contains(condition)) found.emplace_back("a choice by a comparison of floats");
    // What max() makes may be nothing but a side of a choice, which nan.glsl makes by the bits.
    // (Where matrices hinder optimisation it is stored in a variable that nothing loads, too.)
    for (size_t i = 0; i < made.operands.size(); ++i) {
      if (!clipped.contains(made.operands[i])) continue;
      const bool side = chooses && i > 2;
      if (side) chosen.insert(made.operands[i]);
      const bool is_result = made.op == kOpExtInst && i == 1;
      const bool no_use = made.op < kOpExtInst || made.op == kOpStore;
      if (!side && !is_result && !no_use) found.emplace_back("a max(), min() or clamp() is used");
    }
  }
  if (chosen != clipped) found.emplace_back("a max(), min() or clamp() is stored as it is");
  return found;
}

std::vector<ShaderId> all_shaders() {
  std::vector<ShaderId> ids;
  for (uint16_t i = 0; i < kShaders; ++i) ids.push_back(static_cast<ShaderId>(i));
  std::erase_if(ids, [](ShaderId id) { return shader_spirv(id).empty(); });
  return ids;
}

TEST(Shaders, KeepNotANumberWhateverTheDriver) {
  // What those compare is never a NaN.
  const std::set<std::string> excused{"optimizer",  // Returns before, by the norm's bits.
                                      "dropout_mask",       "dropout_mask_f16",
                                      "dropout_mask_bf16",  // Random numbers and options.
                                      "multiply_add_float", "multiply_add_vec4",
                                      "multiply_add_f16"};  // Their result is not used.
  for (const ShaderId id : all_shaders()) {
    const std::string name(shader_name(id));
    const std::vector<std::string> found = ways_to_lose_nan(shader_spirv(id));
    for (const std::string& what : found) {
      if (!excused.contains(name)) ADD_FAILURE() << name << " may lose a NaN: " << what;
    }
    EXPECT_FALSE(excused.contains(name) && found.empty()) << name << " needs no excuse any more";
  }
}

}  // namespace
}  // namespace caldera
