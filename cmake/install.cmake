# What `cmake --install` gives besides the layers themselves: headers, a CMake package that
# defines caldera::caldera, and a pkg-config file. The layers are static libraries, so whatever a
# layer links privately, its consumer links too: that list is read off the targets, so that it
# cannot fall behind them. Included last by the top CMakeLists.txt.
include(CMakePackageConfigHelpers)

add_library(caldera_all INTERFACE)
add_library(caldera::caldera ALIAS caldera_all)
set_target_properties(caldera_all PROPERTIES EXPORT_NAME caldera)
target_link_libraries(caldera_all INTERFACE caldera::models)
target_compile_features(caldera_all INTERFACE cxx_std_20)
install(TARGETS caldera_all EXPORT caldera)

# How a consumer comes by each library that a layer may link: in CMake, and by pkg-config.
set(find_fmt::fmt "find_dependency(fmt)")
set(pc_fmt::fmt fmt)
set(find_Threads::Threads "find_dependency(Threads)")
set(flags_Threads::Threads -pthread)
set(find_libzip::zip "find_dependency(LibZip)")
set(pc_libzip::zip libzip)
set(flags_${CMAKE_DL_LIBS} -l${CMAKE_DL_LIBS})
# Headers alone, used within: nothing for a consumer to link or to have.
set(header_only nlohmann_json::nlohmann_json)

set(layers "")        # Libraries before those that they link.
set(dependencies "")
macro(walk_layer target)
  list(REMOVE_ITEM layers ${target})
  list(APPEND layers ${target})
  get_target_property(links ${target} INTERFACE_LINK_LIBRARIES)
  list(TRANSFORM links REPLACE "^\\$<LINK_ONLY:(.*)>$" "\\1" OUTPUT_VARIABLE names)
  # ::@ marks the folder that a link was said in.
  list(FILTER names EXCLUDE REGEX "^caldera_warnings$|NOTFOUND$|^::@|^\\$<BUILD_")
  foreach(name IN LISTS names)
    if(name IN_LIST header_only)
      list(REMOVE_ITEM links ${name} "$<LINK_ONLY:${name}>")
      set_target_properties(${target} PROPERTIES INTERFACE_LINK_LIBRARIES "${links}")
    elseif(name MATCHES "^caldera(::|_)(.*)$")
      list(APPEND below caldera_${CMAKE_MATCH_2})
    elseif(DEFINED find_${name} OR DEFINED flags_${name})
      list(APPEND dependencies ${name})
    else()
      message(FATAL_ERROR "cmake/install.cmake: say there how a consumer of ${target} finds ${name}")
    endif()
  endforeach()
endmacro()

set(below caldera_models)
while(below)
  set(level ${below})
  set(below "")
  list(REMOVE_DUPLICATES level)
  foreach(layer IN LISTS level)
    if(TARGET ${layer})
      walk_layer(${layer})
    endif()
  endforeach()
endwhile()
list(REMOVE_DUPLICATES dependencies)

set(CALDERA_FIND_DEPENDENCIES "")
set(CALDERA_PC_REQUIRES "")
set(CALDERA_PC_LIBS "")
foreach(layer IN LISTS layers)
  get_target_property(type ${layer} TYPE)
  if(NOT type STREQUAL "INTERFACE_LIBRARY" AND NOT type STREQUAL "OBJECT_LIBRARY")
    string(APPEND CALDERA_PC_LIBS " -l${layer}")
  endif()
endforeach()
foreach(name IN LISTS dependencies)
  if(DEFINED find_${name})
    string(APPEND CALDERA_FIND_DEPENDENCIES "${find_${name}}\n")
  endif()
  if(DEFINED pc_${name})
    string(APPEND CALDERA_PC_REQUIRES " ${pc_${name}}")
  endif()
  if(DEFINED flags_${name})
    string(APPEND CALDERA_PC_LIBS " ${flags_${name}}")
  endif()
endforeach()

# From where the pkg-config file lies to the prefix, so that an installation may be moved.
file(RELATIVE_PATH CALDERA_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/caldera)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/calderaConfig.cmake.in
  ${PROJECT_BINARY_DIR}/calderaConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/calderaConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
configure_file(${CMAKE_CURRENT_LIST_DIR}/caldera.pc.in ${PROJECT_BINARY_DIR}/caldera.pc @ONLY)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/caldera DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")
install(EXPORT caldera FILE calderaTargets.cmake NAMESPACE caldera:: DESTINATION ${package_dir})
install(FILES
  ${PROJECT_BINARY_DIR}/calderaConfig.cmake
  ${PROJECT_BINARY_DIR}/calderaConfigVersion.cmake
  ${CMAKE_CURRENT_LIST_DIR}/FindLibZip.cmake
  DESTINATION ${package_dir})
install(FILES ${PROJECT_BINARY_DIR}/caldera.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
