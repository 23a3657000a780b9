// refused: must be trivially copyable
#include <lava.hpp>
void f(lava::producer &producer) { (void)producer.loan<std::string>(3); }
