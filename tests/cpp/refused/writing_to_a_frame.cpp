// refused: read-only
#include <lava.hpp>
void f(lava::frame &frame) { frame.as<int>()[0] = 1; }
