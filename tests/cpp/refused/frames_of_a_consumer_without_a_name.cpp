// refused: use of deleted function
#include <lava.hpp>
void f(const lava::context &context) { for (auto &frame : lava::consumer::open(context, "x").frames()) (void)frame; }
