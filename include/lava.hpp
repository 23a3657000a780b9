/// @file
/// @brief lava for C++17 and later: header-only, over `lava.h`.
///
/// @code
/// auto context = lava::context::create();
/// auto producer = lava::producer::create(context, "numbers");
/// auto loan = producer.loan<float>(1000);     // in memory that the consumers map
/// std::fill(loan.begin(), loan.end(), 1.0f);
/// producer.send(std::move(loan));             // waits until a consumer is there
/// @endcode
///
/// **Ownership.** `context`, `buffer`, `producer`, `consumer`, `loan` and `frame` are handles: they move, do not copy, and
/// give back what they own when they go, in any order. One that was moved from, or made without arguments, is empty;
/// only `operator bool`, assignment and destruction are allowed then. `native_handle()` lends the C handle, `release()`
/// gives it away, `adopt()` takes one over.
///
/// **Errors.** A function whose name begins with `try_` never throws: it gives a `result` (with the detail of a
/// `lava_error`) or, on the hot path, an `outcome` (with a `status`). Every other one throws `lava::error`, a
/// `std::system_error`; without exceptions (`-fno-exceptions`) these are not declared. `bad_alloc` of a `std::string`
/// or `std::vector` within a `try_` function ends the program.
///
/// **Threads.** As the C function's comment in `lava.h` says: one thread at a time for a producer, consumer or loan; any for
/// the rest.
///
/// **Time.** A `timeout` is made of any `std::chrono` duration, of a time point of `steady_clock`, `lava::no_wait` or
/// `lava::forever`.
///
/// Vulkan's and CUDA's types are in `lava_vulkan.hpp` and `lava_cuda.hpp`, which this header does not include.
#ifndef LAVA_HPP
#define LAVA_HPP

#include "lava/batch.hpp"
#include "lava/buffer.hpp"
#include "lava/config.hpp"
#include "lava/connection.hpp"
#include "lava/consumer.hpp"
#include "lava/context.hpp"
#include "lava/device.hpp"
#include "lava/error.hpp"
#include "lava/expected.hpp"
#include "lava/frame.hpp"
#include "lava/frame_range.hpp"
#include "lava/kinds.hpp"
#include "lava/loan.hpp"
#include "lava/location.hpp"
#include "lava/producer.hpp"
#include "lava/span.hpp"
#include "lava/status.hpp"
#include "lava/tensor.hpp"
#include "lava/timeout.hpp"

#endif
