// What lava tells about itself: transports, reasons, counters, locations.
#include "conformance.hpp"

#include <unistd.h>

static std::uint32_t own_process() { return static_cast<std::uint32_t>(getpid()); }

static bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

void require_producer(const std::string &channel) {
    sender side = open_sender(channel);
    send_number(side.producer, 0);
}

void require_consumer(const std::string &channel) {
    const auto context = lava::context::create();
    lava::consumer_options options;
    options.require_transports = lava::transport::vulkan;
    EXPECT(lava::consumer::try_open(context, channel, options), requirement);
    CHECK(contains(message, "vulkan"));
    options.require_transports = expected_transport() | lava::transport::vulkan;
    options.max_copies = expected_copies();
    auto consumer = lava::consumer::open(context, channel, options);
    const lava::connection connection = consumer.connection();
    CHECK(connection.transport() == expected_transport() && connection.copies() == expected_copies() && !connection.reason().empty());
    receive_number(consumer, 0, 0);
    receive_end(consumer);
}

// Location and counters of one side; `other` is the process id that it must see.
static void check_connection(const lava::connection &connection, std::uint64_t other) {
    CHECK(connection.transport() == expected_transport() && connection.copies() == expected_copies());
    CHECK(connection.state() == lava::connection_state::open);
    CHECK(connection.peer_process() == other && connection.peer().process() == other);
    CHECK(connection.frames() == 2 && connection.bytes() == 8 + 4096 && connection.dropped() == 0);
    CHECK(!connection.reason().empty());
}

// The parts tell each other their process ids through the channel, so that each can check what lava says.
void describe_producer(const std::string &channel) {
    sender side = open_sender(channel);
    {
        receiver back = open_receiver(channel + ".back");
        send_number(side.producer, own_process());
        send_pattern(side.producer, 1, 4096);
        check_connection(side.producer.connections().at(0), number_in(receive(back.consumer)));
        EXPECT(side.producer.try_connection(1), not_found);
        // What the wrapper asks for itself.
        std::size_t needed = 0;
        const auto status = lava_producer_describe(side.producer.native_handle(), nullptr, 0, &needed, nullptr);
        CHECK(status == LAVA_ERROR_BUFFER_TOO_SMALL && needed > 1);
        const std::string text = side.producer.describe();
        CHECK(contains(text, expected_transport_word()) && contains(text, channel));
    }
    meet("described");
}

void describe_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    sender back = open_sender(channel + ".back");
    const std::uint64_t other = number_in(receive(side.consumer));
    {
        const lava::frame frame = receive(side.consumer);
        const lava::connection connection = side.consumer.connection();
        check_connection(connection, other);
        CHECK(connection.held() == 1 && connection.queued() == 0);
        for (const lava::rejection &rejection : connection.rejections())
            CHECK(rejection.transport() != expected_transport() && !rejection.reason().empty());
        const auto count = static_cast<std::uint32_t>(connection.rejections().size());
        lava_rejection raw = LAVA_REJECTION_INIT;
        const auto status = lava_consumer_get_rejection(side.consumer.native_handle(), count, &raw, nullptr);
        CHECK(status == LAVA_ERROR_NOT_FOUND);
    }
    const std::string text = side.consumer.describe();
    CHECK(contains(text, expected_transport_word()) && contains(text, channel));
    CHECK(contains(side.context.describe(), "\"location\""));
    send_number(back.producer, own_process());
    meet("described");
    receive_end(side.consumer);
}

void list_channels_producer(const std::string &channel) {
    sender side = open_sender(channel);
    send_number(side.producer, own_process());
    meet("listed");
}

void list_channels_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    const std::uint64_t producer = number_in(receive(side.consumer));
    const std::string text = side.context.list_channels(LONG);
    CHECK(text[0] == '[' && contains(text, channel) && contains(text, std::to_string(producer)));
    meet("listed");
    receive_end(side.consumer);
}

void scope_producer(const std::string &channel) {
    sender side = open_sender(channel);
    const auto location = lava::location::current(side.context);
    CHECK(location.process() == own_process() && location.native().context != 0 && !location.host().empty());
    const std::string text = location.text();
    side.producer.send_bytes(text.c_str(), text.size() + 1);
    meet("detected");
}

void scope_consumer(const std::string &channel) {
    receiver side = open_receiver(channel);
    const auto told = receive(side.consumer);
    const auto peer = lava::location::parse(told.as<char>().data());
    const auto own = lava::location::current(side.context);
    CHECK(own.process() != peer.process());
    CHECK(std::memcmp(own.native().boot_id, peer.native().boot_id, sizeof own.native().boot_id) == 0);
    const auto report = lava::detect_scope(side.context, own, peer);
    CHECK(report.scope() == lava::scope::local && report.decided_by() == lava::evidence::rendezvous);
    CHECK(report.agrees(lava::evidence::boot_id) && !report.text().empty());
    const auto same = lava::detect_scope(side.context, own, own);
    CHECK(same.scope() == lava::scope::local && same.decided_by() == lava::evidence::process);
    meet("detected");
    receive_end(side.consumer);
}
