// Stores of many values by one invocation. A driver on a CPU makes much code of each store, a loop
// over the lanes for every component, and compiles hundreds of them for seconds: there one store
// runs in a loop over an array. On a GPU such an array would leave the registers.
//
// Expects ROLLED_CONSTANT, the id of the specialization constant.
#extension GL_EXT_control_flow_attributes : require

layout(constant_id = ROLLED_CONSTANT) const bool kRolled = false;

// `store`, a statement, for each i less than `count`. It indexes arrays that are made for it alone:
// those that are computed in would leave a CPU's registers too.
#define EACH_STORE(i, count, store) \
  if (kRolled) { \
    [[dont_unroll]] for (uint i = 0; i < count; ++i) store; \
  } else { \
    [[unroll]] for (uint i = 0; i < count; ++i) store; \
  }
