// A program with a Vulkan device of its own, whose compute shader writes frames in place; and a consumer on the CPU, which has
// no GPU. The device is opened by the code of the C example.
#include "../../c/vulkan_compute_producer/gpu.h"

#include <lava_vulkan.hpp>

#include <chrono>
#include <cstdint>
#include <future>
#include <iostream>
#include <stdexcept>
#include <string>

#include <unistd.h>

static constexpr std::uint32_t WORDS = 1u << 18;
static constexpr std::size_t SIZE = WORDS * 4;
static constexpr std::uint32_t FRAMES = 100, SLOTS = 4;

static bool is_right(const lava::frame &frame) {
    const auto number = static_cast<std::uint32_t>(frame.info().tag());
    std::uint32_t at = 0;
    for (const std::uint32_t word : frame.as<std::uint32_t>())
        if (word != (at++ * 2654435761u ^ number)) return false;
    return at == WORDS;
}

// On the CPU: lava copies each frame once, whatever number of such consumers there is.
static std::uint32_t consume(const std::string &channel) {
    auto context = lava::context::create();
    lava::consumer_options options;
    options.memory = lava::memory::standard;
    auto consumer = lava::consumer::open(context, channel, options);
    const auto connection = consumer.connection();
    std::cout << connection.copies() << " copies: " << connection.reason() << "\n";
    std::uint32_t count = 0;
    for (const lava::frame &frame : consumer.frames()) {
        if (!is_right(frame)) throw std::runtime_error("frame " + std::to_string(count) + " is wrong");
        count++;
    }
    return count;
}

static void produce(gpu &own, const lava::context &context, const std::string &channel) {
    lava::producer_options options;
    options.max_frame_size = SIZE;
    options.capacity = SLOTS;
    options.memory = lava::memory::device;
    options.require_memory = true;
    auto producer = lava::producer::create(context, channel, options);
    if (!producer.wait_consumers(1, std::chrono::seconds(20))) throw std::runtime_error("nobody connects");
    for (std::uint32_t number = 0; number < FRAMES; number++) {
        lava::loan loan = producer.loan(SIZE);
        const auto [buffer, offset] = loan.buffer();
        const auto pool = lava::vulkan::view_of(buffer);
        // The frame is sent before the GPU has written it. Whoever reads it waits for this value.
        const auto ready = lava::vulkan::next_ready(loan).value_or(lava::vulkan::timeline_point());
        if (!gpu_fill(&own, pool.buffer, pool.offset + offset, WORDS, number, ready.semaphore, ready.value))
            throw std::runtime_error("the GPU does not take the work");
        loan.set_tag(number);
        producer.send(std::move(loan));
    }
    if (!gpu_finish(&own)) throw std::runtime_error("the GPU failed");
}

// lava and this program share a queue, so they share the lock of it.
static lava_vulkan_device for_lava(gpu &own) {
    lava::vulkan::device device;
    device.instance = own.instance;
    device.physical_device = own.physical;
    device.handle = own.device;
    device.queue = own.queue;
    device.queue_family = own.family;
    device.get_instance_proc_addr = vkGetInstanceProcAddr;
    lava_vulkan_device raw = device.native();
    raw.user = &own.lock;
    raw.lock = [](void *mutex) { pthread_mutex_lock(static_cast<pthread_mutex_t *>(mutex)); };
    raw.unlock = [](void *mutex) { pthread_mutex_unlock(static_cast<pthread_mutex_t *>(mutex)); };
    return raw;
}

int main() try {
    static gpu own;
    if (!gpu_open(&own, SLOTS)) {
        std::cout << "skipped: no Vulkan device that can share memory\n";
        return 0;
    }
    const std::string channel = "vulkan_compute-" + std::to_string(getpid());
    auto consumer = std::async(std::launch::async, consume, channel);
    {
        const lava_vulkan_device device = for_lava(own);
        lava::context_options options;
        options.vulkan = &device;
        produce(own, lava::context::create(options), channel);
    }
    const std::uint32_t count = consumer.get();
    gpu_close(&own);
    std::cout << count << " frames of " << SIZE << " bytes, every word is right\n";
    return count == FRAMES ? 0 : 1;
} catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
