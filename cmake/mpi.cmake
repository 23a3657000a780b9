# Builds a plug-in for each MPI that is found: crate lava-sys/mpi, which is compiled against one MPI at a time. liblava loads the
# one that fits when it is needed, and links none. AUTO leaves out what cannot be built here and says why; ON insists on one.

foreach(kind IN ITEMS openmpi mpich)
    set(LAVA_MPICC_${kind} "" CACHE FILEPATH "Compiler command of ${kind} for the plug-in; else looked for")
endforeach()

# lava_mpi_kind(<variable> <mpicc>): whose compiler command it is: openmpi, mpich (and what has its ABI) or nothing.
function(lava_mpi_kind variable mpicc)
    set(source "${CMAKE_CURRENT_BINARY_DIR}/mpi_kind.c")
    file(WRITE "${source}" "#include <mpi.h>\n")
    execute_process(COMMAND "${mpicc}" -E -dM "${source}" OUTPUT_VARIABLE macros ERROR_QUIET)
    set(${variable} "" PARENT_SCOPE)
    if(macros MATCHES "#define OPEN_MPI 1")
        set(${variable} openmpi PARENT_SCOPE)
    elseif(macros MATCHES "#define MPICH_VERSION ")
        set(${variable} mpich PARENT_SCOPE)
    endif()
endfunction()

# lava_find_mpicc(<variable> <kind>): the compiler command of this MPI: named by the user, or with the kind in its name as Debian
# has it, or the one `mpicc` of a machine with a single MPI.
function(lava_find_mpicc variable kind)
    set(${variable} "" PARENT_SCOPE)
    if(LAVA_MPICC_${kind})
        set(candidates "${LAVA_MPICC_${kind}}")
    else()
        set(candidates "mpicc.${kind}" mpicc)
        if(DEFINED ENV{MPICC})
            list(PREPEND candidates "$ENV{MPICC}")
        endif()
    endif()
    foreach(candidate IN LISTS candidates)
        unset(lava_mpicc CACHE)
        find_program(lava_mpicc NAMES "${candidate}")
        set(mpicc "${lava_mpicc}")
        unset(lava_mpicc CACHE)
        if(mpicc)
            lava_mpi_kind(found_kind "${mpicc}")
            if(found_kind STREQUAL kind)
                set(${variable} "${mpicc}" PARENT_SCOPE)
                return()
            endif()
        endif()
    endforeach()
endfunction()

# Why no plug-in can be built, if so.
function(lava_mpi_obstacle variable)
    file(GLOB libclang "$ENV{LIBCLANG_PATH}/libclang*.so*" "/usr/lib/llvm-*/lib/libclang*.so*" "/usr/lib*/libclang*.so*"
        "/usr/lib/*-linux-gnu/libclang*.so*")
    find_program(LAVA_LLVM_CONFIG llvm-config)
    mark_as_advanced(LAVA_LLVM_CONFIG)
    set(${variable} "" PARENT_SCOPE)
    if(NOT EXISTS "${lava_root}/lava-sys/mpi/Cargo.toml")
        set(${variable} "these sources have no lava-sys/mpi" PARENT_SCOPE)
    elseif(CMAKE_CROSSCOMPILING)
        set(${variable} "plug-ins cannot be built for another machine; build them there" PARENT_SCOPE)
    elseif(NOT libclang AND NOT LAVA_LLVM_CONFIG)
        set(${variable} "libclang is missing, which reads mpi.h (Debian: libclang-dev; else set LIBCLANG_PATH)" PARENT_SCOPE)
    endif()
endfunction()

set(lava_plugins "")
if(LAVA_BUILD_MPI)
    lava_mpi_obstacle(lava_obstacle)
    foreach(kind IN ITEMS openmpi mpich)
        lava_find_mpicc(lava_mpicc_${kind} ${kind})
        if(lava_mpicc_${kind} AND NOT lava_obstacle)
            list(APPEND lava_plugins ${kind})
        elseif(LAVA_MPICC_${kind} AND NOT lava_obstacle)
            message(FATAL_ERROR "LAVA_MPICC_${kind}: ${LAVA_MPICC_${kind}} is not a compiler command of ${kind}")
        endif()
    endforeach()
    if(NOT lava_obstacle AND NOT lava_plugins)
        set(lava_obstacle "no mpicc was found (Debian: libopenmpi-dev openmpi-bin, or libmpich-dev mpich)")
    endif()
    if(lava_obstacle AND LAVA_BUILD_MPI STREQUAL "AUTO")
        message(STATUS "lava: no MPI plug-in: ${lava_obstacle}")
    elseif(lava_obstacle)
        message(FATAL_ERROR "LAVA_BUILD_MPI: ${lava_obstacle}")
    endif()
endif()

foreach(kind IN LISTS lava_plugins)
    message(STATUS "lava: MPI plug-in for ${kind} with ${lava_mpicc_${kind}}")
    # A directory for each: cargo does not see that MPICC changed.
    set(lava_mpi_target "${lava_target_directory}/mpi-${kind}")
    list(APPEND lava_environment "MPICC=${lava_mpicc_${kind}}")
    lava_cargo(lava_command --manifest-path "${lava_root}/lava-sys/mpi/Cargo.toml" --target-dir "${lava_mpi_target}"
        --lib --crate-type cdylib)
    list(REMOVE_ITEM lava_environment "MPICC=${lava_mpicc_${kind}}")
    set(lava_plugin "${lava_plugin_directory}/liblava_mpi_${kind}.so")
    add_custom_target(lava_mpi_${kind} ALL
        COMMAND ${lava_command}
        COMMAND "${CMAKE_COMMAND}" -E make_directory "${lava_plugin_directory}"
        COMMAND "${CMAKE_COMMAND}" -E copy_if_different
            "${lava_mpi_target}/${lava_output_directory}/liblava_mpi.so" "${lava_plugin}"
        BYPRODUCTS "${lava_plugin}"
        WORKING_DIRECTORY "${lava_root}"
        COMMENT "Building the MPI plug-in for ${kind} with cargo"
        USES_TERMINAL VERBATIM)
endforeach()
