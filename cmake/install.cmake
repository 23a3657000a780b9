# What is installed, in components: runtime, development, tools, mpi. The package can be moved after installing.
include(CMakePackageConfigHelpers)

set(lava_package_directory "${CMAKE_INSTALL_LIBDIR}/cmake/lava")
set(lava_pkgconfig_directory "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# lava_install_strip(<directory> <file> <component> [<option>]): `cmake --install --strip` strips what CMake did not link itself too.
function(lava_install_strip directory file component)
    if(NOT IS_ABSOLUTE "${directory}")
        set(directory "\${CMAKE_INSTALL_PREFIX}/${directory}")
    endif()
    install(CODE "if(CMAKE_INSTALL_DO_STRIP)
    execute_process(COMMAND \"${CMAKE_STRIP}\" ${ARGN} \"\$ENV{DESTDIR}${directory}/${file}\")
endif()" COMPONENT ${component})
endfunction()

if(LAVA_BUILD_SHARED)
    install(PROGRAMS "${lava_shared_file}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime)
    lava_install_strip("${CMAKE_INSTALL_LIBDIR}" "${lava_shared_name}" runtime)
    install(FILES "${lava_artifacts}/lib/${lava_soname}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime)
    install(FILES "${lava_artifacts}/lib/liblava.so" DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development)
endif()
if(LAVA_BUILD_STATIC)
    install(FILES "${lava_static_file}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development)
    lava_install_strip("${CMAKE_INSTALL_LIBDIR}" liblava.a development --strip-debug)
endif()
if(LAVA_BUILD_TOOL)
    install(PROGRAMS "${lava_tool_file}" DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT tools)
    lava_install_strip("${CMAKE_INSTALL_BINDIR}" lava tools)
endif()
foreach(kind IN LISTS lava_plugins)
    set(lava_plugin "liblava_mpi_${kind}.so")
    install(PROGRAMS "${lava_plugin_directory}/${lava_plugin}" DESTINATION "${CMAKE_INSTALL_LIBDIR}/lava" COMPONENT mpi)
    lava_install_strip("${CMAKE_INSTALL_LIBDIR}/lava" "${lava_plugin}" mpi)
endforeach()
install(DIRECTORY "${lava_root}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development
    FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
install(FILES "${lava_root}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT runtime)

# While the version is 0.x, each minor version may change what programs are compiled against.
set(lava_compatibility SameMajorVersion)
if(PROJECT_VERSION_MAJOR EQUAL 0)
    set(lava_compatibility SameMinorVersion)
endif()
set(lava_generated "${CMAKE_CURRENT_BINARY_DIR}/package")
write_basic_package_version_file("${lava_generated}/lavaConfigVersion.cmake" COMPATIBILITY ${lava_compatibility})
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/lavaConfig.cmake.in" "${lava_generated}/lavaConfig.cmake"
    INSTALL_DESTINATION "${lava_package_directory}"
    PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_BINDIR)
install(FILES "${lava_generated}/lavaConfig.cmake" "${lava_generated}/lavaConfigVersion.cmake"
    "${CMAKE_CURRENT_LIST_DIR}/lavaTargets.cmake"
    DESTINATION "${lava_package_directory}" COMPONENT development)

# pkg-config: directories below the prefix are told by the place of lava.pc, so that the prefix can be moved.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(lava_pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH lava_pc_prefix "/prefix/${lava_pkgconfig_directory}" "/prefix")
    string(REGEX REPLACE "/$" "" lava_pc_prefix "\${pcfiledir}/${lava_pc_prefix}")
endif()
foreach(kind IN ITEMS LIBDIR INCLUDEDIR)
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}}")
        set(lava_pc_${kind} "${CMAKE_INSTALL_${kind}}")
    else()
        set(lava_pc_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}}")
    endif()
endforeach()
lava_native_libraries(lava_pc_native)
list(TRANSFORM lava_pc_native PREPEND "-l")
list(JOIN lava_pc_native " " lava_pc_native)
set(lava_pc_public "")
if(NOT LAVA_BUILD_SHARED)
    # There is only liblava.a: every program that links it needs them.
    set(lava_pc_public " ${lava_pc_native}")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/lava.pc.in" "${lava_generated}/lava.pc" @ONLY)
install(FILES "${lava_generated}/lava.pc" DESTINATION "${lava_pkgconfig_directory}" COMPONENT development)
