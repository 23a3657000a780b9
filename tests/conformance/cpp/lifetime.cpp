// Ends: of handles in every order, of channels, of processes.
#include "conformance.hpp"

#include <thread>

#include <sys/wait.h>
#include <unistd.h>

static lava::producer_options one_slot() {
    lava::producer_options options;
    options.capacity = 1;
    options.max_frame_size = 4096;
    return options;
}

void frame_after_consumer_producer(const std::string &channel) {
    sender side = open_sender(channel, one_slot());
    send_pattern(side.producer, 1, 4096);
    meet("destroyed");
    EXPECT(side.producer.try_loan(4096, lava::no_wait), would_block);
    meet("checked");
    CHECK(side.producer.loan_for(4096, LONG).has_value());
}

void frame_after_consumer_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    const lava::frame frame = receive(side.consumer);
    side = receiver();
    meet("destroyed");
    meet("checked");
    CHECK(has_pattern(frame, 1, 4096));
}

void frame_after_producer_producer(const std::string &channel) {
    sender side = open_sender(channel);
    send_pattern(side.producer, 2, 4096);
    meet("received");
    side = sender();
    die();
}

void frame_after_producer_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    const lava::frame frame = receive(side.consumer);
    meet("received");
    // The end is told only after the producer has gone.
    receive_end(side.consumer);
    CHECK(has_pattern(frame, 2, 4096));
    side = receiver();
    CHECK(has_pattern(frame, 2, 4096));
}

void frames_after_context_producer(const std::string &channel) {
    sender side = open_sender(channel);
    side.context.reset();
    for (std::uint64_t number = 0; number < 20; number++) send_pattern(side.producer, number, 4096);
}

void frames_after_context_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    side.context.reset();
    for (std::uint64_t number = 0; number < 19; number++) receive_pattern(side.consumer, number, 4096);
    const lava::frame frame = receive(side.consumer);
    receive_end(side.consumer);
    side.consumer.reset();
    CHECK(has_pattern(frame, 19, 4096));
}

void closed_producer(const std::string &channel) {
    sender side = open_sender(channel);
    for (std::uint64_t number = 0; number < 5; number++) send_pattern(side.producer, number, 1000);
    side = sender();
    meet("ended");
}

void closed_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    meet("ended");
    for (std::uint64_t number = 0; number < 5; number++) receive_pattern(side.consumer, number, 1000);
    for (int again = 0; again < 3; again++) receive_end(side.consumer);
    CHECK(!side.consumer.receive().has_value());
    const lava::connection connection = side.consumer.connection();
    CHECK(connection.state() == lava::connection_state::closed && connection.frames() == 5);
}

void peer_lost_producer(const std::string &channel) {
    sender side = open_sender(channel);
    for (std::uint64_t number = 0; number < 5; number++) send_pattern(side.producer, number, 1000);
    meet("sent");
    die();
}

void peer_lost_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    meet("sent");
    for (std::uint64_t number = 0; number < 5; number++) receive_pattern(side.consumer, number, 1000);
    for (int again = 0; again < 3; again++) EXPECT(side.consumer.try_receive(LONG), peer_lost);
    try {
        (void)side.consumer.receive();
        fail(__FILE__, __LINE__, "refused");
    } catch (const lava::error &error) {
        CHECK(error.status() == lava::status::peer_lost);
    }
    CHECK(side.consumer.connection().state() == lava::connection_state::lost);
}

void consumer_lost_producer(const std::string &channel) {
    sender side = open_sender(channel, one_slot());
    send_pattern(side.producer, 3, 4096);
    CHECK(side.producer.loan_for(4096, LONG).has_value());
    for (const auto start = clock_type::now(); side.producer.consumer_count() > 0; std::this_thread::sleep_for(1ms))
        CHECK(clock_type::now() - start < LONG);
}

void consumer_lost_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    const lava::frame frame = receive(side.consumer);
    CHECK(has_pattern(frame, 3, 4096));
    die();
}

void reopen_producer(const std::string &channel) {
    const auto context = lava::context::create();
    for (std::uint64_t number = 0; number < 5; number++) {
        auto producer = lava::producer::create(context, channel);
        CHECK(producer.wait_consumers(1, LONG));
        send_number(producer, number);
        producer.reset();
        meet("closed");
    }
}

void reopen_consumer(const std::string &channel) {
    const auto context = lava::context::create();
    for (std::uint64_t number = 0; number < 5; number++) {
        auto consumer = lava::consumer::open(context, channel);
        receive_number(consumer, number, 0);
        receive_end(consumer);
        consumer.reset();
        meet("closed");
    }
}

// The child answers by its exit status: 0 if every call said that the handle is the parent's.
static int forked_calls(sender &side, lava::loan &loan, lava::buffer &buffer) {
    const auto is_forked = [](lava::status found) { return found == lava::status::forked; };
    if (!is_forked(status_of(side.producer.try_send_bytes("x", 1, lava::no_wait)))) return 1;
    if (!is_forked(status_of(side.producer.try_loan(4096, lava::no_wait)))) return 2;
    if (!is_forked(status_of(side.producer.try_wait_consumers(1, lava::no_wait)))) return 3;
    if (!is_forked(status_of(lava::producer::try_create(side.context, "forked.child")))) return 4;
    if (!is_forked(status_of(lava::location::try_current(side.context)))) return 5;
    if (!is_forked(status_of(side.producer.try_send(std::move(loan), lava::no_wait)))) return 6;
    buffer.reset();
    side = sender();
    return 0;
}

void forked_producer(const std::string &channel) {
    sender side = open_sender(channel);
    send_number(side.producer, 0);
    lava::loan loan = side.producer.loan(4096);
    lava::buffer_options options;
    options.size = 4096;
    options.shareable = true;
    lava::buffer buffer = lava::buffer::allocate(side.context, options);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) _exit(forked_calls(side, loan, buffer));
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    loan.reset();
    buffer.reset();
    send_number(side.producer, 1);
}

void forked_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    receive_number(side.consumer, 0, 0);
    receive_number(side.consumer, 1, 1);
    receive_end(side.consumer);
}
