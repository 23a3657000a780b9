// refused: has no member named 'receive'; -fno-exceptions
#include <lava.hpp>
void f(lava::consumer &consumer) { (void)consumer.receive(); }
