# Builds lava with cargo. cargo decides what is out of date, so its commands run in every build; what they make is copied to
# ${lava_artifacts} only when it changed.

find_program(LAVA_CARGO cargo HINTS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin" DOC "Rust's cargo")
option(LAVA_OFFLINE "Let cargo use no network: its crates are vendored or in its cache" OFF)
set(LAVA_CARGO_TARGET_DIR "" CACHE PATH "Where cargo builds; else $CARGO_TARGET_DIR, else inside the build directory")
set(LAVA_CARGO_TARGET "" CACHE STRING "Rust's name of the target, such as aarch64-unknown-linux-gnu; else found out")
set(LAVA_RUSTC_ARGUMENTS "" CACHE STRING "More arguments for rustc when it makes the library and the tool")

if(NOT LAVA_CARGO)
    message(FATAL_ERROR "cargo was not found. Install Rust ${lava_rust_version} or later (https://rustup.rs), say where it "
        "is with -DLAVA_CARGO=FILE, or package a built liblava with -DLAVA_PREBUILT=PREFIX")
endif()
execute_process(COMMAND "${LAVA_CARGO}" --version WORKING_DIRECTORY "${lava_root}" OUTPUT_VARIABLE lava_cargo_version
    ERROR_VARIABLE lava_cargo_error RESULT_VARIABLE lava_cargo_result)
if(NOT lava_cargo_result EQUAL 0 OR NOT lava_cargo_version MATCHES "^cargo ([0-9.]+)")
    message(FATAL_ERROR "${LAVA_CARGO} --version fails: ${lava_cargo_error}${lava_cargo_version}")
elseif(CMAKE_MATCH_1 VERSION_LESS lava_rust_version)
    message(FATAL_ERROR "lava needs Rust ${lava_rust_version} or later; ${LAVA_CARGO} is of Rust ${CMAKE_MATCH_1}. Run "
        "`rustup update`, or name another one with -DLAVA_CARGO=FILE")
endif()

# The target: named, or that of the environment, or that of a toolchain file. Without any of them it is cargo's own.
set(lava_target "${LAVA_CARGO_TARGET}")
if(NOT lava_target AND DEFINED ENV{CARGO_BUILD_TARGET})
    set(lava_target "$ENV{CARGO_BUILD_TARGET}")
endif()
if(NOT lava_target AND CMAKE_CROSSCOMPILING)
    string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" lava_processor)
    if(lava_processor MATCHES "^(x86_64|amd64)$")
        set(lava_target x86_64-unknown-linux-gnu)
    elseif(lava_processor MATCHES "^(aarch64|arm64)$")
        set(lava_target aarch64-unknown-linux-gnu)
    else()
        message(FATAL_ERROR "no Rust target is known for the processor \"${CMAKE_SYSTEM_PROCESSOR}\": name it with "
            "-DLAVA_CARGO_TARGET=..., one of `rustc --print target-list`")
    endif()
endif()

if(LAVA_CARGO_TARGET_DIR)
    set(lava_target_directory "${LAVA_CARGO_TARGET_DIR}")
elseif(DEFINED ENV{CARGO_TARGET_DIR})
    # As cargo does: below the directory of its workspace.
    get_filename_component(lava_target_directory "$ENV{CARGO_TARGET_DIR}" ABSOLUTE BASE_DIR "${lava_root}")
else()
    set(lava_target_directory "${CMAKE_CURRENT_BINARY_DIR}/cargo")
endif()

# The build type. One library serves every type of a generator with several: the ABI is the same.
set(lava_profile release)
set(lava_profile_directory release)
set(lava_cargo_settings "")
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    set(lava_profile dev)
    set(lava_profile_directory debug)
elseif(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    set(lava_cargo_settings --config profile.release.debug=true)
elseif(CMAKE_BUILD_TYPE STREQUAL "MinSizeRel")
    set(lava_cargo_settings --config "profile.release.opt-level='s'")
endif()

set(lava_environment "")
set(lava_linker_arguments "")
set(lava_output_directory "${lava_profile_directory}")
if(lava_target)
    set(lava_output_directory "${lava_target}/${lava_profile_directory}")
    list(APPEND lava_cargo_settings --target "${lava_target}")
endif()
if(CMAKE_CROSSCOMPILING)
    # Linked by the toolchain's compiler, unless the environment names another one.
    string(TOUPPER "CARGO_TARGET_${lava_target}_LINKER" lava_linker)
    string(REPLACE "-" "_" lava_linker "${lava_linker}")
    if(NOT DEFINED ENV{${lava_linker}})
        list(APPEND lava_environment "${lava_linker}=${CMAKE_C_COMPILER}")
        if(CMAKE_C_COMPILER_TARGET)
            list(APPEND lava_linker_arguments -C "link-arg=${CMAKE_C_COMPILE_OPTIONS_TARGET}${CMAKE_C_COMPILER_TARGET}")
        endif()
        if(CMAKE_SYSROOT)
            list(APPEND lava_linker_arguments -C "link-arg=--sysroot=${CMAKE_SYSROOT}")
        endif()
    endif()
endif()
if(LAVA_OFFLINE)
    list(APPEND lava_cargo_settings --offline)
endif()

set(lava_output "${lava_target_directory}/${lava_output_directory}")

# lava_cargo(<variable> <argument>...): the command that runs `cargo rustc` with them in this build's way.
function(lava_cargo variable)
    set(${variable} "${CMAKE_COMMAND}" -E env ${lava_environment} "${LAVA_CARGO}" rustc --locked --profile ${lava_profile}
        ${lava_cargo_settings} ${ARGN} PARENT_SCOPE)
endfunction()
set(lava_workspace --manifest-path "${lava_root}/Cargo.toml" --target-dir "${lava_target_directory}")

set(lava_kinds "")
set(lava_finish "")
set(lava_made "")
if(LAVA_BUILD_SHARED)
    list(APPEND lava_kinds cdylib)
    list(APPEND lava_finish
        COMMAND "${CMAKE_COMMAND}" -E copy_if_different "${lava_output}/liblava_sys.so" "${lava_shared_file}"
        COMMAND "${CMAKE_COMMAND}" -E create_symlink "${lava_shared_name}" "${lava_artifacts}/lib/${lava_soname}"
        COMMAND "${CMAKE_COMMAND}" -E create_symlink "${lava_soname}" "${lava_artifacts}/lib/liblava.so")
    list(APPEND lava_made "${lava_shared_file}" "${lava_artifacts}/lib/${lava_soname}" "${lava_artifacts}/lib/liblava.so")
endif()
if(LAVA_BUILD_STATIC)
    list(APPEND lava_kinds staticlib)
    list(APPEND lava_finish
        COMMAND "${CMAKE_COMMAND}" -E copy_if_different "${lava_output}/liblava_sys.a" "${lava_static_file}")
    list(APPEND lava_made "${lava_static_file}")
endif()
# Both kinds in one run of the compiler, which works once for both. The soname is given here and not in build.rs: ADR 23.
list(JOIN lava_kinds "," lava_kinds)
lava_cargo(lava_command ${lava_workspace} --package lava-sys --lib --crate-type ${lava_kinds}
    -- -C "link-arg=-Wl,-soname,${lava_soname}" ${lava_linker_arguments} ${LAVA_RUSTC_ARGUMENTS})
add_custom_target(lava_library ALL
    COMMAND ${lava_command}
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${lava_artifacts}/lib"
    ${lava_finish}
    BYPRODUCTS ${lava_made}
    WORKING_DIRECTORY "${lava_root}"
    COMMENT "Building liblava with cargo"
    USES_TERMINAL VERBATIM)

if(LAVA_BUILD_TOOL)
    lava_cargo(lava_command ${lava_workspace} --package lava --bin lava -- ${lava_linker_arguments} ${LAVA_RUSTC_ARGUMENTS})
    add_custom_target(lava_tool ALL
        COMMAND ${lava_command}
        COMMAND "${CMAKE_COMMAND}" -E make_directory "${lava_artifacts}/bin"
        COMMAND "${CMAKE_COMMAND}" -E copy_if_different "${lava_output}/lava" "${lava_tool_file}"
        BYPRODUCTS "${lava_tool_file}"
        WORKING_DIRECTORY "${lava_root}"
        COMMENT "Building the command line lava with cargo"
        USES_TERMINAL VERBATIM)
endif()
