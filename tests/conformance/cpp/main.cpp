// conformance_cpp list | producer NAME CHANNEL | consumer NAME CHANNEL: see ../scenarios.txt.
#include "conformance.hpp"

#include <iostream>
#include <string_view>

#define SCENARIOS(X) \
    X(order) X(sizes) X(sizes_copied) X(sizes_tagged) X(huge_frame) X(alignment) \
    X(metadata) X(tensor) X(tensor_refused) \
    X(loan_discarded) X(set_size) X(read_write) X(read_only) \
    X(batch_bytes) X(batch_loans) X(release_order) X(release_thread) \
    X(frame_after_consumer) X(frame_after_producer) X(frames_after_context) \
    X(send_buffer) X(send_buffer_refused) X(wait_released) \
    X(wait_timeouts) X(block_nobody) X(block_slots) X(block_queue) X(block_after_leaving) \
    X(drop_newest) X(drop_oldest) X(drop_slots) X(late_joiner) \
    X(consumer_first) X(two_consumers) X(consumers_max) X(name_rules) X(name_clash) X(reopen) \
    X(closed) X(peer_lost) X(consumer_lost) X(event_fd) \
    X(require) X(describe) X(list_channels) X(scope) \
    X(two_contexts) X(same_process) X(ping_pong) X(stream) X(forked) \
    X(device_buffer) X(device_import) X(device_frames) X(device_staged) X(device_no_vulkan) X(device_both) \
    X(device_wanted) X(device_wanted_staged) X(device_after_producer) X(device_fallback)

SCENARIOS(SCENARIO)

struct entry {
    std::string_view name;
    void (*producer)(const std::string &channel);
    void (*consumer)(const std::string &channel);
};

#define ENTRY(name) { #name, name##_producer, name##_consumer },
static constexpr entry entries[] = { SCENARIOS(ENTRY) };

int main(int count, char **arguments) {
    if (count == 2 && std::string_view(arguments[1]) == "list") {
        for (const entry &one : entries) std::cout << one.name << "\n";
        return 0;
    }
    if (count != 4) {
        std::cerr << "usage: conformance_cpp list | producer NAME CHANNEL | consumer NAME CHANNEL\n";
        return 2;
    }
    for (const entry &one : entries) {
        if (one.name != arguments[2]) continue;
        try {
            (std::string_view(arguments[1]) == "producer" ? one.producer : one.consumer)(arguments[3]);
        } catch (const std::exception &error) {
            std::cerr << error.what() << "\n";
            return 1;
        }
        return 0;
    }
    std::cerr << "no scenario " << arguments[2] << "\n";
    return 2;
}
