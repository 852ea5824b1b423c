// The rule of each operator: which nodes carry the gradient of its output to its inputs. Called
// once a node, in reverse order, for those whose output has a gradient.
#include <algorithm>

#include <fmt/format.h>

#include "graph/align.h"
#include "graph/autodiff/autodiff.h"

namespace caldera {

namespace {

struct Rule {
  Gradients& gradients;
  const Node node;  // A copy: appending moves the graph's.
  ValueId dy = gradients.of(node.output());

  GraphAppender& to() const { return gradients.to(); }
  std::string name(std::string_view suffix) const {
    return fmt::format("{} {}", node.name, suffix);
  }
  const Shape& shape(ValueId value) const { return to().shape(value); }
  bool needed(size_t input) const { return gradients.needed(node.inputs[input]); }

  Size2d image_size(ValueId value) const {
    const Shape& s = shape(value);
    return {static_cast<int32_t>(s[2]), static_cast<int32_t>(s[3])};
  }

  // dy before an activation that was applied to what became the node's output.
  ValueId through_activation(Activation activation) const {
    if (activation == Activation::kNone) return dy;
    return to().node(name("activation gradient"), ActivationGradientAttrs{activation},
                     {dy, node.output()});
  }

  // dy before the epilogue, whose residual gets it too.
  ValueId through_epilogue(const Epilogue& epilogue) const {
    const ValueId dz = through_activation(epilogue.activation);
    if (epilogue.residual) gradients.add(node.inputs.back(), dz);
    return dz;
  }

  void bias_gradient(bool bias, ValueId dz) const {
    if (!bias || !needed(2)) return;
    to().update(name("bias gradient"), BiasGradientAttrs{}, {dz},
                {gradients.parameter(node.inputs[2])});
  }

  void operator()(const Conv2dAttrs& attrs) const {
    const ValueId dz = through_epilogue(attrs.epilogue);
    const ValueId x = node.inputs[0];
    if (needed(1)) weight_gradient(attrs, dz);
    bias_gradient(attrs.bias, dz);
    if (needed(0)) gradients.add(x, data_gradient(attrs, dz));
  }

  // Of one tap with strides, that of the pixels which it met: they then lie side by side.
  void weight_gradient(const Conv2dAttrs& attrs, ValueId dz) const {
    const ValueId weight = node.inputs[1];
    const Shape& filter = shape(weight);
    ValueId x = node.inputs[0];
    Conv2dWeightGradientAttrs of{attrs.stride, attrs.padding, attrs.dilation, attrs.groups};
    const bool one_tap = filter[2] == 1 && filter[3] == 1 && attrs.padding == Size2d{0, 0};
    if (one_tap && attrs.stride != Size2d{}) {
      x = to().node(name("input subsampled"), SubsampleAttrs{attrs.stride}, {x});
      of.stride = {};
    }
    to().update(name("weight gradient"), of, {x, dz}, {gradients.parameter(weight)});
  }

  // A convolution of dz with the mirrored filters, inputs and outputs changed. Each output pixel
  // scattered its gradient over a window that began at stride * pixel - padding: so with strides dx
  // is made of phases or, where some would have no tap, dz goes apart by the stride.
  ValueId data_gradient(const Conv2dAttrs& attrs, ValueId dz) const {
    const Shape& filter = shape(node.inputs[1]);
    const Size2d reach{attrs.dilation.h * static_cast<int32_t>(filter[2] - 1),
                       attrs.dilation.w * static_cast<int32_t>(filter[3] - 1)};
    const Size2d x = image_size(node.inputs[0]);
    const bool taps_for_all =
        attrs.dilation == Size2d{} && attrs.stride.h <= filter[2] && attrs.stride.w <= filter[3];
    if (attrs.stride != Size2d{} && taps_for_all) return gradient_of_phases(attrs, dz);
    const ValueId transposed =
        to().node(name("transposed weight"), TransposeWeightAttrs{attrs.groups}, {node.inputs[1]});
    Conv2dAttrs back{.dilation = attrs.dilation, .groups = attrs.groups};
    const bool dense =
        attrs.stride == Size2d{} && attrs.padding.h <= reach.h && attrs.padding.w <= reach.w;
    if (dense) {
      back.padding = {reach.h - attrs.padding.h, reach.w - attrs.padding.w};
      return to().node(name("data gradient"), back, {dz, transposed});
    }
    // Of one tap, the product comes first: it is of fewer pixels.
    const UpsampleZerosAttrs apart{attrs.stride,
                                   {reach.h - attrs.padding.h, reach.w - attrs.padding.w},
                                   {x.h + reach.h, x.w + reach.w}};
    if (reach == Size2d{0, 0}) {
      const ValueId product = to().node(name("data gradient"), back, {dz, transposed});
      return to().node(name("data gradient upsampled"), apart, {product});
    }
    const ValueId spread = to().node(name("gradient upsampled"), apart, {dz});
    return to().node(name("data gradient"), back, {spread, transposed});
  }

  // Along one side, the pixels i of dx for which i + padding leaves the same rest by the stride.
  // Their windows meet them with every stride-th tap from that rest on: a convolution of dz, of
  // which `from` is the first output that is a pixel of dx.
  struct Phase {
    int32_t at = 0;  // The first such pixel.
    int32_t rest = 0;
    int32_t padding = 0;
    int32_t from = 0;

    Phase(int32_t first, int32_t stride, int32_t pad, int64_t taps_in_all, int64_t dx, int64_t dz)
        : at(first), rest((first + pad) % stride) {
      const auto taps = static_cast<int32_t>(ceil_div(taps_in_all - rest, stride));
      const auto count = static_cast<int32_t>(ceil_div(dx - at, stride));
      const int32_t last = (at + pad) / stride;  // That dz's first pixel's window is to begin at.
      const int32_t before = taps - 1 - last;
      const int32_t after = count + last - static_cast<int32_t>(dz);
      padding = std::max({before, after, 0});
      from = padding - before;
    }
  };

  ValueId gradient_of_phases(const Conv2dAttrs& attrs, ValueId dz) const {
    const Shape filter = shape(node.inputs[1]);
    const Shape gradient = shape(dz);
    const Size2d x = image_size(node.inputs[0]);
    InterleaveAttrs whole{attrs.stride, x, {}};
    std::vector<ValueId> parts;
    for (int32_t h = 0; h < std::min(attrs.stride.h, x.h); ++h) {
      const Phase rows(h, attrs.stride.h, attrs.padding.h, filter[2], x.h, gradient[2]);
      for (int32_t w = 0; w < std::min(attrs.stride.w, x.w); ++w) {
        const Phase columns(w, attrs.stride.w, attrs.padding.w, filter[3], x.w, gradient[3]);
        const std::string phase = fmt::format(" {},{}", h, w);
        const ValueId transposed =
            to().node(name("transposed weight" + phase),
                      TransposeWeightAttrs{attrs.groups, {rows.rest, columns.rest}, attrs.stride},
                      {node.inputs[1]});
        const Conv2dAttrs back{.padding = {rows.padding, columns.padding}, .groups = attrs.groups};
        parts.push_back(to().node(name("data gradient" + phase), back, {dz, transposed}));
        whole.phases.push_back({{rows.at, columns.at}, {rows.from, columns.from}});
      }
    }
    return to().node(name("data gradient"), std::move(whole), std::move(parts));
  }

  void operator()(const LinearAttrs& attrs) const {
    const ValueId dz = through_epilogue(attrs.epilogue);
    if (needed(1)) {
      to().update(name("weight gradient"), Conv2dWeightGradientAttrs{}, {node.inputs[0], dz},
                  {gradients.parameter(node.inputs[1])});
    }
    bias_gradient(attrs.bias, dz);
    if (!needed(0)) return;
    const ValueId transposed =
        to().node(name("transposed weight"), TransposeWeightAttrs{}, {node.inputs[1]});
    gradients.add(node.inputs[0],
                  to().node(name("data gradient"), LinearAttrs{.bias = false}, {dz, transposed}));
  }

  void operator()(const NormalizeAttrs& attrs) const {
    // Without a residual what the activation was given can be made again of x.
    const bool again = !attrs.epilogue.residual;
    const ValueId dz = again ? dy : through_epilogue(attrs.epilogue);
    const Activation activation = again ? attrs.epilogue.activation : Activation::kNone;
    const ValueId x = node.inputs[0];
    const ValueId statistics = node.inputs[1];
    const ValueId weight = node.inputs[2];
    const ValueId bias = node.inputs[3];
    const bool frozen = to().graph().node(to().graph().value(statistics).producer).kind() ==
                        OpKind::kFrozenStatistics;
    std::vector<ValueId> inputs{dz, x, statistics, weight, bias};
    const NormalizeSumsAttrs asked{attrs.eps, activation, needed(2), needed(3)};
    const bool trained = asked.weight_gradient || asked.bias_gradient;
    if (trained || (needed(0) && !frozen)) {
      std::vector<ValueId> updates;
      if (asked.weight_gradient) updates.push_back(gradients.parameter(weight));
      if (asked.bias_gradient) updates.push_back(gradients.parameter(bias));
      const ValueId sums = to().node(name("sums"), asked, inputs, std::move(updates));
      if (!frozen) inputs.push_back(sums);
    }
    if (!needed(0)) return;
    gradients.add(x, to().node(name("gradient"),
                               NormalizeGradientAttrs{attrs.eps, activation, frozen}, inputs));
  }

  void operator()(const ActivationAttrs& attrs) const {
    const ValueId x = node.inputs[0];
    const ValueId seen = takes_output(attrs.activation) ? node.output() : x;
    gradients.add(
        x, to().node(name("gradient"), ActivationGradientAttrs{attrs.activation}, {dy, seen}));
  }

  // The second operand may be a gate: a value a channel.
  void add_second(ValueId gradient) const {
    const ValueId b = node.inputs[1];
    if (!needed(1)) return;
    const bool gate = shape(b) != shape(gradient);
    gradients.add(b,
                  gate ? to().node(name("gate gradient"), SumPixelsAttrs{}, {gradient}) : gradient);
  }

  void operator()(const AddAttrs& attrs) const {
    const ValueId dz = through_activation(attrs.activation);
    gradients.add(node.inputs[0], dz);
    add_second(dz);
  }

  void operator()(const MultiplyAttrs& attrs) const {
    const ValueId dz = through_activation(attrs.activation);
    const ValueId a = node.inputs[0];
    const ValueId b = node.inputs[1];
    if (needed(0)) {
      gradients.add(a, to().node(name("first gradient"), MultiplyAttrs{}, {dz, b}));
    }
    if (needed(1)) add_second(to().node(name("second gradient"), MultiplyAttrs{}, {dz, a}));
  }

  void operator()(const ConcatAttrs&) const {
    const auto channels = static_cast<int32_t>(shape(node.output())[1]);
    int32_t before = 0;
    for (const ValueId input : node.inputs) {
      const auto own = static_cast<int32_t>(shape(input)[1]);
      if (gradients.needed(input)) {
        gradients.add(input, to().node(name("part gradient"),
                                       PadAttrs{.channels_before = -before,
                                                .channels_after = before + own - channels},
                                       {dy}));
      }
      before += own;
    }
  }

  void operator()(const MaxPool2dAttrs& attrs) const {
    const ValueId x = node.inputs[0];
    MaxPool2dAttrs with_places = attrs;
    with_places.places = true;
    const ValueId places = to().another_output(node.output(), with_places);
    gradients.add(
        x, to().node(name("gradient"), MaxPool2dGradientAttrs{attrs, image_size(x)}, {dy, places}));
  }
  void operator()(const AvgPool2dAttrs& attrs) const {
    const ValueId x = node.inputs[0];
    gradients.add(x,
                  to().node(name("gradient"), AvgPool2dGradientAttrs{attrs, image_size(x)}, {dy}));
  }
  void operator()(const AdaptiveAvgPool2dAttrs&) const {
    const ValueId x = node.inputs[0];
    gradients.add(x,
                  to().node(name("gradient"), AdaptiveAvgPool2dGradientAttrs{image_size(x)}, {dy}));
  }
  void operator()(const SoftmaxAttrs&) const {
    gradients.add(node.inputs[0],
                  to().node(name("gradient"), SoftmaxGradientAttrs{}, {dy, node.output()}));
  }
  void operator()(const PadAttrs& attrs) const {
    const PadAttrs cut{-attrs.channels_before, -attrs.channels_after, -attrs.top,
                       -attrs.bottom,          -attrs.left,           -attrs.right};
    gradients.add(node.inputs[0], to().node(name("gradient"), cut, {dy}));
  }
  void operator()(const SubsampleAttrs& attrs) const {
    const ValueId x = node.inputs[0];
    gradients.add(x, to().node(name("gradient"),
                               UpsampleZerosAttrs{attrs.stride, {0, 0}, image_size(x)}, {dy}));
  }
  void operator()(const FlattenAttrs&) const {
    const ValueId x = node.inputs[0];
    if (shape(x).size() == 2) return gradients.add(x, dy);
    gradients.add(
        x, to().node(name("gradient"),
                     UnflattenAttrs{static_cast<int32_t>(shape(x)[1]), image_size(x)}, {dy}));
  }
  void operator()(const DropoutAttrs&) const { gradients.add(node.inputs[0], dy); }
  void operator()(const DropoutMaskAttrs& attrs) const {
    gradients.add(node.inputs[0], to().node(name("gradient"), attrs, {dy, node.inputs[1]}));
  }

  // Of what autodiff itself appends after the forward nodes nothing is differentiated again; and
  // batch-norm in inference has no trained parameter behind it.
  template <typename OtherAttrs>
  void operator()(const OtherAttrs&) const {}
};

}  // namespace

void append_gradient(Gradients& gradients, const Node& node) {
  const Rule rule{gradients, node};
  std::visit(rule, rule.node.attrs);
}

}  // namespace caldera
