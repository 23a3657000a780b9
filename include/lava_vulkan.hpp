/// @file
/// @brief Frames and buffers of GPU memory in Vulkan; a context on the application's own device.
#ifndef LAVA_VULKAN_HPP
#define LAVA_VULKAN_HPP

#include "lava.hpp"

#include <vulkan/vulkan_core.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace lava {
inline namespace LAVA_HPP_NAMESPACE {
namespace vulkan {

/// A Vulkan device of the application, for a context that works on it: put the address of `native()`'s answer into
/// `context_options::vulkan`. What it must have been created with is said at `lava_vulkan_device` in `lava.h`. The handles,
/// and the mutex, are borrowed until the context and all that is made of it are gone.
struct device {
    VkInstance instance = VK_NULL_HANDLE;
    VkPhysicalDevice physical_device = VK_NULL_HANDLE;
    VkDevice handle = VK_NULL_HANDLE;
    VkQueue queue = VK_NULL_HANDLE;
    std::uint32_t queue_family = 0;
    PFN_vkGetInstanceProcAddr get_instance_proc_addr = nullptr;
    /// Held by whoever submits to the queue; null: nobody but lava does.
    std::mutex *queue_mutex = nullptr;

    lava_vulkan_device native() const noexcept {
        lava_vulkan_device raw = LAVA_VULKAN_DEVICE_INIT;
        raw.queue_family = queue_family;
        raw.instance = instance;
        raw.physical_device = physical_device;
        raw.device = handle;
        raw.queue = queue;
        raw.get_instance_proc_addr = reinterpret_cast<void (*)()>(get_instance_proc_addr);
        if (queue_mutex != nullptr) {
            raw.user = queue_mutex;
            raw.lock = [](void *user) noexcept { static_cast<std::mutex *>(user)->lock(); };
            raw.unlock = [](void *user) noexcept { static_cast<std::mutex *>(user)->unlock(); };
        }
        return raw;
    }
};

namespace detail {

/// A handle that is a pointer on 64-bit machines and a number on others.
template <class Handle>
Handle handle_of(std::uint64_t number) noexcept {
    if constexpr (std::is_pointer_v<Handle>) {
        return reinterpret_cast<Handle>(static_cast<std::uintptr_t>(number));
    } else {
        return number;
    }
}

template <class Handle>
std::uint64_t number_of(Handle handle) noexcept {
    if constexpr (std::is_pointer_v<Handle>) {
        return reinterpret_cast<std::uintptr_t>(handle);
    } else {
        return handle;
    }
}

}

/// A buffer of device memory. All handles belong to lava, and live as long as the buffer does.
struct view {
    VkDevice device = VK_NULL_HANDLE;
    VkBuffer buffer = VK_NULL_HANDLE;
    VkDeviceMemory memory = VK_NULL_HANDLE;
    /// First usable byte within `buffer`.
    VkDeviceSize offset = 0;
    VkDeviceSize size = 0;
    /// Family of the queue that lava submits to. Commands of another family need an ownership transfer.
    std::uint32_t queue_family = 0;
    /// A queue of that family that lava never submits to, if there is one.
    std::optional<std::uint32_t> queue_index {};
};

/// A value of a timeline semaphore: what to wait for, or to signal.
struct timeline_point {
    VkSemaphore semaphore = VK_NULL_HANDLE;
    std::uint64_t value = 0;
};

namespace detail {

template <class Call>
result<std::optional<timeline_point>> point_of(Call call) noexcept {
    lava_frame_sync raw = LAVA_FRAME_SYNC_INIT;
    failure why;
    const lava_status status = call(&raw, why.out());
    if (status != LAVA_OK) return lava::detail::fail(why, status);
    if (raw.kind != LAVA_SYNC_TIMELINE) return std::optional<timeline_point>();
    return std::optional<timeline_point>(timeline_point { handle_of<VkSemaphore>(raw.semaphore), raw.value });
}

}

[[nodiscard]] inline result<view> try_view(const buffer &buffer) noexcept {
    lava_vulkan_buffer raw = LAVA_VULKAN_BUFFER_INIT;
    failure why;
    const lava_status status = lava_buffer_get_vulkan(buffer.native_handle(), &raw, why.out());
    if (status != LAVA_OK) return lava::detail::fail(why, status);
    view found;
    found.device = static_cast<VkDevice>(raw.device);
    found.buffer = detail::handle_of<VkBuffer>(raw.buffer);
    found.memory = detail::handle_of<VkDeviceMemory>(raw.memory);
    found.offset = raw.offset;
    found.size = raw.size;
    found.queue_family = raw.queue_family;
    if (raw.queue_index != UINT32_MAX) found.queue_index = raw.queue_index;
    return found;
}

/// What a queue submission that reads the frame waits for; none: its bytes are there.
[[nodiscard]] inline result<std::optional<timeline_point>> try_ready(frame_view frame) noexcept {
    return detail::point_of([&](lava_frame_sync *sync, lava_error *error) {
        return lava_frame_get_ready(frame.native_handle(), sync, error);
    });
}

/// What the queue submission that writes the loan must signal; none: the loan is not device memory. The loan may be sent
/// before that work is done. Submit in the order of these calls, to one queue.
[[nodiscard]] inline result<std::optional<timeline_point>> try_next_ready(loan &loan) noexcept {
    return detail::point_of([&](lava_frame_sync *sync, lava_error *error) {
        return lava_frame_next_ready(loan.native_handle(), sync, error);
    });
}

/// Gives the frame back when the caller's GPU work, which reads it, has signalled the semaphore; none: at once. On failure it
/// stays the caller's.
[[nodiscard]] inline result<void> try_release_after(frame &&frame, std::optional<timeline_point> point) noexcept {
    lava_frame_sync raw = LAVA_FRAME_SYNC_INIT;
    if (point) {
        raw.kind = LAVA_SYNC_TIMELINE;
        raw.semaphore = detail::number_of(point->semaphore);
        raw.value = point->value;
    }
    auto done = lava::detail::check(
        [&](lava_error *error) { return lava_frame_release_after(frame.native_handle(), &raw, error); });
    if (done) (void)frame.release();
    return done;
}

#if LAVA_HPP_EXCEPTIONS
inline view view_of(const buffer &buffer) { return lava::detail::unwrap(try_view(buffer)); }
inline std::optional<timeline_point> ready(frame_view frame) { return lava::detail::unwrap(try_ready(frame)); }
inline std::optional<timeline_point> next_ready(loan &loan) { return lava::detail::unwrap(try_next_ready(loan)); }
inline void release_after(frame &&frame, std::optional<timeline_point> point) {
    lava::detail::unwrap(try_release_after(std::move(frame), point));
}
#endif

}
}
}

#endif
