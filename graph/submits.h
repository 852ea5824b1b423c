// Cuts a plan's dispatches into submits, each of no more device time than a driver's watchdog
// allows. Plain data: the estimate of time is the caller's.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "graph/dispatch.h"

namespace caldera {

// What a dispatch's time is estimated by: its multiply-adds, and the bytes that it binds, since
// memory bounds the rest. On any device a byte takes longer than a multiply-add.
double work_of(const Dispatch& dispatch);

// A dispatch, or some of its rows of workgroups.
struct Portion {
  uint32_t dispatch = 0;
  std::array<uint32_t, 3> workgroups{1, 1, 1};
  uint32_t first_row = 0;
  bool opens_submit = false;  // Never the first of all, which opens one anyway.
};

// `work_a_submit`: what one submit may hold. A dispatch of more is cut by rows of workgroups,
// folded until there are rows enough, of which there may be `max_rows`.
std::vector<Portion> cut_into_submits(std::span<const Dispatch> dispatches, double work_a_submit,
                                      uint32_t max_rows);

}  // namespace caldera
