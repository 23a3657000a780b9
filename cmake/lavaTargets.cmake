# The targets of lava, for the installed package and for a project that contains lava: one list of their properties.
include_guard(GLOBAL)

# What a program needs to link liblava.a, in this order: as rustc tells it (tests/cmake compares).
function(lava_native_libraries variable)
    set(${variable} dl gcc_s util rt pthread m dl c PARENT_SCOPE)
endfunction()

# lava_add_targets(INCLUDE_DIRECTORY <directory> [SHARED <file> SONAME <soname>] [STATIC <file>] [TOOL <file>] [GLOBAL])
#
# Adds those that do not exist yet of
#   lava::shared, lava::static  the libraries
#   lava::lava                  one of them: what BUILD_SHARED_LIBS asks for if it is there, else the shared one if it is there
#   lava::cpp                   lava::lava for C++, with the standard that lava.hpp needs
#   lava::tool                  the command line
function(lava_add_targets)
    cmake_parse_arguments(PARSE_ARGV 0 arg "GLOBAL" "INCLUDE_DIRECTORY;SHARED;SONAME;STATIC;TOOL" "")
    set(visible "")
    if(arg_GLOBAL)
        set(visible GLOBAL)
    endif()
    if(arg_SHARED AND NOT TARGET lava::shared)
        add_library(lava::shared SHARED IMPORTED ${visible})
        set_target_properties(lava::shared PROPERTIES
            IMPORTED_LOCATION "${arg_SHARED}"
            IMPORTED_SONAME "${arg_SONAME}"
            INTERFACE_INCLUDE_DIRECTORIES "${arg_INCLUDE_DIRECTORY}")
    endif()
    if(arg_STATIC AND NOT TARGET lava::static)
        lava_native_libraries(native)
        add_library(lava::static STATIC IMPORTED ${visible})
        set_target_properties(lava::static PROPERTIES
            IMPORTED_LOCATION "${arg_STATIC}"
            IMPORTED_LINK_INTERFACE_LANGUAGES C
            INTERFACE_LINK_LIBRARIES "${native}"
            INTERFACE_INCLUDE_DIRECTORIES "${arg_INCLUDE_DIRECTORY}")
    endif()
    if(NOT TARGET lava::lava)
        if(TARGET lava::static AND (NOT TARGET lava::shared OR (DEFINED BUILD_SHARED_LIBS AND NOT BUILD_SHARED_LIBS)))
            add_library(lava::lava ALIAS lava::static)
        else()
            add_library(lava::lava ALIAS lava::shared)
        endif()
    endif()
    if(NOT TARGET lava::cpp)
        add_library(lava::cpp INTERFACE IMPORTED ${visible})
        set_target_properties(lava::cpp PROPERTIES
            INTERFACE_LINK_LIBRARIES lava::lava
            INTERFACE_COMPILE_FEATURES cxx_std_17)
    endif()
    if(arg_TOOL AND NOT TARGET lava::tool)
        add_executable(lava::tool IMPORTED ${visible})
        set_target_properties(lava::tool PROPERTIES IMPORTED_LOCATION "${arg_TOOL}")
    endif()
endfunction()
