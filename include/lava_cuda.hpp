/// @file
/// @brief Frames and buffers of GPU memory in CUDA.
///
/// Needs no header of CUDA: a stream is a `cudaStream_t` or a `CUstream`, which are one type. Device pointers are `void *`, as
/// the CUDA runtime has them. CUDA is loaded when it is first used.
#ifndef LAVA_CUDA_HPP
#define LAVA_CUDA_HPP

#include "lava.hpp"

#include <cstdint>
#include <utility>

struct CUctx_st;
struct CUstream_st;

namespace lava {
inline namespace LAVA_HPP_NAMESPACE {
namespace cuda {

/// Device memory as CUDA sees it. A received frame must not be written to.
struct view {
    /// CUDA's number of the device in this process.
    int device = 0;
    /// Valid in the device's primary context, which the runtime uses too.
    void *pointer = nullptr;
    std::size_t size = 0;
    CUctx_st *context = nullptr;
};

namespace detail {

template <class Call>
result<view> view_of(Call call) noexcept {
    lava_cuda_view raw = LAVA_CUDA_VIEW_INIT;
    failure why;
    const lava_status status = call(&raw, why.out());
    if (status != LAVA_OK) return lava::detail::fail(why, status);
    return view { raw.device_ordinal, reinterpret_cast<void *>(static_cast<std::uintptr_t>(raw.device_pointer)),
        static_cast<std::size_t>(raw.size), static_cast<CUctx_st *>(raw.context) };
}

}

/// Valid until the buffer goes, which must not be before CUDA's work with it is done.
[[nodiscard]] inline result<view> try_view(const buffer &buffer) noexcept {
    return detail::view_of([&](lava_cuda_view *raw, lava_error *error) {
        return lava_buffer_get_cuda(buffer.native_handle(), raw, error);
    });
}

/// Of a frame's or a loan's payload; valid until it is released or sent.
[[nodiscard]] inline result<view> try_view(frame_view frame) noexcept {
    return detail::view_of([&](lava_cuda_view *raw, lava_error *error) {
        return lava_frame_get_cuda(frame.native_handle(), raw, error);
    });
}

/// Makes the stream wait until the frame's bytes are there. Does not wait itself.
[[nodiscard]] inline result<void> try_wait(frame_view frame, CUstream_st *stream) noexcept {
    return lava::detail::check(
        [&](lava_error *error) { return lava_frame_wait_cuda(frame.native_handle(), stream, error); });
}

/// Says that the loan is written when all that is in the stream now has been done: it may be sent at once.
[[nodiscard]] inline result<void> try_set_ready(loan &loan, CUstream_st *stream) noexcept {
    return lava::detail::check(
        [&](lava_error *error) { return lava_frame_set_ready_cuda(loan.native_handle(), stream, error); });
}

/// Gives the frame back when all that is in the stream now has been done. On failure it stays the caller's.
[[nodiscard]] inline result<void> try_release(frame &&frame, CUstream_st *stream) noexcept {
    auto done = lava::detail::check(
        [&](lava_error *error) { return lava_frame_release_cuda(frame.native_handle(), stream, error); });
    if (done) (void)frame.release();
    return done;
}

#if LAVA_HPP_EXCEPTIONS
inline view view_of(const buffer &buffer) { return lava::detail::unwrap(try_view(buffer)); }
inline view view_of(frame_view frame) { return lava::detail::unwrap(try_view(frame)); }
inline void wait(frame_view frame, CUstream_st *stream) { lava::detail::unwrap(try_wait(frame, stream)); }
inline void set_ready(loan &loan, CUstream_st *stream) { lava::detail::unwrap(try_set_ready(loan, stream)); }
inline void release(frame &&frame, CUstream_st *stream) {
    lava::detail::unwrap(try_release(std::move(frame), stream));
}
#endif

}
}
}

#endif
