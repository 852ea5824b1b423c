// Which piece of a dispatch an invocation is. Devices may allow only 65,535 workgroups along x, so
// the host folds longer dispatches into y; invocations past the end return.
layout(local_size_x_id = 0) in;

uint workgroup_index() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }

uint invocation_index() {
  return workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
}
