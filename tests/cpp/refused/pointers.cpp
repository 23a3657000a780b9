// refused: must not be pointers
#include <lava.hpp>
void f(lava::frame &frame) { (void)frame.as<char *>(); }
