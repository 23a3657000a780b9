// The comparison's part in C++: `program calls | ping NAME | pong NAME`; see main.rs. The functions that throw, as most
// programs use them.
#include "program.h"

#include <lava.hpp>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

static lava::producer new_producer(const lava::context &context, const std::string &channel) {
    lava::producer_options options;
    options.no_timestamp = true;
    return lava::producer::create(context, channel, options);
}

static void round_trips(lava::producer &producer, lava::consumer &consumer, std::uint64_t count) {
    for (std::uint64_t number = 0; number < count; number++) {
        producer.send_bytes(&number, sizeof number);
        auto frame = consumer.receive();
        if (!frame || *static_cast<const std::uint64_t *>(frame->data()) != number) std::exit(1);
    }
}

static void calls(const lava::context &context) {
    auto producer = new_producer(context, "calls.own");
    auto consumer = lava::consumer::open(context, "calls.own");
    const lava::loan loan = producer.loan(4096);
    char name[32];
    std::uint64_t count = 0;
    volatile std::uint64_t sink = 0;
    while (next_order(name, &count) != 0) {
        const std::string_view order = name;
        const std::uint64_t start = now();
        if (order == "lava_abi_version") {
            for (std::uint64_t at = 0; at < count; at++) sink = sink + (lava::abi_matches() ? 1 : 0);
        } else if (order == "lava_frame_size") {
            for (std::uint64_t at = 0; at < count; at++) sink = sink + loan.size();
        } else if (order == "lava_frame_data") {
            for (std::uint64_t at = 0; at < count; at++)
                sink = sink + reinterpret_cast<std::uintptr_t>(static_cast<lava::frame_view>(loan).data());
        } else {
            round_trips(producer, consumer, count);
        }
        answer(start, count);
    }
}

static void ping(const lava::context &context, const std::string &channel) {
    auto producer = new_producer(context, channel + ".ping");
    auto consumer = lava::consumer::open(context, channel + ".pong");
    char name[32];
    std::uint64_t count = 0;
    while (next_order(name, &count) != 0) {
        const std::uint64_t start = now();
        round_trips(producer, consumer, count);
        answer(start, count);
    }
}

static void pong(const lava::context &context, const std::string &channel) {
    auto producer = new_producer(context, channel + ".pong");
    auto consumer = lava::consumer::open(context, channel + ".ping");
    while (auto frame = consumer.receive()) {
        const std::uint64_t number = *static_cast<const std::uint64_t *>(frame->data());
        frame->reset();
        producer.send_bytes(&number, sizeof number);
    }
}

int main(int count, char **arguments) try {
    auto context = lava::context::create();
    if (count == 2) calls(context);
    if (count == 3) (std::string_view(arguments[1]) == "ping" ? ping : pong)(context, arguments[2]);
} catch (const lava::error &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
