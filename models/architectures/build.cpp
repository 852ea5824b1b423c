// build_graph: checks what every family shares, then hands over to the family's builder, whose
// failure it prefixes with the architecture's name.
#include <fmt/format.h>

#include "models/architectures/catalog.h"

namespace caldera {

Result<Graph> build_graph(const Architecture& architecture, int64_t batch, Size2d input) {
  if (batch < 1 || input.h < 1 || input.w < 1) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{}: no graph for a batch of {} images of {}x{}", architecture.name,
                             batch, input.h, input.w)};
  }
  Result<Graph> graph = architecture.family == Family::kVgg
                            ? build_vgg(architecture, batch, input)
                            : build_residual(architecture, batch, input);
  if (!graph.ok() && !graph.error().message.starts_with(architecture.name)) {
    return Error{graph.error().code,
                 fmt::format("{}: {}", architecture.name, graph.error().message)};
  }
  return graph;
}

Result<Graph> build_graph(const Architecture& architecture, int64_t batch) {
  return build_graph(architecture, batch, architecture.input);
}

}  // namespace caldera
