// A graph as a plan has it: with the storage of every activation chosen.
#pragma once

#include <gtest/gtest.h>

#include "caldera/graph.h"

#include "graph/passes/passes.h"

namespace caldera::test {

inline Graph stored(Graph graph, Storage storage = Storage::kF32) {
  const Status status = choose_storage(graph, storage, {});
  EXPECT_TRUE(status.ok()) << status.error().message;
  return graph;
}

}  // namespace caldera::test
