// refused: use of deleted function
#include <lava.hpp>
lava::span<const float> f(lava::consumer &consumer) { return (*consumer.receive()).as<float>(); }
