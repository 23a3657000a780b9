// Order, sizes, alignment, and what one does with a loan or a frame.
#include "conformance.hpp"

#include <cerrno>
#include <cstdint>

#include <unistd.h>

static constexpr std::size_t SIZES[] = { 0, 1, 8, 31, 32, 33, 39, 40, 41, 63, 64, 65, 4095, 4096, 4097, 65536, 1048575, 1048576 };
static constexpr std::size_t SIZE_COUNT = std::size(SIZES);
static constexpr std::size_t MEBIBYTE = 1048576;

static void send_numbers(const std::string &channel, std::uint64_t count, std::uint32_t consumers) {
    sender side = open_sender(channel, {}, consumers);
    for (std::uint64_t number = 0; number < count; number++) send_number(side.producer, number);
}

static void receive_numbers(const std::string &channel, std::uint64_t count) {
    receiver side = open_receiver(channel);
    std::uint64_t number = 0;
    for (lava::frame &frame : side.consumer.frames()) {
        CHECK(number_in(frame) == number && frame.info().sequence() == number);
        number++;
    }
    CHECK(number == count);
}

void order_producer(const std::string &channel) { send_numbers(channel, 1000, 1); }
void order_consumer(const std::string &channel) { receive_numbers(channel, 1000); }
void two_consumers_producer(const std::string &channel) { send_numbers(channel, 1000, 2); }
void two_consumers_consumer(const std::string &channel) { receive_numbers(channel, 1000); }
void stream_producer(const std::string &channel) { send_numbers(channel, 20000, 1); }
void stream_consumer(const std::string &channel) { receive_numbers(channel, 20000); }

void sizes_producer(const std::string &channel) {
    lava::producer_options options;
    options.max_frame_size = MEBIBYTE;
    sender side = open_sender(channel, options);
    for (std::size_t number = 0; number < SIZE_COUNT; number++) send_pattern(side.producer, number, SIZES[number]);
    EXPECT(side.producer.try_loan(MEBIBYTE + 1, LONG), too_large);
}

void sizes_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    for (std::size_t number = 0; number < SIZE_COUNT; number++) {
        const lava::frame frame = receive(side.consumer);
        const lava::frame_info info = frame.info();
        CHECK(info.size() == SIZES[number]);
        CHECK(has_pattern(frame, number, SIZES[number]));
        CHECK(info.is_inline() == (SIZES[number] <= LAVA_FRAME_INLINE_SIZE));
        CHECK(!info.is_loan());
    }
    receive_end(side.consumer);
}

void sizes_copied_producer(const std::string &channel) {
    sender side = open_sender(channel);
    std::vector<std::byte> data(MEBIBYTE + 1);
    for (std::size_t number = 0; number < SIZE_COUNT; number++) {
        const std::size_t size = SIZES[number];
        fill(data.data(), number, size);
        side.producer.send_bytes(size > 0 ? data.data() : nullptr, size);
    }
    EXPECT(side.producer.try_send_bytes(data.data(), MEBIBYTE + 1, LONG), too_large);
}

void sizes_copied_consumer(const std::string &channel) { sizes_consumer(channel); }

void sizes_tagged_producer(const std::string &channel) {
    sender side = open_sender(channel);
    for (std::size_t number = 0; number < SIZE_COUNT; number++) {
        lava::loan loan = side.producer.loan(SIZES[number]);
        loan.set_tag(1000 + number);
        fill(loan.data(), number, SIZES[number]);
        side.producer.send(std::move(loan));
    }
}

void sizes_tagged_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    for (std::size_t number = 0; number < SIZE_COUNT; number++) {
        const lava::frame frame = receive(side.consumer);
        const lava::frame_info info = frame.info();
        CHECK(info.tag() == 1000 + number);
        CHECK(info.is_inline() || SIZES[number] > LAVA_FRAME_INLINE_SIZE - 8);
        CHECK(has_pattern(frame, number, SIZES[number]));
    }
    receive_end(side.consumer);
}

static constexpr std::uint64_t HUGE_SIZE = (1ull << 32) + 8192;

void huge_frame_producer(const std::string &channel) {
    lava::producer_options options;
    options.max_frame_size = HUGE_SIZE;
    options.capacity = 1;
    sender side = open_sender(channel, options);
    lava::loan loan = side.producer.loan(HUGE_SIZE);
    const lava::span<unsigned char> data = loan.as<unsigned char>();
    fill(data.data(), 1, 4096);
    fill(data.last(4096).data(), 2, 4096);
    side.producer.send(std::move(loan));
}

void huge_frame_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    {
        const lava::frame frame = receive(side.consumer);
        CHECK(frame.size() == HUGE_SIZE);
        CHECK(is_filled(frame.data(), 1, 4096));
        CHECK(is_filled(frame.bytes().last(4096).data(), 2, 4096));
    }
    receive_end(side.consumer);
}

void alignment_producer(const std::string &channel) {
    lava::producer_options options;
    options.max_frame_size = 100;
    sender plain = open_sender(channel + ".plain", options);
    options.alignment = 4096;
    sender pages = open_sender(channel, options);
    for (std::uint64_t number = 0; number < 8; number++) {
        send_pattern(plain.producer, number, 100);
        send_pattern(pages.producer, number, 100);
    }
}

static void receive_aligned(lava::consumer &consumer, std::uintptr_t alignment) {
    std::vector<lava::frame> frames;
    for (std::uint64_t number = 0; number < 8; number++) {
        frames.push_back(receive(consumer));
        CHECK(reinterpret_cast<std::uintptr_t>(frames.back().data()) % alignment == 0);
        CHECK(has_pattern(frames.back(), number, 100));
    }
}

void alignment_consumer(const std::string &channel) {
    receiver plain = open_receiver(channel + ".plain");
    receiver pages = open_receiver(channel);
    receive_aligned(plain.consumer, 64);
    receive_aligned(pages.consumer, 4096);
}

void loan_discarded_producer(const std::string &channel) {
    lava::producer_options options;
    options.capacity = 1;
    sender side = open_sender(channel, options);
    for (int round = 0; round < 10; round++) CHECK(side.producer.loan_for(4096, lava::no_wait).has_value());
    send_pattern(side.producer, 9, 4096);
}

void loan_discarded_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    {
        const lava::frame frame = receive(side.consumer);
        CHECK(frame.info().sequence() == 0 && has_pattern(frame, 9, 4096));
    }
    receive_end(side.consumer);
}

void set_size_producer(const std::string &channel) {
    sender side = open_sender(channel);
    lava::loan loan = side.producer.loan(4096);
    fill(loan.data(), 1, 4096);
    loan.set_size(100);
    CHECK(loan.size() == 100);
    side.producer.send(std::move(loan));
    CHECK(!loan);
    loan = side.producer.loan(100);
    const lava::frame_info info = loan.info();
    CHECK(info.is_loan() && info.size() == 100 && info.capacity() >= 100);
    EXPECT(loan.try_set_size(info.capacity() + 1), too_large);
    loan.set_size(info.capacity());
    loan.set_tag(info.capacity());
    fill(loan.data(), 2, info.capacity());
    side.producer.send(std::move(loan));
}

void set_size_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    receive_pattern(side.consumer, 1, 100);
    {
        const lava::frame frame = receive(side.consumer);
        const lava::frame_info info = frame.info();
        CHECK(info.size() == info.tag() && info.capacity() == info.size());
        CHECK(has_pattern(frame, 2, info.size()));
    }
    receive_end(side.consumer);
}

void read_write_producer(const std::string &channel) {
    sender side = open_sender(channel);
    unsigned char data[1000];
    fill(data, 3, sizeof data);
    lava::loan loan = side.producer.loan(1000);
    loan.write(0, data, 10);
    loan.write(10, data + 10, 990);
    loan.write(1000, data, 0);
    EXPECT(loan.try_write(901, data, 100), too_large);
    EXPECT(loan.try_write(UINT64_MAX, data, 2), too_large);
    side.producer.send(std::move(loan));
}

void read_write_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    {
        lava::frame frame = receive(side.consumer);
        unsigned char data[1000], part[100];
        fill(data, 3, sizeof data);
        frame.read(450, part, sizeof part);
        CHECK(std::memcmp(part, data + 450, sizeof part) == 0);
        frame.read(1000, part, 0);
        EXPECT(frame.try_read(950, part, sizeof part), too_large);
        EXPECT(frame.try_read(UINT64_MAX, part, 2), too_large);
        // What the types forbid: a received frame in the place of a loan.
        const lava::loan_view wrong(frame.native_handle());
        CHECK(wrong.data() == nullptr);
        EXPECT(wrong.try_write(0, part, 1), frame_state);
        EXPECT(wrong.try_set_tag(1), frame_state);
        EXPECT(wrong.try_set_timestamp(1), frame_state);
        EXPECT(wrong.try_set_size(1), frame_state);
        EXPECT(wrong.try_set_tensor(nullptr), frame_state);
        CHECK(has_pattern(frame, 3, 1000));
        CHECK(is_filled(frame.copy<unsigned char>().data(), 3, 1000));
    }
    receive_end(side.consumer);
}

void read_only_producer(const std::string &channel) {
    sender side = open_sender(channel);
    send_pattern(side.producer, 4, 4096);
}

void read_only_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    {
        const lava::frame frame = receive(side.consumer);
        int ends[2];
        CHECK(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
        // The kernel checks the page as the processor would; a process that wrote itself would die by SIGSEGV.
        CHECK(read(ends[0], const_cast<void *>(frame.data()), 1) == -1 && errno == EFAULT);
        CHECK(has_pattern(frame, 4, 4096));
        close(ends[0]);
        close(ends[1]);
    }
    receive_end(side.consumer);
}
