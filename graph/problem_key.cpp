// Attributes beyond shapes are told for the operators that have more than one kernel.
#include "graph/problem_key.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "graph/dispatch.h"

namespace caldera {

namespace {

std::string describe(const Epilogue& epilogue) {
  std::string text = epilogue.residual ? " residual" : "";
  if (epilogue.activation != Activation::kNone) {
    text += fmt::format(" {}", activation_name(epilogue.activation));
  }
  return text;
}

std::string size(Size2d s) {
  return fmt::format("{}x{}", s.h, s.w);
}

// Of a convolution, or its weight's gradient.
template <typename WindowAttrs>
std::string describe_window(const WindowAttrs& attrs) {
  return fmt::format(" stride {} padding {} dilation {} groups {}", size(attrs.stride),
                     size(attrs.padding), size(attrs.dilation), attrs.groups);
}

std::string describe(const Conv2dAttrs& attrs) {
  return describe_window(attrs) + (attrs.bias ? " bias" : "") + describe(attrs.epilogue);
}

std::string describe(const Conv2dWeightGradientAttrs& attrs) {
  return describe_window(attrs);
}

std::string describe(const MaxPool2dAttrs& attrs) {
  return fmt::format(" kernel {} stride {} padding {} dilation {}", size(attrs.kernel),
                     size(attrs.stride), size(attrs.padding), size(attrs.dilation));
}

std::string describe(const AvgPool2dAttrs& attrs) {
  return fmt::format(" kernel {} stride {} padding {}{}", size(attrs.kernel), size(attrs.stride),
                     size(attrs.padding), attrs.count_include_pad ? " counting padding" : "");
}

std::string describe(const MaxPool2dGradientAttrs& attrs) {
  return describe(attrs.pool);
}

std::string describe(const AvgPool2dGradientAttrs& attrs) {
  return describe(attrs.pool) + " of " + size(attrs.input);
}

std::string describe(const AdaptiveAvgPool2dAttrs& attrs) {
  return " to " + size(attrs.output);
}

std::string describe(const AdaptiveAvgPool2dGradientAttrs& attrs) {
  return " of " + size(attrs.input);
}

std::string describe(const PadAttrs& attrs) {
  return fmt::format(" by {},{} {},{} {},{}", attrs.channels_before, attrs.channels_after,
                     attrs.top, attrs.bottom, attrs.left, attrs.right);
}

std::string describe(const SubsampleAttrs& attrs) {
  return " s" + size(attrs.stride);
}

std::string describe(const UpsampleZerosAttrs& attrs) {
  return fmt::format(" s{} at {} to {}", size(attrs.stride), size(attrs.offset), size(attrs.size));
}

std::string describe(const LinearAttrs& attrs) {
  return (attrs.bias ? " bias" : "") + describe(attrs.epilogue);
}

template <typename OtherAttrs>
std::string describe(const OtherAttrs&) {
  return "";
}

}  // namespace

std::string problem_key(const Graph& graph, const Node& node) {
  std::string key =
      fmt::format("{} {}", op_name(node.kind()), storage_name(storage_of(graph, node)));
  for (const auto& list : {node.inputs, node.updates}) {
    for (const ValueId value : list) {
      const Shape& shape = graph.value(value).shape;
      if (shape.size() > 1) key += fmt::format(" {}", fmt::join(shape, "x"));
    }
  }
  return key + std::visit([](const auto& attrs) { return describe(attrs); }, node.attrs);
}

}  // namespace caldera
