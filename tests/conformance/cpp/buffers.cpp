// Buffers of the user, sent without copying.
#include "conformance.hpp"

static constexpr std::size_t BUFFER_SIZE = 1048576, OFFSET = 4096, SIZE = 65536;

static lava::buffer allocate(const lava::context &context, bool shareable, bool writable = false) {
    lava::buffer_options options;
    options.size = BUFFER_SIZE;
    options.shareable = shareable;
    options.writable_by_importers = writable;
    return lava::buffer::allocate(context, options);
}

void send_buffer_producer(const std::string &channel) {
    sender side = open_sender(channel);
    lava::buffer buffer = allocate(side.context, true);
    const lava::span<std::byte> part = buffer.as<std::byte>().subspan(OFFSET, SIZE);
    for (std::uint64_t number = 0; number < 100; number++) {
        fill(part.data(), number, SIZE);
        side.producer.send_buffer(buffer, OFFSET, SIZE, number);
        CHECK(side.producer.wait_released(&buffer, LONG));
    }
    const auto large = lava::tensor::of<std::uint8_t>({ SIZE + 1 });
    EXPECT(side.producer.try_send_buffer(buffer, OFFSET, SIZE, 0, &large, LONG), too_large);
    const auto whole = lava::tensor::of<std::uint8_t>({ SIZE });
    side.producer.send_buffer(buffer, OFFSET, SIZE, 100, &whole);
    // The frame keeps the memory.
    buffer.reset();
    meet("destroyed");
}

void send_buffer_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    const void *address = nullptr;
    for (std::uint64_t number = 0; number < 100; number++) {
        const lava::frame frame = receive(side.consumer);
        const lava::frame_info info = frame.info();
        CHECK(info.in_buffer() && info.tag() == number);
        if (address == nullptr) address = frame.data();
        CHECK(frame.data() == address && has_pattern(frame, number, SIZE));
    }
    meet("destroyed");
    lava::frame frame = receive(side.consumer);
    const auto tensor = frame.tensor();
    CHECK(tensor && tensor->shape().size() == 1 && tensor->shape()[0] == SIZE);
    lava::buffer_range range = frame.buffer();
    CHECK(static_cast<const char *>(range.buffer.data()) + range.offset == frame.data());
    const lava::buffer_info info = range.buffer.info();
    CHECK(info.size() >= range.offset + SIZE && info.read_only());
    EXPECT(range.buffer.try_fill(0, 1, 0), permission);
    CHECK(has_pattern(frame, 99, SIZE));
    frame.reset();
    receive_end(side.consumer);
}

void send_buffer_refused_producer(const std::string &channel) {
    sender side = open_sender(channel);
    const lava::buffer own = allocate(side.context, false);
    EXPECT(side.producer.try_send_buffer(own, 0, SIZE, 0, nullptr, LONG), unsupported);
    CHECK(!message.empty());
    const lava::buffer open = allocate(side.context, true, true);
    EXPECT(side.producer.try_send_buffer(open, 0, SIZE, 0, nullptr, LONG), unsupported);
    const lava::buffer good = allocate(side.context, true);
    EXPECT(side.producer.try_send_buffer(good, 1, BUFFER_SIZE, 0, nullptr, LONG), too_large);
    EXPECT(side.producer.try_send_buffer(good, UINT64_MAX, 2, 0, nullptr, LONG), too_large);
    send_number(side.producer, 1);
}

void send_buffer_refused_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    receive_number(side.consumer, 1, 0);
    receive_end(side.consumer);
}

void wait_released_producer(const std::string &channel) {
    sender side = open_sender(channel);
    CHECK(side.producer.wait_released(nullptr, lava::no_wait));
    send_pattern(side.producer, 6, 4096);
    EXPECT(side.producer.try_wait_released(nullptr, lava::no_wait), would_block);
    meet("held");
    EXPECT(side.producer.try_wait_released(nullptr, SHORT), timed_out);
    meet("waited");
    CHECK(side.producer.wait_released(nullptr, LONG));
}

void wait_released_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    {
        const lava::frame frame = receive(side.consumer);
        meet("held");
        meet("waited");
        CHECK(has_pattern(frame, 6, 4096));
    }
    receive_end(side.consumer);
}
