/// @file
/// @brief What the compiler and its standard library offer, and the namespace that follows from it.
///
/// The inline namespace carries the choices in its name: files of one program that were compiled for different
/// standards have different types then, instead of one name for two layouts.
#ifndef LAVA_CONFIG_HPP
#define LAVA_CONFIG_HPP

#if __cplusplus < 201703L
#error "lava.hpp needs C++17: compile with -std=c++17 or later"
#endif

#include <lava.h>

#if defined(__has_include)
#if __has_include(<version>)
#include <version>
#endif
#endif

/// Whether functions may throw.
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
#define LAVA_HPP_EXCEPTIONS 1
#else
#define LAVA_HPP_EXCEPTIONS 0
#endif

/// Whether `lava::span` is `std::span`.
#if defined(__cpp_lib_span)
#define LAVA_HPP_STD_SPAN 1
#else
#define LAVA_HPP_STD_SPAN 0
#endif

/// Whether `lava::expected` is `std::expected`.
#if defined(__cpp_lib_expected)
#define LAVA_HPP_STD_EXPECTED 1
#else
#define LAVA_HPP_STD_EXPECTED 0
#endif

/// Whether a wait can be ended by a `std::stop_token`.
#if defined(__cpp_lib_jthread)
#define LAVA_HPP_STD_STOP_TOKEN 1
#else
#define LAVA_HPP_STD_STOP_TOKEN 0
#endif

#define LAVA_HPP_JOIN_(span, expected, stop, exceptions) abi0_##span##expected##stop##exceptions
#define LAVA_HPP_JOIN(span, expected, stop, exceptions) LAVA_HPP_JOIN_(span, expected, stop, exceptions)
#define LAVA_HPP_NAMESPACE \
    LAVA_HPP_JOIN(LAVA_HPP_STD_SPAN, LAVA_HPP_STD_EXPECTED, LAVA_HPP_STD_STOP_TOKEN, LAVA_HPP_EXCEPTIONS)

#define LAVA_HPP_BEGIN \
    namespace lava { \
    inline namespace LAVA_HPP_NAMESPACE {
#define LAVA_HPP_END \
    } \
    }

static_assert(LAVA_ABI_VERSION == 0, "lava.hpp and lava.h are of different versions: install both from one package");

#endif
