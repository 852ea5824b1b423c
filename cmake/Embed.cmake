# caldera_embed(target FILES...): lets the target include each file's bytes as "embedded/NAME.h",
# where NAME is the file's with underscores for dots; it defines the array `NAME_bytes`.
function(caldera_embed target)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/embedded)
  file(MAKE_DIRECTORY ${folder})
  foreach(file IN LISTS ARGN)
    get_filename_component(name ${file} NAME)
    string(MAKE_C_IDENTIFIER ${name} name)
    get_filename_component(path ${file} ABSOLUTE)
    add_custom_command(
      OUTPUT ${folder}/${name}.h
      COMMAND ${CMAKE_COMMAND} -DFILE=${path} -DOUTPUT=${folder}/${name}.h -DNAME=${name}
        -P ${PROJECT_SOURCE_DIR}/cmake/embed_text.cmake
      DEPENDS ${path} ${PROJECT_SOURCE_DIR}/cmake/embed_text.cmake
      VERBATIM)
    target_sources(${target} PRIVATE ${folder}/${name}.h)
  endforeach()
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
endfunction()
