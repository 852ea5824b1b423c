// VGG (Simonyan and Zisserman, configurations A, B, D, E), with torchvision's numbering: features.N
// counts convolutions, batch-norms, ReLUs and max-pools alike; the classifier sees 7x7 whatever
// the input, by adaptive pooling.
#include <algorithm>

#include <fmt/format.h>

#include "models/architectures/catalog.h"

namespace caldera {
namespace {

constexpr int64_t kHiddenFeatures = 4096;
constexpr int32_t kPooledExtent = 7;

}  // namespace

Result<Graph> build_vgg(const Architecture& a, int64_t batch, Size2d input) {
  GraphBuilder builder;
  ValueId x = builder.input("input", {batch, a.input_channels, input.h, input.w});

  int index = 0;
  const auto name = [&index] { return fmt::format("features.{}", index++); };
  for (const int32_t width : a.vgg_layers) {
    if (width == 0) {
      const Shape shape = builder.shape(x);
      if (shape.size() == 4 && (shape[2] < 2 || shape[3] < 2)) {
        const auto pools = std::ranges::count(a.vgg_layers, 0);
        return Error{ErrorCode::kInvalidInput,
                     fmt::format("{} halves its input {} times: give it images of at least "
                                 "{}x{}, not {}x{}",
                                 a.name, pools, 1 << pools, 1 << pools, input.h, input.w)};
      }
      x = builder.max_pool2d(name(), x, {{2, 2}, {2, 2}});
      continue;
    }
    Conv2dAttrs attrs;
    attrs.padding = {1, 1};
    attrs.bias = true;
    x = builder.conv2d(name(), x, width, {3, 3}, attrs);
    if (a.vgg_batch_norm) x = builder.batch_norm(name(), x);
    x = builder.relu(name(), x);
  }

  x = builder.adaptive_avg_pool2d("avgpool", x, {{kPooledExtent, kPooledExtent}});
  x = builder.flatten("flatten", x);
  x = builder.linear("classifier.0", x, kHiddenFeatures);
  x = builder.dropout("classifier.2", builder.relu("classifier.1", x), {});
  x = builder.linear("classifier.3", x, kHiddenFeatures);
  x = builder.dropout("classifier.5", builder.relu("classifier.4", x), {});
  builder.output(builder.linear(head_name(a.family), x, a.classes));
  return std::move(builder).finish();
}

}  // namespace caldera
