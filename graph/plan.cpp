// From a graph to a plan: for each node the kernel that was asked for, measured or guessed to be
// the fastest of those that fit the device, emitted for the whole batch at once where its bindings
// allow, else in runs of images.
#include "graph/plan.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include "graph/align.h"
#include "graph/emitter.h"
#include "graph/passes/passes.h"
#include "graph/pixel_memory.h"
#include "graph/precision.h"
#include "graph/problem_key.h"
#include "graph/validate.h"
#include "shaders/data_movement/data_movement_params.h"

namespace caldera {

namespace {

// A batch whose workspace would be larger is run in runs of images: they need less at a time, and
// the arena is not to be made of what Winograd's transforms pass on.
constexpr uint64_t kMostWorkspace = uint64_t{256} << 20;

// One operand of a node as slicing sees it.
struct Operand {
  uint64_t image_bytes = 0;
  uint64_t most = 0;       // Bytes that its binding may span.
  bool workspace = false;  // Made anew for each run of images, so it starts where it likes.
};

class Planner {
 public:
  Planner(const Capabilities& capabilities, std::string_view device_name,
          const SessionOptions& options, const Tuning& tuning, Plan& plan)
      : capabilities_(capabilities),
        device_name_(device_name),
        options_(options),
        tuning_(tuning),
        plan_(plan),
        emitter_(capabilities, plan.graph, plan.states, plan.dispatches, plan.weights,
                 plan.workspaces) {}

  Status run() {
    CALDERA_TRY(check_counts());
    plan_.owners.resize(plan_.graph.values.size());
    for (size_t i = 0; i < plan_.owners.size(); ++i) plan_.owners[i] = static_cast<ValueId>(i);
    for (uint32_t i = 0; i < plan_.graph.inputs.size(); ++i) CALDERA_TRY(emit_input(i));
    plan_.forward_dispatches = SIZE_MAX;
    for (const Node& node : plan_.graph.nodes) {
      CALDERA_TRY(emit_scalars(node));
      CALDERA_TRY(emit_node(node));
    }
    for (uint32_t i = 0; i < plan_.graph.outputs.size(); ++i) CALDERA_TRY(emit_output(i));
    plan_.forward_dispatches = std::min(plan_.forward_dispatches, plan_.dispatches.size());
    CALDERA_TRY(check_bindings());
    place_weights();
    place_activations();
    return {};
  }

 private:
  KernelContext context(const Node& node) const { return {capabilities_, plan_.graph, node}; }

  // The supported variants that were not refused here: those asked for by name first, then the one
  // that was measured to be the fastest, then by what they are guessed to cost.
  std::vector<const KernelVariant*> candidates(const Node& node) const {
    std::vector<const KernelVariant*> list;
    for (const KernelVariant& variant : kernel_variants(node.kind())) {
      if (!variant.supported || variant.supported(context(node))) list.push_back(&variant);
    }
    if (list.size() < 2) return list;
    const std::string problem = problem_key(plan_.graph, node);
    const auto wrong = [&](const KernelVariant* variant) {
      return tuning_.refused(problem, variant->name) && !asked_for(*variant);
    };
    // Where all were refused the last, which fits everything, has to do.
    const KernelVariant* last = list.back();
    std::erase_if(list, wrong);
    if (list.empty()) list.push_back(last);
    const auto cost = [&](const KernelVariant* variant) {
      return variant->cost ? variant->cost(context(node)) : 0.0;
    };
    std::stable_sort(list.begin(), list.end(),
                     [&](const auto* a, const auto* b) { return cost(a) < cost(b); });
    const std::string_view fastest = options_.tuned ? tuning_.choice(problem) : "";
    std::stable_partition(list.begin(), list.end(),
                          [&](const auto* variant) { return variant->name == fastest; });
    std::stable_partition(list.begin(), list.end(),
                          [&](const auto* variant) { return asked_for(*variant); });
    return list;
  }

  bool asked_for(const KernelVariant& variant) const {
    return std::find(options_.kernels.begin(), options_.kernels.end(), variant.name) !=
           options_.kernels.end();
  }

  // How many images one run of dispatches may stand for: the whole batch where it fits, else as
  // many as let every run start where a binding may start; 0 where that is none.
  int64_t images_a_run(const std::vector<Operand>& operands, int64_t batch) const {
    int64_t held = INT64_MAX;  // Images that every binding spans.
    int64_t multiple = 1;      // Images after which every binding may start again.
    for (const Operand& operand : operands) {
      held = std::min(held, static_cast<int64_t>(operand.most / operand.image_bytes));
      if (operand.workspace) continue;
      multiple = std::max(
          multiple, static_cast<int64_t>(alignment() / std::gcd(alignment(), operand.image_bytes)));
    }
    return held >= batch ? batch : held / multiple * multiple;
  }

  template <typename Emit>
  void emit_runs(int64_t batch, int64_t run, int64_t image_work, Emit emit) {
    for (int64_t first = 0; first < batch; first += run) {
      const int64_t count = std::min(run, batch - first);
      const size_t before = plan_.dispatches.size();
      emitter_.set_images(first, count);
      emit();
      // Of several dispatches one or more may have claimed the node's work; else they share it.
      const auto made = std::span(plan_.dispatches).subspan(before);
      const bool claimed = std::any_of(made.begin(), made.end(),
                                       [](const Dispatch& d) { return d.multiply_adds > 0; });
      if (claimed) continue;
      const auto packs = [](const Dispatch& d) {
        return d.bindings[0].kind == BindingKind::kState;
      };
      const auto sharers = std::count_if(made.begin(), made.end(), std::not_fn(packs));
      for (Dispatch& dispatch : made) {
        if (!packs(dispatch)) dispatch.multiply_adds = image_work / sharers * count;
      }
    }
  }

  // Either not one image fits, or fewer than a cut of the batch must hold to end where a binding
  // may start.
  Error too_large(std::string_view layer, const std::vector<Operand>& operands) const {
    const Operand& worst =
        *std::max_element(operands.begin(), operands.end(), [](const Operand& a, const Operand& b) {
          return static_cast<double>(a.image_bytes) / static_cast<double>(a.most) <
                 static_cast<double>(b.image_bytes) / static_cast<double>(b.most);
        });
    const uint64_t fits = worst.most / worst.image_bytes;
    const std::string advice =
        fits > 0 ? fmt::format("a batch of {} would fit", fits) : "a smaller image would fit";
    return {ErrorCode::kUnsupported,
            fmt::format("{}: one image takes {:.1f} MiB here, and {} binds at most {:.1f} MiB at "
                        "once: {}",
                        layer, static_cast<double>(worst.image_bytes) / (1 << 20), device_name_,
                        static_cast<double>(worst.most) / (1 << 20), advice)};
  }

  shader::LayoutParams layout_params(const ImageShape& shape) const {
    return {.images = emitter_.images(),
            .channels = static_cast<uint32_t>(shape.c),
            .c4 = shape.c4(),
            .pixels = static_cast<uint32_t>(shape.pixels())};
  }

  // A change of layout between the host and the arena.
  template <typename Emit>
  Status emit_edge(ValueId value, Emit emit) {
    const ImageShape shape = emitter_.shape(value);
    const uint64_t most = capabilities_.max_storage_buffer_range;
    const std::vector<Operand> operands{{shape.image_bytes(), most},
                                        {shape.dense_image_bytes(), most}};
    const int64_t run = images_a_run(operands, shape.n);
    if (run == 0) return too_large(plan_.graph.value(value).name, operands);
    emit_runs(shape.n, run, 0, [&] { emit(shape, layout_params(shape)); });
    return {};
  }

  static uint64_t staging_bytes(const ImageShape& shape) {
    return round_up(shape.dense_image_bytes() * static_cast<uint64_t>(shape.n), 256);
  }

  Status emit_input(uint32_t index) {
    const ValueId value = plan_.graph.inputs[index];
    plan_.input_offsets.push_back(plan_.input_bytes);
    if (index == 0 && options_.pixels) return emit_pixels();
    plan_.input_bytes += staging_bytes(emitter_.shape(value));
    return is_scalars(value) ? Status() : emit_packing(index);
  }

  // An image that is mixed with another may be in another run of images: bytes are bound whole.
  Status emit_pixels() {
    const Value& value = plan_.graph.value(plan_.graph.inputs[0]);
    const ImageShape shape = emitter_.shape(plan_.graph.inputs[0]);
    if (value.shape.size() != 4 || shape.c != 3) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("images of bytes have three channels, but the input is {}",
                               to_string(value.shape))};
    }
    const uint64_t most = capabilities_.max_storage_buffer_range;
    const uint64_t bytes = static_cast<uint64_t>(shape.n * shape.pixels()) * Pixels::kBytes;
    const int64_t run = images_a_run({{shape.image_bytes(), most}}, shape.n);
    if (bytes > most || run == 0) {
      return too_large(value.name, {{bytes, most}, {shape.image_bytes(), most}});
    }
    std::vector<uint32_t> words;
    for (const auto& channel : *options_.pixels) {
      for (const float number : channel) words.push_back(std::bit_cast<uint32_t>(number));
    }
    const Binding numbers = emitter_.table(std::move(words));
    const uint64_t mixes = PixelMemory::offset(shape.n);
    emit_runs(shape.n, run, 0, [&] {
      const shader::PixelParams params{.images = emitter_.images(),
                                       .first = emitter_.first_image(),
                                       .c4 = shape.c4(),
                                       .pixels = static_cast<uint32_t>(shape.pixels())};
      emitter_.dispatch(NodeId::kNone, StoredShader{ShaderId::pack_pixels, shape.storage}, params,
                        {{BindingKind::kInput, 0, 0, static_cast<uint64_t>(shape.n) * 8},
                         {BindingKind::kInput, 0, mixes, bytes},
                         numbers,
                         emitter_.activation(plan_.graph.inputs[0])},
                        uint64_t{params.images} * params.pixels * params.c4);
    });
    plan_.pixel_dispatches = plan_.dispatches.size();
    return {};
  }

  // A step's scalars come in before the first node that reads them, and again where the part begins
  // that takes them from the step before: by then the host may have written others.
  Status emit_scalars(const Node& node) {
    const bool changes = !node.updates.empty() || node.kind() == OpKind::kCrossEntropyGradient;
    if (changes && plan_.forward_dispatches == SIZE_MAX) {
      plan_.forward_dispatches = plan_.dispatches.size();
      scalars_are_in_ = false;
    }
    if (scalars_are_in_) return {};
    for (uint32_t i = 0; i < plan_.graph.inputs.size(); ++i) {
      const ValueId value = plan_.graph.inputs[i];
      const bool read = std::ranges::find(node.inputs, value) != node.inputs.end();
      if (!read || !is_scalars(value)) continue;
      CALDERA_TRY(emit_packing(i));
      scalars_are_in_ = true;
    }
    return {};
  }

  Status emit_packing(uint32_t index) {
    const ValueId value = plan_.graph.inputs[index];
    return emit_edge(value, [&](const ImageShape& shape, const shader::LayoutParams& params) {
      emitter_.dispatch(NodeId::kNone, StoredShader{ShaderId::pack_nchw, shape.storage}, params,
                        {emitter_.host_input(index), emitter_.activation(value)},
                        uint64_t{params.images} * params.pixels * shape.c4());
    });
  }

  Status emit_output(uint32_t index) {
    const ValueId value = plan_.graph.outputs[index];
    plan_.output_offsets.push_back(plan_.output_bytes);
    plan_.output_bytes += staging_bytes(emitter_.shape(value));
    return emit_edge(value, [&](const ImageShape& shape, const shader::LayoutParams& params) {
      emitter_.dispatch(NodeId::kNone, StoredShader{ShaderId::unpack_nchw, shape.storage}, params,
                        {emitter_.activation(value), emitter_.host_output(index)},
                        uint64_t{params.images} * params.pixels * params.channels);
    });
  }

  bool is_scalars(ValueId id) const {
    const Value& value = plan_.graph.value(id);
    return value.role == ValueRole::kInput && value.shape == Shape{1, kScalarCount};
  }

  // Whether a value is of the batch's images. Weights, statistics and scalars are not, which
  // kernels bind whole.
  bool is_batched(ValueId id) const {
    const Value& value = plan_.graph.value(id);
    if (value.role == ValueRole::kInput) return !is_scalars(id);
    if (value.role != ValueRole::kActivation) return false;
    const OpKind maker = plan_.graph.node(value.producer).kind();
    return maker != OpKind::kTransposeWeight && maker != OpKind::kBatchStatistics &&
           maker != OpKind::kFrozenStatistics && maker != OpKind::kNormalizeSums;
  }

  std::vector<Operand> operands(const Node& node, const KernelVariant& kernel) const {
    const auto most = [&](Storage storage) {
      return kernel.texels ? texel_buffer_bytes(capabilities_, storage)
                           : capabilities_.max_storage_buffer_range;
    };
    std::vector<Operand> list;
    for (const ValueId output : node.outputs) {
      list.push_back(
          {emitter_.shape(output).image_bytes(), capabilities_.max_storage_buffer_range});
    }
    for (const ValueId input : node.inputs) {
      if (!is_batched(input)) continue;
      list.push_back({emitter_.shape(input).image_bytes(), most(emitter_.storage())});
    }
    if (kernel.workspace_image_bytes) {
      list.push_back({kernel.workspace_image_bytes(context(node)),
                      std::min(most(Storage::kF32), kMostWorkspace), true});
    }
    return list;
  }

  Status emit_node(const Node& node) {
    emitter_.set_node(id_of(plan_.graph, node));
    std::vector<Operand> refused;
    for (const KernelVariant* kernel : candidates(node)) {
      if (kernel->whole_batch) {
        emit_runs(1, 1, multiply_adds(plan_.graph, node), [&] { kernel->emit(emitter_, node); });
        plan_.kernels.push_back(kernel);
        return {};
      }
      const int64_t batch = emitter_.shape(node.output()).n;
      const int64_t image_work = multiply_adds(plan_.graph, node) / batch;
      if (!kernel->emit) {
        plan_.owners[static_cast<uint32_t>(node.output())] =
            plan_.owners[static_cast<uint32_t>(node.inputs[0])];
        plan_.kernels.push_back(kernel);
        return {};
      }
      refused = operands(node, *kernel);
      const int64_t run = images_a_run(refused, batch);
      if (run == 0) continue;
      emit_runs(batch, run, image_work, [&] { kernel->emit(emitter_, node); });
      plan_.kernels.push_back(kernel);
      return {};
    }
    return too_large(fmt::format("{} ({})", node.name, op_name(node.kind())), refused);
  }

  // Shaders count in 32 bits, and a few count the elements of the whole batch, however it is cut.
  Status check_counts() const {
    for (const Value& value : plan_.graph.values) {
      if (value.role != ValueRole::kActivation && value.role != ValueRole::kInput) continue;
      const auto batch = static_cast<uint64_t>(value.shape[0]);
      const auto image = static_cast<uint64_t>(element_count(value.shape)) / batch;
      const uint64_t stored =
          image / static_cast<uint64_t>(value.shape[1]) * stored_vectors(value.shape[1]) * 4;
      if (batch <= UINT32_MAX / stored) continue;
      return Error{ErrorCode::kUnsupported,
                   fmt::format("{}: a batch of {} has more elements here than the {} that shaders "
                               "count: a batch of {} would fit",
                               value.name, batch, UINT32_MAX, UINT32_MAX / stored)};
    }
    return {};
  }

  // Activations were cut to fit; this catches weights that are more than a device binds.
  Status check_bindings() const {
    for (const Dispatch& dispatch : plan_.dispatches) {
      for (const Binding& binding : dispatch.bindings) {
        assert(binding.offset % alignment() == 0);
        if (binding.size <= capabilities_.max_storage_buffer_range) continue;
        const bool weights =
            binding.kind == BindingKind::kWeight || binding.kind == BindingKind::kState;
        const bool workspace = binding.kind == BindingKind::kWorkspace;
        return Error{
            ErrorCode::kUnsupported,
            fmt::format("{}: its {} take {} MiB, and {} binds at most {} MiB at once: choose "
                        "another device, {}",
                        plan_.graph.node(dispatch.node).name,
                        weights     ? "weights"
                        : workspace ? "workspaces"
                                    : "images",
                        binding.size >> 20, device_name_,
                        capabilities_.max_storage_buffer_range >> 20,
                        weights     ? "or a narrower net"
                        : workspace ? "a smaller batch or a narrower net"
                                    : "smaller images or a narrower net")};
      }
    }
    return {};
  }

  uint64_t alignment() const { return capabilities_.binding_alignment(); }

  void place_weights() {
    EndToEnd row(capabilities_.max_block_bytes());
    for (PackedWeight& weight : plan_.weights) {
      weight.place = row.add(round_up(weight.bytes, alignment()));
    }
    plan_.weights_blocks = row.blocks();
    plan_.weights_bytes = row.bytes();
  }

  // Lifetimes are counted in dispatches, the order in which memory is really touched.
  void place_activations() {
    const size_t values = plan_.graph.values.size();
    std::vector<Lifetime> lifetimes(values + plan_.workspaces.size());
    for (size_t step = 0; step < plan_.dispatches.size(); ++step) {
      for (const Binding& binding : plan_.dispatches[step].bindings) {
        size_t index = values + binding.index;
        uint64_t bytes = 0;
        if (binding.kind == BindingKind::kActivation) {
          const ValueId owner = plan_.owners[binding.index];
          index = static_cast<uint32_t>(owner);
          bytes = emitter_.shape(owner).bytes();
        } else if (binding.kind == BindingKind::kWorkspace) {
          bytes = plan_.workspaces[binding.index];
        } else {
          continue;
        }
        Lifetime& lifetime = lifetimes[index];
        lifetime.bytes = bytes;
        lifetime.first = std::min(lifetime.first, static_cast<int64_t>(step));
        lifetime.last = std::max(lifetime.last, static_cast<int64_t>(step));
      }
    }
    if (options_.keep_activations) {
      for (Lifetime& lifetime : std::span(lifetimes).first(values)) {
        if (lifetime.used()) lifetime.last = static_cast<int64_t>(plan_.dispatches.size());
      }
    }
    plan_.memory = plan_memory(lifetimes, alignment(), capabilities_.max_block_bytes());
  }

  const Capabilities& capabilities_;
  std::string_view device_name_;
  const SessionOptions& options_;
  const Tuning& tuning_;
  Plan& plan_;
  Emitter emitter_;
  bool scalars_are_in_ = false;
};

Status check_kernel_names(const std::vector<std::string>& names) {
  const std::vector<std::string> known = kernel_names();
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return Error{ErrorCode::kInvalidInput, fmt::format("no kernel is named '{}'; there are {}",
                                                       name, fmt::join(known, ", "))};
  }
  return {};
}

}  // namespace

Result<Plan> make_plan(const Capabilities& capabilities, std::string_view device_name, Graph graph,
                       Weights weights, const SessionOptions& options, const Tuning& tuning) {
  CALDERA_TRY(check_kernel_names(options.kernels));
  CALDERA_TRY(validate(graph, weights));
  if (options.pixels && (options.profile || options.keep_activations || graph.inputs.empty())) {
    return Error{ErrorCode::kInvalidInput,
                 "images of bytes are not to be had with profile or keep_activations"};
  }
  if (!(options.submit_seconds > 0) || options.frames_in_flight < 1) {
    return Error{
        ErrorCode::kInvalidInput,
        fmt::format("submit_seconds is {} and frames_in_flight {}: give more than 0 and at "
                    "least 1",
                    options.submit_seconds, options.frames_in_flight)};
  }
  Plan plan;
  plan.precision = supported_precision(capabilities, options.precision);
  CALDERA_TRY(mark_full_precision(graph, options.full_precision));
  if (options.fuse) {
    fold_batch_norm(graph, weights, plan.scales);
    fuse_epilogues(graph);
  }
  choose_storage(graph, storage_of(plan.precision));
  plan.graph = std::move(graph);
  plan.states = lay_out_states(plan.graph, capabilities.max_block_bytes());
  plan.parameters = std::move(weights);
  CALDERA_TRY(Planner(capabilities, device_name, options, tuning, plan).run());
  return plan;
}

}  // namespace caldera
