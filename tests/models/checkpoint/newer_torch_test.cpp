// A file as PyTorch 2.6 wrote it, with the records that it adds to the zip (byteorder,
// .format_version, .storage_alignment, .data/serialization_id). It is kept beside this test, since
// the PyTorch that other tests run may be older:
//
//   base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 8
//   state_dict: weight base; transposed base.t(); shared base[1:3]; half base.half(); bfloat16
//   base.bfloat16(); count int64 12345678901; flags [True, False, True]; wrapped beside epoch 7
#include <cstring>

#include <gtest/gtest.h>

#include "caldera/checkpoint.h"

namespace caldera {
namespace {

std::vector<float> floats_of(const Checkpoint& checkpoint, const char* name) {
  const Tensor tensor = checkpoint.find(name)->to_f32();
  return {tensor.floats().begin(), tensor.floats().end()};
}

TEST(NewerTorch, ItsFilesAreReadWhole) {
  const auto checkpoint = read_checkpoint(CALDERA_CHECKPOINT_DATA "/torch_2_6.pth");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->format, CheckpointFormat::kPyTorchZip);
  EXPECT_EQ(checkpoint->wrapper, "state_dict");
  ASSERT_EQ(checkpoint->tensors.size(), 7u);

  std::vector<float> base, transposed;
  for (int i = 0; i < 24; ++i) base.push_back(static_cast<float>(i) / 8);
  for (int i = 0; i < 24; ++i) transposed.push_back(base[static_cast<size_t>(i % 4 * 6 + i / 4)]);
  EXPECT_EQ(floats_of(*checkpoint, "weight"), base);
  EXPECT_EQ(checkpoint->find("transposed")->shape(), (Shape{6, 4}));
  EXPECT_EQ(floats_of(*checkpoint, "transposed"), transposed);
  EXPECT_EQ(floats_of(*checkpoint, "shared"),
            std::vector<float>(base.begin() + 6, base.begin() + 18));
  EXPECT_EQ(checkpoint->find("half")->dtype(), DType::kF16);
  EXPECT_EQ(floats_of(*checkpoint, "half"), base);
  EXPECT_EQ(checkpoint->find("bfloat16")->dtype(), DType::kBF16);
  EXPECT_EQ(floats_of(*checkpoint, "bfloat16"), base);
  EXPECT_EQ(checkpoint->find("count")->dtype(), DType::kI64);
  int64_t count = 0;
  std::memcpy(&count, checkpoint->find("count")->bytes().data(), sizeof(count));
  EXPECT_EQ(count, 12345678901);
  EXPECT_EQ(floats_of(*checkpoint, "flags"), (std::vector<float>{1, 0, 1}));
}

}  // namespace
}  // namespace caldera
