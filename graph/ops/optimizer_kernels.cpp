// The ways to run what ends a training step: gradient norms and optimizers. Both walk states that
// lie end to end (graph/state_layout.h), in as many dispatches as their blocks, and what a binding
// spans, have to be cut into.
#include <algorithm>
#include <map>

#include "graph/align.h"
#include "graph/emitter.h"
#include "graph/kernel.h"
#include "shaders/training/training_params.h"

namespace caldera {

namespace {

// Pieces that one binding spans.
uint64_t pieces_a_binding(const Emitter& emitter) {
  return emitter.capabilities().max_storage_buffer_range / kStatePieceBytes;
}

uint64_t pieces_of(const Emitter& emitter, ValueId value) {
  return ceil_div(emitter.state(value).size, kStatePieceBytes);
}

// Whether one state begins where the last piece of the other ends.
bool lies_after(const Emitter& emitter, ValueId before, ValueId next) {
  Place end = emitter.state_place(before);
  end.offset += pieces_of(emitter, before) * kStatePieceBytes;
  return emitter.state_place(next) == end;
}

Binding part_of(Binding binding, uint64_t first_piece, uint64_t pieces) {
  const uint64_t begin = first_piece * kStatePieceBytes;
  binding.offset += begin;
  binding.size = std::min(pieces * kStatePieceBytes, binding.size - begin);
  return binding;
}

void emit_norms(Emitter& emitter, const Node& node) {
  const NodeId id = id_of(emitter.graph(), node);
  const std::vector<ValueId> gradients(node.inputs.begin(), node.inputs.end() - 1);
  const Binding scalars = emitter.whole(node.inputs.back());
  uint64_t all = 0;
  for (const ValueId gradient : gradients) all += pieces_of(emitter, gradient);
  const Binding pieces = emitter.workspace(round_up(all * sizeof(float), 16));

  // Stretches of gradients that lie one after the other.
  std::vector<size_t> order(gradients.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](size_t i) { return emitter.state_place(gradients[i]); });
  std::vector<uint32_t> ranges(2 * gradients.size());
  uint64_t made = 0;
  for (size_t first = 0; first < order.size();) {
    size_t end = first;
    uint64_t count = 0;
    do {
      const uint64_t own = pieces_of(emitter, gradients[order[end]]);
      ranges[2 * order[end]] = static_cast<uint32_t>(made + count);
      ranges[2 * order[end] + 1] = static_cast<uint32_t>(made + count + own);
      count += own;
      ++end;
    } while (end < order.size() &&
             lies_after(emitter, gradients[order[end - 1]], gradients[order[end]]));
    const Binding stretch = emitter.states(gradients[order[first]], gradients[order[end - 1]]);
    for (uint64_t from = 0; from < count; from += pieces_a_binding(emitter)) {
      const uint64_t here = std::min(pieces_a_binding(emitter), count - from);
      const shader::PieceNormsParams p{.pieces = static_cast<uint32_t>(here),
                                       .first_piece = static_cast<uint32_t>(made + from)};
      emitter.dispatch(id, ShaderId::piece_norms, p,
                       {part_of(stretch, from, here), scalars, pieces}, here);
    }
    made += count;
    first = end;
  }
  const shader::GradientNormsParams p{.parameters = static_cast<uint32_t>(gradients.size())};
  const Binding norms = emitter.whole(node.output());
  emitter.dispatch(id, ShaderId::gradient_norms, p,
                   {pieces, emitter.table(std::move(ranges)), norms}, p.parameters);
  emitter.dispatch(id, ShaderId::total_norm, p, {norms}, 1);
}

// What an optimizer updates beside parameters and gradients.
struct Kept {
  explicit Kept(const OptimizerAttrs& attrs)
      : moment(attrs.kind != OptimizerKind::kSgd || attrs.momentum != 0),
        second(attrs.kind != OptimizerKind::kSgd),
        average(attrs.ema_decay != 0) {}

  bool moment, second, average;
  size_t kinds() const { return 2u + moment + second + average; }
};

// From the `first` parameter to before the `end`, where the values of each kind lie end to end.
void emit_stretch(Emitter& emitter, const Node& node, size_t first, size_t end) {
  const auto& attrs = std::get<OptimizerAttrs>(node.attrs);
  const auto [moment, second, average] = Kept(attrs);
  const size_t count = node.updates.size() / Kept(attrs).kinds();
  // Values of the `kind`th kind: the parameters, the gradients, ...
  const auto span_of = [&](size_t kind) {
    return emitter.states(node.updates[kind * count + first], node.updates[kind * count + end - 1]);
  };
  const Binding parameters = span_of(0);
  size_t next = 2;
  // What an optimizer does not keep is bound to the parameters, and left alone.
  const Binding moments1 = moment ? span_of(next++) : parameters;
  const Binding moments2 = second ? span_of(next++) : parameters;
  const Binding averages = average ? span_of(next++) : parameters;
  const uint64_t all = ceil_div(parameters.size, kStatePieceBytes);
  for (uint64_t from = 0; from < all; from += pieces_a_binding(emitter)) {
    const uint64_t here = std::min(pieces_a_binding(emitter), all - from);
    const Binding part = part_of(parameters, from, here);
    const shader::OptimizerParams p{.vectors = static_cast<uint32_t>(part.size / sizeof(float[4])),
                                    .momentum = attrs.momentum,
                                    .nesterov = attrs.nesterov,
                                    .beta1 = attrs.beta1,
                                    .beta2 = attrs.beta2,
                                    .eps = attrs.eps,
                                    .weight_decay = attrs.weight_decay,
                                    .max_norm = attrs.max_norm,
                                    .ema_decay = attrs.ema_decay};
    Dispatch& dispatch =
        emitter.dispatch(id_of(emitter.graph(), node), ShaderId::optimizer, p,
                         {part, part_of(span_of(1), from, here), part_of(moments1, from, here),
                          part_of(moments2, from, here), part_of(averages, from, here),
                          emitter.whole(node.inputs[0]), emitter.whole(node.inputs[1])},
                         p.vectors);
    dispatch.constants.insert(dispatch.constants.end(), {static_cast<uint32_t>(attrs.kind),
                                                         uint32_t{moment}, uint32_t{average}});
  }
}

void emit_optimizer(Emitter& emitter, const Node& node) {
  const size_t kinds = Kept(std::get<OptimizerAttrs>(node.attrs)).kinds();
  const size_t count = node.updates.size() / kinds;
  for (size_t first = 0, end = 1; first < count; first = end++) {
    const auto goes_on = [&] {
      for (size_t i = end; i < node.updates.size(); i += count) {
        if (!lies_after(emitter, node.updates[i - 1], node.updates[i])) return false;
      }
      return true;
    };
    while (end < count && goes_on()) ++end;
    emit_stretch(emitter, node, first, end);
  }
}

constexpr KernelVariant kNorms[] = {
    {.name = "gradient_norms_pieces", .emit = emit_norms, .whole_batch = true}};
constexpr KernelVariant kOptimizer[] = {
    {.name = "optimizer_flat", .emit = emit_optimizer, .whole_batch = true}};

}  // namespace

std::span<const KernelVariant> gradient_norms_kernels() {
  return kNorms;
}
std::span<const KernelVariant> optimizer_kernels() {
  return kOptimizer;
}

}  // namespace caldera
