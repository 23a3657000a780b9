// refused: use of deleted function
#include <lava.hpp>
lava::frame f(const lava::frame &frame) { return frame; }
