// From a graph to a plan.
#include "graph/plan.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "graph/align.h"
#include "graph/emitter.h"
#include "graph/passes/passes.h"
#include "shaders/data_movement/data_movement_params.h"

namespace caldera {

namespace {

Status check_weights(const Graph& graph, const Weights& weights) {
  std::string problems;
  for (const Value& value : graph.values) {
    if (value.role != ValueRole::kParameter && value.role != ValueRole::kState) continue;
    const auto found = weights.find(value.name);
    if (found == weights.end()) {
      problems += fmt::format("; {} is missing", value.name);
    } else if (found->second.shape() != value.shape || found->second.dtype() != DType::kF32) {
      problems += fmt::format("; {} is {} {} where f32 {} is needed", value.name,
                              dtype_name(found->second.dtype()), to_string(found->second.shape()),
                              to_string(value.shape));
    }
  }
  if (problems.empty()) return {};
  return Error{ErrorCode::kInvalidInput, "weights do not fit the graph: " + problems.substr(2)};
}

class Planner {
 public:
  Planner(const Capabilities& capabilities, std::string_view device_name,
          const SessionOptions& options, Plan& plan)
      : capabilities_(capabilities),
        device_name_(device_name),
        options_(options),
        plan_(plan),
        emitter_(capabilities, plan.graph, plan.dispatches, plan.weights) {}

  Status run() {
    plan_.storage.resize(plan_.graph.values.size());
    for (size_t i = 0; i < plan_.storage.size(); ++i) plan_.storage[i] = static_cast<ValueId>(i);
    for (uint32_t i = 0; i < plan_.graph.inputs.size(); ++i) CALDERA_TRY(emit_input(i));
    for (const Node& node : plan_.graph.nodes) CALDERA_TRY(emit_node(node));
    for (uint32_t i = 0; i < plan_.graph.outputs.size(); ++i) CALDERA_TRY(emit_output(i));
    CALDERA_TRY(check_bindings());
    place_weights();
    place_activations();
    return {};
  }

 private:
  // The first supported of the variants asked for by name, else of all.
  const KernelVariant& choose(const Node& node) const {
    const auto variants = kernel_variants(node.kind());
    const auto fits = [&](const KernelVariant& variant) {
      return !variant.supported || variant.supported(capabilities_, plan_.graph, node);
    };
    for (const std::string& name : options_.kernels) {
      for (const KernelVariant& variant : variants) {
        if (variant.name == name && fits(variant)) return variant;
      }
    }
    return *std::find_if(variants.begin(), variants.end(), fits);
  }

  // Calls emit() for runs of images such that no binding of `values` (by bytes an image) spans
  // more than `most` bytes and every run starts where a binding may start.
  template <typename Emit>
  Status for_each_run(std::string_view layer, const std::vector<uint64_t>& image_bytes,
                      int64_t batch, uint64_t most, int64_t image_work, Emit emit) {
    const uint64_t largest = *std::max_element(image_bytes.begin(), image_bytes.end());
    int64_t run = batch;
    if (largest * static_cast<uint64_t>(batch) > most || image_work * batch > kMaxSubmitWork) {
      const uint64_t alignment = capabilities_.storage_buffer_alignment;
      int64_t multiple = 1;
      for (const uint64_t bytes : image_bytes) {
        multiple = std::max(multiple, static_cast<int64_t>(alignment / std::gcd(alignment, bytes)));
      }
      int64_t fits = static_cast<int64_t>(most / largest);
      if (image_work > 0) fits = std::min(fits, std::max(multiple, kMaxSubmitWork / image_work));
      run = std::min(batch, fits / multiple * multiple);
    }
    if (run < 1) return too_large(layer, largest, most);
    for (int64_t first = 0; first < batch; first += run) {
      const int64_t count = std::min(run, batch - first);
      const size_t before = plan_.dispatches.size();
      emitter_.set_images(first, count);
      emit();
      const size_t made = plan_.dispatches.size() - before;
      for (size_t i = before; i < plan_.dispatches.size(); ++i) {
        plan_.dispatches[i].multiply_adds = image_work * count / static_cast<int64_t>(made);
      }
    }
    return {};
  }

  // Either not one image fits, or fewer than a cut of the batch must hold to end where a binding
  // may start.
  Error too_large(std::string_view layer, uint64_t image_bytes, uint64_t most) const {
    const std::string advice = image_bytes <= most
                                   ? fmt::format("a batch of {} would fit", most / image_bytes)
                                   : "a smaller image would fit";
    return {ErrorCode::kUnsupported,
            fmt::format("{}: one image takes {:.1f} MiB here, and {} binds at most {:.1f} MiB at "
                        "once: {}",
                        layer, static_cast<double>(image_bytes) / (1 << 20), device_name_,
                        static_cast<double>(most) / (1 << 20), advice)};
  }

  shader::LayoutParams layout_params(const ImageShape& shape) const {
    return {.images = emitter_.images(),
            .channels = static_cast<uint32_t>(shape.c),
            .c4 = shape.c4(),
            .pixels = static_cast<uint32_t>(shape.pixels())};
  }

  Status emit_input(uint32_t index) {
    const ValueId value = plan_.graph.inputs[index];
    const ImageShape shape = emitter_.shape(value);
    plan_.input_offsets.push_back(plan_.input_bytes);
    plan_.input_bytes += round_up(shape.dense_image_bytes() * static_cast<uint64_t>(shape.n), 256);
    return for_each_run(
        plan_.graph.value(value).name, {shape.image_bytes(), shape.dense_image_bytes()}, shape.n,
        capabilities_.max_storage_buffer_range, 0, [&] {
          const auto params = layout_params(shape);
          emitter_.dispatch(NodeId::kNone, ShaderId::pack_nchw, params,
                            {emitter_.host_input(index), emitter_.activation(value)},
                            uint64_t{params.images} * params.pixels * params.c4);
        });
  }

  Status emit_output(uint32_t index) {
    const ValueId value = plan_.graph.outputs[index];
    const ImageShape shape = emitter_.shape(value);
    plan_.output_offsets.push_back(plan_.output_bytes);
    plan_.output_bytes += round_up(shape.dense_image_bytes() * static_cast<uint64_t>(shape.n), 256);
    return for_each_run(
        plan_.graph.value(value).name, {shape.image_bytes(), shape.dense_image_bytes()}, shape.n,
        capabilities_.max_storage_buffer_range, 0, [&] {
          const auto params = layout_params(shape);
          emitter_.dispatch(NodeId::kNone, ShaderId::unpack_nchw, params,
                            {emitter_.activation(value), emitter_.host_output(index)},
                            uint64_t{params.images} * params.pixels * params.channels);
        });
  }

  Status emit_node(const Node& node) {
    const KernelVariant& kernel = choose(node);
    plan_.kernels.push_back(&kernel);
    if (!kernel.emit) {
      plan_.storage[static_cast<uint32_t>(node.output)] =
          plan_.storage[static_cast<uint32_t>(node.inputs[0])];
      return {};
    }
    std::vector<uint64_t> image_bytes{emitter_.shape(node.output).image_bytes()};
    for (const ValueId input : node.inputs) {
      const ValueRole role = plan_.graph.value(input).role;
      if (role == ValueRole::kActivation || role == ValueRole::kInput) {
        image_bytes.push_back(emitter_.shape(input).image_bytes());
      }
    }
    const uint64_t most = kernel.max_binding_bytes ? kernel.max_binding_bytes(capabilities_)
                                                   : capabilities_.max_storage_buffer_range;
    const int64_t batch = emitter_.shape(node.output).n;
    return for_each_run(fmt::format("{} ({})", node.name, op_name(node.kind())), image_bytes, batch,
                        most, multiply_adds(plan_.graph, node) / batch,
                        [&] { kernel.emit(emitter_, node); });
  }

  // Activations were cut to fit; this catches weights that are more than a device binds.
  Status check_bindings() const {
    for (const Dispatch& dispatch : plan_.dispatches) {
      for (const Binding& binding : dispatch.bindings) {
        if (binding.size <= capabilities_.max_storage_buffer_range) continue;
        return Error{
            ErrorCode::kUnsupported,
            fmt::format("{}: its weights take {} MiB, and {} binds at most {} MiB at once: "
                        "choose another device, or a narrower net",
                        plan_.graph.node(dispatch.node).name, binding.size >> 20, device_name_,
                        capabilities_.max_storage_buffer_range >> 20)};
      }
    }
    return {};
  }

  uint64_t alignment() const {
    return std::max(capabilities_.storage_buffer_alignment, capabilities_.texel_buffer_alignment);
  }

  void place_weights() {
    for (PackedWeight& weight : plan_.weights) {
      weight.offset = plan_.weights_bytes;
      plan_.weights_bytes += round_up(weight.bytes, alignment());
    }
  }

  // Lifetimes are counted in dispatches, the order in which memory is really touched.
  void place_activations() {
    std::vector<Lifetime> lifetimes(plan_.graph.values.size());
    for (size_t step = 0; step < plan_.dispatches.size(); ++step) {
      for (const Binding& binding : plan_.dispatches[step].bindings) {
        if (binding.kind != BindingKind::kActivation) continue;
        const ValueId owner = plan_.storage[binding.index];
        Lifetime& lifetime = lifetimes[static_cast<uint32_t>(owner)];
        lifetime.bytes = emitter_.shape(owner).bytes();
        lifetime.first = std::min(lifetime.first, static_cast<int64_t>(step));
        lifetime.last = std::max(lifetime.last, static_cast<int64_t>(step));
      }
    }
    if (options_.keep_activations) {
      for (Lifetime& lifetime : lifetimes) {
        if (lifetime.used()) lifetime.last = static_cast<int64_t>(plan_.dispatches.size());
      }
    }
    plan_.memory = plan_memory(lifetimes, alignment());
  }

  const Capabilities& capabilities_;
  std::string_view device_name_;
  const SessionOptions& options_;
  Plan& plan_;
  Emitter emitter_;
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
                       Weights weights, const SessionOptions& options) {
  CALDERA_TRY(check_kernel_names(options.kernels));
  CALDERA_TRY(check_weights(graph, weights));
  if (options.fuse) {
    fold_batch_norm(graph, weights);
    fuse_epilogues(graph);
  }
  Plan plan;
  plan.graph = std::move(graph);
  plan.parameters = std::move(weights);
  CALDERA_TRY(Planner(capabilities, device_name, options, plan).run());
  return plan;
}

}  // namespace caldera
