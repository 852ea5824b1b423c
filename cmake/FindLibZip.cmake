# libzip::zip by pkg-config. Debian's own libzip-config.cmake asks for three command-line programs
# that its development package does not bring.
if(NOT TARGET libzip::zip)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(LibZip_PC QUIET IMPORTED_TARGET libzip)
  if(LibZip_PC_FOUND)
    add_library(libzip::zip INTERFACE IMPORTED)
    target_link_libraries(libzip::zip INTERFACE PkgConfig::LibZip_PC)
  endif()
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibZip REQUIRED_VARS LibZip_PC_LINK_LIBRARIES
  VERSION_VAR LibZip_PC_VERSION)
