# Every version has one place: the library's is in Cargo.toml, the ABI's in the header that is generated from the sources.

# lava_read_versions(<root>): sets lava_version, lava_rust_version, lava_homepage and lava_abi_version for the caller.
function(lava_read_versions root)
    foreach(key IN ITEMS version rust-version repository)
        file(STRINGS "${root}/Cargo.toml" lines REGEX "^${key} = \"")
        if(NOT lines MATCHES "^${key} = \"([^\"]+)\"$")
            message(FATAL_ERROR "${root}/Cargo.toml has no single line `${key} = \"...\"`")
        endif()
        set(value_${key} "${CMAKE_MATCH_1}")
    endforeach()
    # A pre-release is not a part of the version for CMake.
    string(REGEX MATCH "^[0-9]+\\.[0-9]+\\.[0-9]+" numbers "${value_version}")
    file(STRINGS "${root}/include/lava.h" line REGEX "^#define LAVA_ABI_VERSION [0-9]+$")
    if(NOT numbers OR NOT line MATCHES "([0-9]+)$")
        message(FATAL_ERROR "no version in ${root}/Cargo.toml, or no LAVA_ABI_VERSION in ${root}/include/lava.h")
    endif()
    set(lava_abi_version "${CMAKE_MATCH_1}" PARENT_SCOPE)
    set(lava_version "${numbers}" PARENT_SCOPE)
    set(lava_rust_version "${value_rust-version}" PARENT_SCOPE)
    set(lava_homepage "${value_repository}" PARENT_SCOPE)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${root}/Cargo.toml" "${root}/include/lava.h")
endfunction()
