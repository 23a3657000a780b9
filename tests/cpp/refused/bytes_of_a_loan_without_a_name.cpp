// refused: use of deleted function
#include <lava.hpp>
lava::span<std::byte> f(lava::producer &producer) { return producer.loan(100).bytes(); }
