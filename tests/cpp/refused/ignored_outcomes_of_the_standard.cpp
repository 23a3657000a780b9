// refused: ignoring return; -std=c++23
#include <lava.hpp>
void f(lava::producer &producer) { producer.try_send_bytes("abc", 3); }
