// refused: ignoring return
#include <lava.hpp>
void f(lava::consumer &consumer) { consumer.receive(); }
