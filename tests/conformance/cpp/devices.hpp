// What scenarios with GPU memory share.
#ifndef DEVICES_HPP
#define DEVICES_HPP

#include "conformance.hpp"

// Ends the program: this machine cannot do it.
[[noreturn]] void skip(const char *why);
// A context that may use every device; skips where there is none whose memory can be shared.
lava::context new_device_context();

#endif
