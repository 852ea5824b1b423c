# Finds the shader compiler and SPIRV-Tools, tells whether they know cooperative matrices, and
# gives caldera_spirv(), which compiles GLSL into a target. What tools/setup.sh unpacked of Debian
# 13 goes first, for Debian 12's and Ubuntu 24.04's own may be too old. It is looked for at every
# configure, so that setup.sh may also be run later; -DCALDERA_GLSLANG=... and the like decide it.
#
# Sets CALDERA_DEBIAN13, the unpacked tree (there or not), and CALDERA_COOPERATIVE_MATRIX, whether
# shaders that use GL_KHR_cooperative_matrix can be compiled.
include_guard(GLOBAL)

set(default_prefix "$ENV{CALDERA_PREFIX}")
if(NOT default_prefix)
  set(default_prefix "$ENV{HOME}/.cache/caldera")
endif()
set(CALDERA_PREFIX "${default_prefix}" CACHE PATH "Where tools/setup.sh unpacks newer tools")
set(CALDERA_DEBIAN13 "${CALDERA_PREFIX}/debian13" CACHE INTERNAL "")

find_program(CALDERA_GLSLANG NAMES glslangValidator glslang HINTS ${CALDERA_DEBIAN13}/bin
  NO_CACHE REQUIRED)  # Debian, Ubuntu: glslang-tools.
find_program(CALDERA_SPIRV_VAL spirv-val HINTS ${CALDERA_DEBIAN13}/bin
  NO_CACHE REQUIRED)  # Debian, Ubuntu: spirv-tools.
find_program(CALDERA_SPIRV_OPT spirv-opt HINTS ${CALDERA_DEBIAN13}/bin NO_CACHE REQUIRED)
foreach(tool glslang spirv_opt spirv_val)
  string(TOUPPER CALDERA_${tool} path)
  add_executable(caldera_${tool} IMPORTED GLOBAL)
  set_target_properties(caldera_${tool} PROPERTIES IMPORTED_LOCATION ${${path}})
endforeach()

# Sets `reason` to why a cooperative-matrix shader does not compile, empty where it does.
function(caldera_try_cooperative_matrix reason)
  set(trial ${PROJECT_BINARY_DIR}/cooperative_matrix_trial)
  file(WRITE ${trial}.comp [[
#version 460
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
layout(local_size_x = 32) in;
layout(binding = 0) buffer Data { float data[]; };
void main() {
  coopmat<float, gl_ScopeSubgroup, 16, 16, gl_MatrixUseAccumulator> tile;
  coopMatLoad(tile, data, 0, 16, gl_CooperativeMatrixLayoutRowMajor);
  coopMatStore(tile, data, 256, 16, gl_CooperativeMatrixLayoutRowMajor);
}
]])
  set(${reason} "" PARENT_SCOPE)
  execute_process(
    COMMAND ${CALDERA_GLSLANG} --quiet --target-env vulkan1.2 -o ${trial}.raw.spv ${trial}.comp
    RESULT_VARIABLE failure OUTPUT_QUIET ERROR_QUIET)
  if(failure)
    execute_process(COMMAND ${CALDERA_GLSLANG} --version OUTPUT_VARIABLE text ERROR_QUIET)
    string(REGEX MATCH "Version: [0-9]+:([0-9.]+)" _ "${text}")
    set(${reason} "glslang ${CMAKE_MATCH_1} (${CALDERA_GLSLANG})" PARENT_SCOPE)
    return()
  endif()
  execute_process(
    COMMAND ${CALDERA_SPIRV_OPT} -O --skip-validation ${trial}.raw.spv -o ${trial}.spv
    RESULT_VARIABLE failure OUTPUT_QUIET ERROR_QUIET)
  if(NOT failure)
    execute_process(COMMAND ${CALDERA_SPIRV_VAL} --target-env vulkan1.2 ${trial}.spv
      RESULT_VARIABLE failure OUTPUT_QUIET ERROR_QUIET)
  endif()
  if(failure)
    set(${reason} "SPIRV-Tools (${CALDERA_SPIRV_OPT}, ${CALDERA_SPIRV_VAL})" PARENT_SCOPE)
  endif()
endfunction()

caldera_try_cooperative_matrix(too_old)
if(too_old)
  message(STATUS "${too_old} is too old for GL_KHR_cooperative_matrix: kernels and tests that need "
    "it are left out (tools/setup.sh brings a newer one)")
  set(CALDERA_COOPERATIVE_MATRIX FALSE CACHE INTERNAL "")
else()
  set(CALDERA_COOPERATIVE_MATRIX TRUE CACHE INTERNAL "")
endif()

# caldera_spirv(target SHADERS... [SUFFIX text] [DEFINES macros...]): compiles compute shaders for
# Vulkan 1.2, optimises and validates them, and lets the target, of the same folder, include each as
# "spirv/NAME.h", which defines `NAME_spirv`, an array of words. The suffix is appended to NAME.
function(caldera_spirv target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SUFFIX" "DEFINES")
  list(TRANSFORM arg_DEFINES PREPEND -D)
  set(spirv ${CMAKE_CURRENT_BINARY_DIR}/spirv)
  file(MAKE_DIRECTORY ${spirv})
  foreach(shader IN LISTS arg_UNPARSED_ARGUMENTS)
    get_filename_component(name ${shader} NAME_WE)
    string(APPEND name "${arg_SUFFIX}")
    add_custom_command(
      OUTPUT ${spirv}/${name}.raw.spv ${spirv}/${name}.h  # The first is what the depfile names.
      COMMAND caldera_glslang --quiet --target-env vulkan1.2 ${arg_DEFINES}
        -o ${spirv}/${name}.raw.spv --depfile ${spirv}/${name}.d
        ${CMAKE_CURRENT_SOURCE_DIR}/${shader}
      COMMAND caldera_spirv_opt -O --skip-validation ${spirv}/${name}.raw.spv
        -o ${spirv}/${name}.spv
      COMMAND caldera_spirv_val --target-env vulkan1.2 ${spirv}/${name}.spv
      COMMAND ${CMAKE_COMMAND} -DMODULE=${spirv}/${name}.spv -DOUTPUT=${spirv}/${name}.h
        -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/embed_spirv.cmake
      DEPENDS ${shader} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/embed_spirv.cmake
      DEPFILE ${spirv}/${name}.d
      COMMENT "Shader ${name}"
      VERBATIM)
    target_sources(${target} PRIVATE ${spirv}/${name}.h)
  endforeach()
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
endfunction()
