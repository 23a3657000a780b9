// The same as C++, with the standard that lava::cpp asks for.
#if __has_include(<lava.hpp>)
#include <lava.hpp>
#endif
static_assert(__cplusplus >= 201703L, "lava::cpp asks for C++17");
#include "round_trip.c"
