// What waits and what does not: timeouts, full channels under each policy.
#include "conformance.hpp"

#include <thread>

#include <poll.h>

static lava::producer_options options_of(lava::policy policy, std::uint32_t capacity, std::uint32_t queue_length) {
    lava::producer_options options;
    options.policy = policy;
    options.capacity = capacity;
    options.queue_length = queue_length;
    return options;
}

void wait_timeouts_producer(const std::string &channel) {
    sender side = open_sender(channel);
    EXPECT(side.producer.try_wait_consumers(2, lava::no_wait), would_block);
    const auto start = clock_type::now();
    CHECK(!side.producer.wait_consumers(2, SHORT));
    CHECK(clock_type::now() - start >= SHORT);
    meet("waited");
    send_number(side.producer, 0);
}

void wait_timeouts_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    EXPECT(side.consumer.receive_for(lava::no_wait), would_block);
    const auto start = clock_type::now();
    EXPECT(side.consumer.receive_for(start + SHORT), timed_out);
    CHECK(clock_type::now() - start >= SHORT);
    lava::frames frames(1);
    EXPECT(side.consumer.try_receive_many(frames, lava::no_wait), would_block);
    CHECK(frames.empty());
    meet("waited");
    CHECK(side.consumer.receive().has_value());
    receive_end(side.consumer);
}

void block_nobody_producer(const std::string &channel) {
    sender side = open_sender(channel, {}, 0);
    EXPECT(side.producer.try_send_bytes("x", 1, lava::no_wait), would_block);
    const auto start = clock_type::now();
    EXPECT(side.producer.try_send_bytes("x", 1, SHORT), timed_out);
    CHECK(clock_type::now() - start >= SHORT);
    lava::loan loan = side.producer.loan(4096);
    fill(loan.data(), 0, 4096);
    EXPECT(side.producer.try_send(std::move(loan), lava::no_wait), would_block);
    CHECK(!side.producer.send_for(std::move(loan), SHORT));
    CHECK(loan && is_filled(loan.data(), 0, 4096));
    meet("waited");
    // Nobody said that the consumer is there: the send itself waits for it.
    CHECK(side.producer.send_for(std::move(loan), LONG));
}

void block_nobody_consumer(const std::string &channel) {
    meet("waited");
    receiver side = open_receiver(channel);
    {
        const lava::frame frame = receive(side.consumer);
        CHECK(frame.info().sequence() == 0 && has_pattern(frame, 0, 4096));
    }
    receive_end(side.consumer);
}

void block_slots_producer(const std::string &channel) {
    sender side = open_sender(channel, options_of(lava::policy::block, 2, 0));
    send_pattern(side.producer, 0, 4096);
    send_pattern(side.producer, 1, 4096);
    EXPECT(side.producer.try_loan(4096, lava::no_wait), would_block);
    EXPECT(side.producer.try_loan(4096, SHORT), timed_out);
    // Small ones need no slot.
    CHECK(side.producer.loan_for(LAVA_FRAME_INLINE_SIZE, lava::no_wait).has_value());
    meet("full");
    send_pattern(side.producer, 2, 4096);
}

void block_slots_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    meet("full");
    for (std::uint64_t number = 0; number < 3; number++) receive_pattern(side.consumer, number, 4096);
    receive_end(side.consumer);
}

void block_queue_producer(const std::string &channel) {
    sender side = open_sender(channel, options_of(lava::policy::block, 0, 4));
    for (std::uint64_t number = 0; number < 4; number++) send_number(side.producer, number);
    EXPECT(side.producer.try_send_bytes("x", 1, lava::no_wait), would_block);
    EXPECT(side.producer.try_send_bytes("x", 1, SHORT), timed_out);
    meet("full");
    send_number(side.producer, 4);
}

void block_queue_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    meet("full");
    for (std::uint64_t number = 0; number < 5; number++) receive_number(side.consumer, number, number);
    receive_end(side.consumer);
}

void block_after_leaving_producer(const std::string &channel) {
    sender side = open_sender(channel);
    send_number(side.producer, 0);
    meet("left");
    for (const auto start = clock_type::now(); side.producer.consumer_count() > 0; std::this_thread::sleep_for(1ms))
        CHECK(clock_type::now() - start < LONG);
    EXPECT(side.producer.try_send_bytes("x", 1, lava::no_wait), would_block);
    meet("blocked");
    send_number(side.producer, 1);
}

void block_after_leaving_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    receive_number(side.consumer, 0, 0);
    side = receiver();
    meet("left");
    meet("blocked");
    side = open_receiver(channel);
    receive_number(side.consumer, 1, 1);
    receive_end(side.consumer);
}

static std::uint64_t dropped(const lava::producer &producer) { return producer.connections().at(0).dropped(); }

static void drop_producer(const std::string &channel, lava::policy policy) {
    sender side = open_sender(channel, options_of(policy, 0, 4));
    for (std::uint64_t number = 0; number < 10; number++) send_number(side.producer, number);
    CHECK(dropped(side.producer) == 6);
    meet("dropped");
    meet("received");
    send_number(side.producer, 10);
    CHECK(dropped(side.producer) == 6);
}

static void drop_consumer(const std::string &channel, std::uint64_t first) {
    receiver side = open_receiver(channel);
    meet("dropped");
    for (std::uint64_t number = first; number < first + 4; number++) receive_number(side.consumer, number, number);
    EXPECT(side.consumer.receive_for(lava::no_wait), would_block);
    meet("received");
    receive_number(side.consumer, 10, 10);
    receive_end(side.consumer);
}

void drop_newest_producer(const std::string &channel) { drop_producer(channel, lava::policy::drop_newest); }
void drop_newest_consumer(const std::string &channel) { drop_consumer(channel, 0); }
void drop_oldest_producer(const std::string &channel) { drop_producer(channel, lava::policy::drop_oldest); }
void drop_oldest_consumer(const std::string &channel) { drop_consumer(channel, 6); }

void drop_slots_producer(const std::string &channel) {
    auto options = options_of(lava::policy::drop_newest, 2, 0);
    options.max_frame_size = 4096;
    sender side = open_sender(channel, options);
    send_pattern(side.producer, 0, 4096);
    send_pattern(side.producer, 1, 4096);
    meet("held");
    EXPECT(side.producer.try_loan(4096, LONG), would_block);
    const std::vector<std::byte> data(4096);
    side.producer.send_bytes(data);
    CHECK(dropped(side.producer) == 2);
    meet("dropped");
    meet("released");
    send_pattern(side.producer, 4, 4096);
}

void drop_slots_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    {
        const lava::frame first = receive(side.consumer), second = receive(side.consumer);
        meet("held");
        meet("dropped");
        CHECK(has_pattern(first, 0, 4096) && has_pattern(second, 1, 4096));
    }
    meet("released");
    {
        const lava::frame frame = receive(side.consumer);
        CHECK(frame.info().sequence() == 4 && has_pattern(frame, 4, 4096));
    }
    receive_end(side.consumer);
}

void late_joiner_producer(const std::string &channel) {
    sender side = open_sender(channel, options_of(lava::policy::drop_newest, 0, 0), 0);
    for (std::uint64_t number = 0; number < 3; number++) send_number(side.producer, number);
    meet("sent");
    CHECK(side.producer.wait_consumers(1, LONG));
    send_number(side.producer, 3);
}

void late_joiner_consumer(const std::string &channel) {
    meet("sent");
    receiver side = open_receiver(channel);
    receive_number(side.consumer, 3, 3);
    receive_end(side.consumer);
}

static bool is_readable(int fd, int milliseconds) {
    pollfd wait = { fd, POLLIN, 0 };
    const int found = poll(&wait, 1, milliseconds);
    CHECK(found >= 0);
    return found == 1;
}

void event_fd_producer(const std::string &channel) {
    sender side = open_sender(channel);
    meet("armed");
    send_number(side.producer, 0);
    send_number(side.producer, 1);
    meet("received");
    meet("armed again");
    send_pattern(side.producer, 2, 4096);
    meet("received again");
}

void event_fd_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    const int fd = side.consumer.event_fd();
    CHECK(fd >= 0 && fd == side.consumer.event_fd());
    EXPECT(side.consumer.receive_for(lava::no_wait), would_block);
    CHECK(!is_readable(fd, 0));
    meet("armed");
    CHECK(is_readable(fd, 10000));
    receive_number(side.consumer, 0, 0);
    receive_number(side.consumer, 1, 1);
    meet("received");
    EXPECT(side.consumer.receive_for(lava::no_wait), would_block);
    CHECK(!is_readable(fd, 0));
    meet("armed again");
    CHECK(is_readable(fd, 10000));
    receive_pattern(side.consumer, 2, 4096);
    EXPECT(side.consumer.receive_for(lava::no_wait), would_block);
    meet("received again");
    CHECK(is_readable(fd, 10000));
    EXPECT(side.consumer.receive_for(lava::no_wait), closed);
    CHECK(is_readable(fd, 0));
}
