// Which piece of a dispatch an invocation is. Devices may allow only 65,535 workgroups along x, so
// the host folds longer dispatches into y; invocations past the end return. A dispatch may be cut
// into several, of some rows of workgroups each: where a part begins comes with the push constants,
// so that one pipeline does for the whole and for any part.
#include "grid_params.h"

layout(local_size_x_id = 0) in;

uint workgroup_index();
uint invocation_index();

// A shader's push constants: the grid's, and `p`, its own.
#define PUSH_CONSTANTS(Params)                                                                  \
  layout(push_constant) uniform Push { GridParams grid; Params p; };                            \
  uint workgroup_index() {                                                                      \
    return grid.first_workgroup + gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;     \
  }                                                                                             \
  uint invocation_index() {                                                                     \
    return workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;                     \
  }
