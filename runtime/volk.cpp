// volk's implementation, compiled once.
#define VOLK_IMPLEMENTATION
#include "volk_renamed.h"
