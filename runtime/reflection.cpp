// A reader of the few SPIR-V instructions that say what a shader binds (SPIR-V 1.5 specification,
// section 3.42). Its input is Caldera's own, compiled and validated with the build.
#include "runtime/reflection.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

namespace caldera {

namespace {

// Names as in the SPIR-V specification.
enum Op : uint32_t {
  kOpTypeBool = 20,
  kOpTypeInt = 21,
  kOpTypeFloat = 22,
  kOpTypeVector = 23,
  kOpTypeImage = 25,
  kOpTypeArray = 28,
  kOpTypeStruct = 30,
  kOpTypePointer = 32,
  kOpVariable = 59,
  kOpDecorate = 71,
  kOpMemberDecorate = 72,
};
enum Decoration : uint32_t {
  kSpecId = 1,
  kNonWritable = 24,
  kNonReadable = 25,
  kBindingPoint = 33,
  kDescriptorSet = 34,
  kOffset = 35,
};
enum StorageClass : uint32_t {
  kUniformConstant = 0,
  kPushConstant = 9,
  kStorageBuffer = 12,
};

enum ImageFormat : uint32_t {
  kRgba32f = 1,
  kRgba16f = 2,
  kRgba16ui = 31,
};

struct Type {
  uint32_t op = 0;
  std::vector<uint32_t> operands;
};

struct Module {
  std::map<uint32_t, Type> types;
  std::map<uint32_t, std::pair<uint32_t, uint32_t>> variables;    // id -> (type, storage class)
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> decorations;  // (id, decoration) -> value
  // (struct, member, decoration) -> value
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, uint32_t> member_decorations;

  bool decorated(uint32_t id, uint32_t decoration) const {
    return decorations.contains({id, decoration});
  }
};

Module parse(std::span<const uint32_t> words) {
  Module module;
  for (size_t at = 5; at < words.size();) {
    const uint32_t length = words[at] >> 16;
    const uint32_t op = words[at] & 0xffffu;
    if (length == 0 || at + length > words.size()) break;
    const auto operand = words.subspan(at + 1, length - 1);
    switch (op) {
      case kOpTypeBool:
      case kOpTypeInt:
      case kOpTypeFloat:
      case kOpTypeVector:
      case kOpTypeImage:
      case kOpTypeArray:
      case kOpTypeStruct:
      case kOpTypePointer:
        module.types[operand[0]] = {op, {operand.begin() + 1, operand.end()}};
        break;
      case kOpVariable:
        module.variables[operand[1]] = {operand[0], operand[2]};
        break;
      case kOpDecorate:
        module.decorations[{operand[0], operand[1]}] = operand.size() > 2 ? operand[2] : 0;
        break;
      case kOpMemberDecorate:
        module.member_decorations[{operand[0], operand[1], operand[2]}] =
            operand.size() > 3 ? operand[3] : 0;
        break;
      default:
        break;
    }
    at += length;
  }
  return module;
}

std::optional<BindingType> texels_of(const Type& image) {
  if (image.op != kOpTypeImage) return std::nullopt;
  // Operands of OpTypeImage after its id: sampled type, dimension, depth, arrayed, multisampled,
  // sampled, format.
  switch (image.operands[6]) {
    case kRgba32f:
      return BindingType::kTexelsF32;
    case kRgba16f:
      return BindingType::kTexelsF16;
    case kRgba16ui:
      return BindingType::kTexelsU16;
    default:
      return std::nullopt;
  }
}

// Bytes of a push-constant block: Caldera's hold 32-bit scalars (maybe in inner structs).
uint32_t block_bytes(const Module& module, uint32_t id) {
  const Type& type = module.types.at(id);
  if (type.op != kOpTypeStruct) return type.op == kOpTypeVector ? 4 * type.operands[1] : 4;
  uint32_t bytes = 0;
  for (uint32_t i = 0; i < type.operands.size(); ++i) {
    const auto offset = module.member_decorations.find({id, i, kOffset});
    const uint32_t start = offset == module.member_decorations.end() ? 0 : offset->second;
    bytes = std::max(bytes, start + block_bytes(module, type.operands[i]));
  }
  return bytes;
}

// glslang puts `readonly` on every member of the block.
bool all_members_have(const Module& module, uint32_t struct_id, Decoration decoration) {
  const size_t count = module.types.at(struct_id).operands.size();
  for (uint32_t i = 0; i < count; ++i) {
    if (!module.member_decorations.contains({struct_id, i, decoration})) return false;
  }
  return count > 0;
}

}  // namespace

Result<ShaderReflection> reflect(std::span<const uint32_t> spirv) {
  const auto unsupported = [](std::string message) {
    return Error{ErrorCode::kUnsupported, "a shader " + std::move(message)};
  };
  if (spirv.size() < 5 || spirv[0] != 0x07230203u) return unsupported("is not SPIR-V");
  const Module module = parse(spirv);

  ShaderReflection reflection;
  std::map<uint32_t, ShaderBinding> bindings;
  for (const auto& [id, variable] : module.variables) {
    const auto& [pointer_id, storage_class] = variable;
    const uint32_t pointee = module.types.at(pointer_id).operands[1];
    if (storage_class == kPushConstant) {
      reflection.push_constant_bytes = block_bytes(module, pointee);
      continue;
    }
    if (storage_class != kStorageBuffer && storage_class != kUniformConstant) continue;
    if (!module.decorated(id, kBindingPoint)) return unsupported("has a resource without binding");
    if (module.decorations.at({id, kDescriptorSet}) != 0) return unsupported("uses a second set");
    ShaderBinding binding;
    const bool block = storage_class == kStorageBuffer;
    if (!block) {
      const std::optional<BindingType> texels = texels_of(module.types.at(pointee));
      if (!texels) return unsupported("binds an image that is no buffer of known texels");
      binding.type = *texels;
    }
    binding.writes = !module.decorated(id, kNonWritable) &&
                     !(block && all_members_have(module, pointee, kNonWritable));
    binding.reads = !module.decorated(id, kNonReadable) &&
                    !(block && all_members_have(module, pointee, kNonReadable));
    // Two blocks on one binding view the same bytes: what either does, the binding does.
    const auto [at, is_new] = bindings.emplace(module.decorations.at({id, kBindingPoint}), binding);
    if (!is_new) {
      at->second.reads |= binding.reads;
      at->second.writes |= binding.writes;
    }
  }
  for (const auto& [number, binding] : bindings) {
    if (number != reflection.bindings.size()) return unsupported("leaves a gap in its bindings");
    reflection.bindings.push_back(binding);
  }
  std::set<uint32_t> constants;
  for (const auto& [key, value] : module.decorations) {
    if (key.second == kSpecId) constants.insert(value);
  }
  reflection.specialization_constants = constants.empty() ? 0 : *constants.rbegin() + 1;
  return reflection;
}

}  // namespace caldera
