// Names, who may connect to whom, several of everything.
#include "conformance.hpp"

#include <thread>

void consumer_first_producer(const std::string &channel) {
    meet("timed out");
    sender side = open_sender(channel);
    send_number(side.producer, 0);
}

void consumer_first_consumer(const std::string &channel) {
    const auto context = lava::context::create();
    lava::consumer_options options;
    options.timeout = SHORT;
    const auto start = clock_type::now();
    try {
        (void)lava::consumer::open(context, channel, options);
        fail(__FILE__, __LINE__, "refused");
    } catch (const lava::error &error) {
        CHECK(error.code() == std::errc::timed_out && error.status() == lava::status::timed_out);
        CHECK(error.failure().message().find(channel) != std::string_view::npos);
    }
    CHECK(clock_type::now() - start >= SHORT);
    meet("timed out");
    // Whichever of the two comes first now, they find each other.
    auto consumer = lava::consumer::open(context, channel);
    receive_number(consumer, 0, 0);
    receive_end(consumer);
}

void consumers_max_producer(const std::string &channel) {
    sender side = open_sender(channel, {}, LAVA_CONSUMERS_MAX);
    CHECK(side.producer.consumer_count() == LAVA_CONSUMERS_MAX);
    CHECK(side.producer.connections().size() == LAVA_CONSUMERS_MAX);
    for (std::uint64_t number = 0; number < 3; number++) send_pattern(side.producer, number, 100);
    meet("sent");
    meet("one left");
}

void consumers_max_consumer(const std::string &channel) {
    const auto context = lava::context::create();
    std::vector<lava::consumer> consumers;
    for (std::size_t at = 0; at < LAVA_CONSUMERS_MAX; at++) consumers.push_back(lava::consumer::open(context, channel));
    EXPECT(lava::consumer::try_open(context, channel), refused);
    CHECK(!message.empty());
    meet("sent");
    for (lava::consumer &consumer : consumers)
        for (std::uint64_t number = 0; number < 3; number++) receive_pattern(consumer, number, 100);
    consumers[0].reset();
    // The producer learns of it in its own time.
    for (const auto start = clock_type::now(); !consumers[0]; std::this_thread::sleep_for(1ms)) {
        auto next = lava::consumer::try_open(context, channel);
        CHECK(next || (status_of(next) == lava::status::refused && clock_type::now() - start < LONG));
        if (next) consumers[0] = *std::move(next);
    }
    meet("one left");
    for (lava::consumer &consumer : consumers) receive_end(consumer);
}

static const std::string LONGEST = "n234567890123456789012345678901234567890123456789012345678901234";
static const std::string WRONG[] = {
    "", "/a", "a/", "a//b", "-a", ".a", "_a", "a b", "a:b", "a\n", "a\\b", "\xc3\xa4", LONGEST + "5",
};

void name_rules_producer(const std::string &channel) {
    const auto context = lava::context::create();
    for (const std::string &wrong : WRONG) {
        EXPECT(lava::producer::try_create(context, wrong), invalid_argument);
        CHECK(!message.empty());
    }
    (void)lava::producer::create(context, LONGEST);
    sender side = open_sender(channel + "/0.Part_of-a/Name");
    send_number(side.producer, 0);
}

void name_rules_consumer(const std::string &channel) {
    const auto context = lava::context::create();
    for (const std::string &wrong : WRONG) {
        EXPECT(lava::consumer::try_open(context, wrong), invalid_argument);
        CHECK(!message.empty());
    }
    receiver side = open_receiver(channel + "/0.Part_of-a/Name");
    receive_number(side.consumer, 0, 0);
    receive_end(side.consumer);
}

static void create_clashing(const lava::context &context, const std::string &channel) {
    EXPECT(lava::producer::try_create(context, channel), already_exists);
    CHECK(message.find(channel) != std::string::npos);
}

void name_clash_producer(const std::string &channel) {
    sender side = open_sender(channel);
    create_clashing(side.context, channel);
    create_clashing(lava::context::create(), channel);
    meet("clashed");
    send_number(side.producer, 0);
}

void name_clash_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    create_clashing(side.context, channel);
    meet("clashed");
    receive_number(side.consumer, 0, 0);
    receive_end(side.consumer);
}

void two_contexts_producer(const std::string &channel) {
    sender first = open_sender(channel + ".first");
    sender second = open_sender(channel + ".second");
    for (std::uint64_t number = 0; number < 50; number++) {
        send_number(first.producer, number);
        send_number(second.producer, 1000 + number);
    }
    first = sender();
    meet("first closed");
    send_number(second.producer, 1050);
}

void two_contexts_consumer(const std::string &channel) {
    receiver first = open_receiver(channel + ".first");
    receiver second = open_receiver(channel + ".second");
    for (std::uint64_t number = 0; number < 50; number++) receive_number(first.consumer, number, number);
    receive_end(first.consumer);
    first = receiver();
    meet("first closed");
    for (std::uint64_t number = 0; number < 51; number++) receive_number(second.consumer, 1000 + number, number);
    receive_end(second.consumer);
}

void same_process_producer(const std::string &channel) {
    sender side = open_sender(channel);
    auto same_context = lava::consumer::open(side.context, channel);
    receiver own_context = open_receiver(channel);
    CHECK(side.producer.consumer_count() == 3);
    for (std::uint64_t number = 0; number < 20; number++) {
        send_pattern(side.producer, number, 1000);
        receive_pattern(same_context, number, 1000);
        receive_pattern(own_context.consumer, number, 1000);
    }
    side = sender();
    receive_end(same_context);
    receive_end(own_context.consumer);
}

void same_process_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    for (std::uint64_t number = 0; number < 20; number++) receive_pattern(side.consumer, number, 1000);
    receive_end(side.consumer);
}

void ping_pong_producer(const std::string &channel) {
    sender ping = open_sender(channel + ".ping");
    receiver pong = open_receiver(channel + ".pong");
    for (std::uint64_t number = 0; number < 1000; number++) {
        send_number(ping.producer, number);
        receive_number(pong.consumer, number * 3, number);
    }
    ping = sender();
    receive_end(pong.consumer);
}

void ping_pong_consumer(const std::string &channel) {
    receiver ping = open_receiver(channel + ".ping");
    sender pong = open_sender(channel + ".pong");
    for (std::uint64_t number = 0; number < 1000; number++) {
        receive_number(ping.consumer, number, number);
        send_number(pong.producer, number * 3);
    }
    receive_end(ping.consumer);
}
