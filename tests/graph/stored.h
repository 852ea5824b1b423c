// A graph as a plan has it: with the storage of every activation chosen.
#pragma once

#include "caldera/graph.h"

#include "graph/passes/passes.h"

namespace caldera::test {

inline Graph stored(Graph graph, Storage storage = Storage::kF32) {
  choose_storage(graph, storage);
  return graph;
}

}  // namespace caldera::test
