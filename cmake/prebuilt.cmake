# Takes a liblava that was built elsewhere, such as an unpacked release, so that no Rust is needed.

get_filename_component(lava_prebuilt "${LAVA_PREBUILT}" ABSOLUTE BASE_DIR "${CMAKE_BINARY_DIR}")

# lava_take(<name> <option> <file> <directory>...): takes <name> from one of the directories of the prefix, for <option>.
function(lava_take name option file)
    unset(lava_found CACHE)
    find_file(lava_found "${name}" PATHS "${lava_prebuilt}" NO_DEFAULT_PATH NO_CMAKE_FIND_ROOT_PATH PATH_SUFFIXES ${ARGN})
    set(found "${lava_found}")
    unset(lava_found CACHE)
    if(NOT found)
        message(FATAL_ERROR "LAVA_PREBUILT: no ${name} in ${lava_prebuilt}; if that is meant, add -D${option}=OFF")
    endif()
    get_filename_component(found "${found}" REALPATH)
    configure_file("${found}" "${file}" COPYONLY)
endfunction()

# lava_check_prebuilt(<file> <library>...): the library at <file> must be of the version of these sources.
function(lava_check_prebuilt file)
    set(source "${CMAKE_CURRENT_BINARY_DIR}/prebuilt_version.c")
    file(WRITE "${source}" "#include <lava.h>\n#include <stdio.h>\nint main(void) {\n"
        "    unsigned v = lava_version();\n"
        "    return printf(\"%u.%u.%u ABI %u\", v >> 16, v >> 8 & 255, v & 255, (unsigned)lava_abi_version()) < 0;\n}\n")
    try_run(lava_result lava_compiled "${CMAKE_CURRENT_BINARY_DIR}/prebuilt" "${source}"
        CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${lava_root}/include"
        LINK_LIBRARIES "${file}" ${ARGN}
        COMPILE_OUTPUT_VARIABLE messages
        RUN_OUTPUT_VARIABLE version)
    set(compiled "${lava_compiled}")
    set(result "${lava_result}")
    # Not from the cache: the next file is another one.
    unset(lava_compiled CACHE)
    unset(lava_result CACHE)
    if(NOT compiled OR NOT result EQUAL 0)
        message(FATAL_ERROR "LAVA_PREBUILT: no program can be linked with ${file}, or it does not run:\n${messages}")
    elseif(NOT version STREQUAL "${PROJECT_VERSION} ABI ${lava_abi_version}")
        message(FATAL_ERROR "LAVA_PREBUILT: ${file} is version ${version}, these sources are "
            "${PROJECT_VERSION} ABI ${lava_abi_version}; take the sources of that version")
    endif()
endfunction()

set(lava_library_directories "${CMAKE_INSTALL_LIBDIR}" lib lib64 "lib/${CMAKE_LIBRARY_ARCHITECTURE}")
add_custom_target(lava_library)
add_custom_target(lava_tool)
if(LAVA_BUILD_SHARED)
    lava_take("${lava_soname}" LAVA_BUILD_SHARED "${lava_shared_file}" ${lava_library_directories})
    file(CREATE_LINK "${lava_shared_name}" "${lava_artifacts}/lib/${lava_soname}" SYMBOLIC)
    file(CREATE_LINK "${lava_soname}" "${lava_artifacts}/lib/liblava.so" SYMBOLIC)
endif()
if(LAVA_BUILD_STATIC)
    lava_take(liblava.a LAVA_BUILD_STATIC "${lava_static_file}" ${lava_library_directories})
endif()
if(LAVA_BUILD_TOOL)
    lava_take(lava LAVA_BUILD_TOOL "${lava_tool_file}" bin)
endif()
if(NOT CMAKE_CROSSCOMPILING AND LAVA_BUILD_SHARED)
    lava_check_prebuilt("${lava_shared_file}")
endif()
if(NOT CMAKE_CROSSCOMPILING AND LAVA_BUILD_STATIC)
    lava_native_libraries(lava_native)
    lava_check_prebuilt("${lava_static_file}" ${lava_native})
endif()

# Those plug-ins that are there.
set(lava_plugins "")
if(LAVA_BUILD_MPI)
    foreach(kind IN ITEMS openmpi mpich)
        foreach(directory IN LISTS lava_library_directories)
            set(lava_plugin "${lava_prebuilt}/${directory}/lava/liblava_mpi_${kind}.so")
            if(EXISTS "${lava_plugin}" AND NOT kind IN_LIST lava_plugins)
                configure_file("${lava_plugin}" "${lava_plugin_directory}/liblava_mpi_${kind}.so" COPYONLY)
                list(APPEND lava_plugins ${kind})
            endif()
        endforeach()
    endforeach()
    if(NOT lava_plugins AND NOT LAVA_BUILD_MPI STREQUAL "AUTO")
        message(FATAL_ERROR "LAVA_BUILD_MPI: no liblava_mpi_*.so in a directory `lava` beside liblava in ${lava_prebuilt}")
    endif()
endif()
