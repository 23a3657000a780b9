// refused: cannot bind rvalue reference
#include <lava.hpp>
void f(lava::producer &producer, lava::loan &loan) { producer.send(loan); }
