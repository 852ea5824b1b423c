// Lets one params struct be read by GLSL and C++.
#ifndef CALDERA_SHADERS_COMMON_TYPES_H
#define CALDERA_SHADERS_COMMON_TYPES_H

#ifdef __cplusplus
#include <cstdint>
namespace caldera::shader {
using uint = uint32_t;
}
#define CALDERA_PARAMS_BEGIN namespace caldera::shader {
#define CALDERA_PARAMS_END }
#else
#define CALDERA_PARAMS_BEGIN
#define CALDERA_PARAMS_END
#endif

#endif
