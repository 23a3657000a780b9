// Channels whose pool is memory of a GPU.
#include "devices.hpp"

#include <lava_vulkan.hpp>

static constexpr std::size_t SIZES[] = { 8, 41, 4096, 65537, 1048576, 0, 100 };
static constexpr std::size_t SIZE_COUNT = std::size(SIZES);
static constexpr std::uint64_t FRAMES = 3 * SIZE_COUNT;

static bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

static sender open_device_sender(const std::string &channel, std::uint32_t consumers = 1) {
    lava::producer_options options;
    options.memory = lava::memory::device;
    options.require_memory = true;
    options.capacity = 4;
    sender side;
    side.context = new_device_context();
    side.producer = lava::producer::create(side.context, channel, options);
    CHECK(side.producer.wait_consumers(consumers, LONG));
    return side;
}

static lava::consumer_options wanting(lava::memory memory) {
    lava::consumer_options options;
    options.memory = memory;
    return options;
}

static receiver open_wanting(const std::string &channel, const lava::consumer_options &options) {
    receiver side;
    side.context = new_device_context();
    side.consumer = lava::consumer::open(side.context, channel, options);
    return side;
}

// Every other frame is written in place, the others are sent from host memory.
static void send_patterns(lava::producer &producer, bool on_device) {
    std::vector<unsigned char> data(1048576);
    for (std::uint64_t number = 0; number < FRAMES; number++) {
        const std::size_t size = SIZES[number % SIZE_COUNT];
        fill(data.data(), number, size);
        if (number % 2 == 0) {
            producer.send_bytes(data.data(), size);
            continue;
        }
        lava::loan loan = producer.loan(size);
        CHECK((loan.data() == nullptr) == (on_device && size > LAVA_FRAME_INLINE_SIZE));
        if (loan.data() == nullptr) EXPECT(loan.try_bytes(), unsupported);
        loan.write(0, data.data(), size);
        EXPECT(loan.try_write(size, data.data(), 1), too_large);
        producer.send(std::move(loan));
    }
}

static void check_frame(const lava::frame &frame, std::uint64_t number, lava::transport transport, bool on_device) {
    const std::size_t size = SIZES[number % SIZE_COUNT];
    const bool in_slot = size > LAVA_FRAME_INLINE_SIZE;
    const lava::frame_info info = frame.info();
    CHECK(info.size() == size && info.transport() == transport && info.sequence() == number);
    CHECK(!in_slot || (info.memory() == lava::memory::device) == on_device);
    CHECK((frame.data() == nullptr) == (in_slot && on_device));
    CHECK(frame.wait_ready(LONG));
    CHECK(is_filled(frame.copy<unsigned char>().data(), number, size));
    if (!in_slot) return;
    const lava::buffer_range range = frame.buffer();
    const auto view = lava::vulkan::try_view(range.buffer);
    if (on_device) {
        CHECK(view && view->buffer != VK_NULL_HANDLE && view->size >= range.offset + size);
    } else {
        EXPECT(view, unsupported);
    }
}

static void receive_patterns(lava::consumer &consumer, lava::transport transport, bool on_device) {
    const lava::connection connection = consumer.connection();
    CHECK(connection.transport() == transport && !connection.reason().empty());
    const bool uploaded = on_device && transport != lava::transport::vulkan;
    CHECK(connection.copies() == (transport == lava::transport::staged ? 1u : 0u) + (uploaded ? 1u : 0u));
    for (std::uint64_t number = 0; number < FRAMES; number++)
        check_frame(receive(consumer), number, transport, on_device);
    receive_end(consumer);
}

void device_frames_producer(const std::string &channel) {
    sender side = open_device_sender(channel);
    send_patterns(side.producer, true);
}

void device_frames_consumer(const std::string &channel) {
    receiver side = open_wanting(channel, {});
    receive_patterns(side.consumer, lava::transport::vulkan, true);
}

void device_staged_producer(const std::string &channel) { device_frames_producer(channel); }

void device_staged_consumer(const std::string &channel) {
    receiver side = open_wanting(channel, wanting(lava::memory::standard));
    receive_patterns(side.consumer, lava::transport::staged, false);
}

static lava::context context_without_vulkan() {
    lava::context_options options;
    options.gpus = lava::gpus::off;
    return lava::context::create(options);
}

void device_no_vulkan_producer(const std::string &channel) { device_frames_producer(channel); }

void device_no_vulkan_consumer(const std::string &channel) {
    // To be skipped where the producer is.
    (void)new_device_context();
    receiver side;
    side.context = context_without_vulkan();
    side.consumer = lava::consumer::open(side.context, channel);
    bool found = false;
    for (const lava::rejection &rejection : side.consumer.connection().rejections())
        found = found || (rejection.transport() == lava::transport::vulkan && contains(rejection.reason(), "Vulkan"));
    CHECK(found);
    receive_patterns(side.consumer, lava::transport::staged, false);
}

void device_both_producer(const std::string &channel) {
    sender side = open_device_sender(channel, 2);
    send_patterns(side.producer, true);
}

void device_both_consumer(const std::string &channel) {
    receiver side = open_wanting(channel, wanting(lava::memory::device));
    auto second = lava::consumer::open(side.context, channel, wanting(lava::memory::pinned));
    for (std::uint64_t number = 0; number < FRAMES; number++) {
        const lava::frame first = receive(side.consumer), other = receive(second);
        check_frame(first, number, lava::transport::vulkan, true);
        check_frame(other, number, lava::transport::staged, false);
    }
    receive_end(side.consumer);
    receive_end(second);
}

void device_wanted_producer(const std::string &channel) {
    sender side;
    side.context = new_device_context();
    side.producer = lava::producer::create(side.context, channel);
    CHECK(side.producer.wait_consumers(1, LONG));
    send_patterns(side.producer, false);
}

void device_wanted_consumer(const std::string &channel) {
    const auto wanted = wanting(lava::memory::device);
    auto uncopied = wanted;
    uncopied.max_copies = 0;
    EXPECT(lava::consumer::try_open(new_device_context(), channel, uncopied), requirement);
    CHECK(contains(message, "shm: it makes 1 copies"));
    EXPECT(lava::consumer::try_open(context_without_vulkan(), channel, wanted), requirement);
    CHECK(contains(message, "Vulkan is off"));
    receiver side = open_wanting(channel, wanted);
    receive_patterns(side.consumer, lava::transport::shm, true);
}

void device_wanted_staged_producer(const std::string &channel) { device_frames_producer(channel); }

void device_wanted_staged_consumer(const std::string &channel) {
    auto wanted = wanting(lava::memory::device);
    wanted.require_transports = lava::transport::staged;
    receiver side = open_wanting(channel, wanted);
    receive_patterns(side.consumer, lava::transport::staged, true);
}

void device_after_producer_producer(const std::string &channel) {
    sender side = open_device_sender(channel);
    std::vector<unsigned char> data(4096);
    fill(data.data(), 3, data.size());
    side.producer.send_bytes(data.data(), data.size());
    meet("received");
    die();
}

void device_after_producer_consumer(const std::string &channel) {
    receiver side = open_wanting(channel, {});
    const lava::frame frame = receive(side.consumer);
    meet("received");
    EXPECT(side.consumer.try_receive(LONG), peer_lost);
    CHECK(is_filled(frame.copy<unsigned char>().data(), 3, 4096));
    side = receiver();
    CHECK(is_filled(frame.copy<unsigned char>().data(), 3, 4096));
}

void device_fallback_producer(const std::string &channel) {
    lava::producer_options device;
    device.memory = lava::memory::device;
    sender side;
    side.context = context_without_vulkan();
    side.producer = lava::producer::create(side.context, channel, device);
    CHECK(side.producer.wait_consumers(1, LONG));
    send_pattern(side.producer, 1, 5000);
    device.require_memory = true;
    EXPECT(lava::producer::try_create(side.context, channel + ".other", device), requirement);
    CHECK(!message.empty());
}

void device_fallback_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    {
        const lava::frame frame = receive(side.consumer);
        CHECK(frame.info().memory() != lava::memory::device && frame.info().transport() == lava::transport::shm);
        CHECK(has_pattern(frame, 1, 5000));
    }
    receive_end(side.consumer);
}
