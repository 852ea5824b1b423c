// What shaders bind, as their SPIR-V tells after optimisation.
#include "runtime/reflection.h"

#include <gtest/gtest.h>

#include "runtime/shader.h"
#include "shaders/common/grid_params.h"
#include "shaders/conv2d/conv2d_params.h"
#include "shaders/conv2d/winograd_params.h"

namespace caldera {
namespace {

TEST(Reflection, TellsReadsFromWrites) {
  const ShaderReflection tile = reflect(shader_spirv(ShaderId::conv2d_tile)).value();
  ASSERT_EQ(tile.bindings.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(tile.bindings[i].type, BindingType::kStorageBuffer);
    EXPECT_EQ(tile.bindings[i].writes, i == 2) << i;
    EXPECT_EQ(tile.bindings[i].reads, i != 2) << i;
  }
  EXPECT_EQ(tile.push_constant_bytes, sizeof(shader::GridParams) + sizeof(shader::Conv2dParams));
  EXPECT_EQ(tile.specialization_constants, 1u);
}

TEST(Reflection, KnowsTexelBuffers) {
  const ShaderReflection subgroup = reflect(shader_spirv(ShaderId::conv2d_subgroup)).value();
  ASSERT_EQ(subgroup.bindings.size(), 5u);
  EXPECT_EQ(subgroup.bindings[0].type, BindingType::kTexelsF32);
  EXPECT_FALSE(subgroup.bindings[0].writes);
  const ShaderReflection halves = reflect(shader_spirv(ShaderId::conv2d_subgroup_f16)).value();
  EXPECT_EQ(halves.bindings[0].type, BindingType::kTexelsF16);
  const ShaderReflection bf16 = reflect(shader_spirv(ShaderId::conv2d_subgroup_bf16)).value();
  EXPECT_EQ(bf16.bindings[0].type, BindingType::kTexelsU16);
  EXPECT_EQ(subgroup.bindings[2].type, BindingType::kStorageBuffer);
  EXPECT_TRUE(subgroup.bindings[2].writes);
  EXPECT_FALSE(subgroup.bindings[2].reads);
  EXPECT_EQ(subgroup.specialization_constants, 6u);
}

TEST(Reflection, CountsPushConstantsOfInnerStructs) {
  for (const ShaderId id :
       {ShaderId::winograd_input, ShaderId::winograd_product, ShaderId::winograd_output}) {
    EXPECT_EQ(reflect(shader_spirv(id)).value().push_constant_bytes,
              sizeof(shader::GridParams) + sizeof(shader::WinogradParams));
  }
}

TEST(Reflection, RefusesWhatIsNotSpirv) {
  const uint32_t words[] = {1, 2, 3, 4, 5, 6};
  EXPECT_FALSE(reflect(words).ok());
  EXPECT_FALSE(reflect({}).ok());
}

}  // namespace
}  // namespace caldera
