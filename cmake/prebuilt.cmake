# Takes a liblava that was built elsewhere, such as an unpacked release, so that no Rust is needed.

get_filename_component(lava_prebuilt "${LAVA_PREBUILT}" ABSOLUTE BASE_DIR "${CMAKE_BINARY_DIR}")
set(lava_places PATHS "${lava_prebuilt}" NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH
    PATH_SUFFIXES "${CMAKE_INSTALL_LIBDIR}" lib lib64 "lib/${CMAKE_LIBRARY_ARCHITECTURE}" .)

# lava_take(<name> <option> <file>): finds <name> in the prefix for <option> and takes it into ${lava_artifacts}.
function(lava_take name option file)
    unset(lava_found CACHE)
    find_file(lava_found "${name}" ${lava_places} ${ARGN})
    set(found "${lava_found}")
    unset(lava_found CACHE)
    if(NOT found)
        message(FATAL_ERROR "LAVA_PREBUILT: no ${name} in ${lava_prebuilt}; if that is meant, add -D${option}=OFF")
    endif()
    get_filename_component(found "${found}" REALPATH)
    configure_file("${found}" "${file}" COPYONLY)
endfunction()

add_custom_target(lava_library)
add_custom_target(lava_tool)
if(LAVA_BUILD_SHARED)
    lava_take("${lava_soname}" LAVA_BUILD_SHARED "${lava_shared_file}")
    file(CREATE_LINK "${lava_shared_name}" "${lava_artifacts}/${lava_soname}" SYMBOLIC)
    file(CREATE_LINK "${lava_soname}" "${lava_artifacts}/liblava.so" SYMBOLIC)
endif()
if(LAVA_BUILD_STATIC)
    lava_take(liblava.a LAVA_BUILD_STATIC "${lava_static_file}")
endif()
if(LAVA_BUILD_TOOL)
    lava_take(lava LAVA_BUILD_TOOL "${lava_tool_file}" PATH_SUFFIXES bin)
endif()
