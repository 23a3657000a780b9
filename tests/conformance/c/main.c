/* conformance_c list | producer NAME CHANNEL | consumer NAME CHANNEL: see ../scenarios.txt. */
#include "conformance.h"

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

#define DECLARE(name) \
    void name##_producer(const char *channel); \
    void name##_consumer(const char *channel);
SCENARIOS(DECLARE)

typedef struct {
    const char *name;
    void (*producer)(const char *channel);
    void (*consumer)(const char *channel);
} scenario;

#define ENTRY(name) { #name, name##_producer, name##_consumer },
static const scenario scenarios[] = { SCENARIOS(ENTRY) };

int main(int count, char **arguments) {
    const size_t total = sizeof scenarios / sizeof scenarios[0];
    if (count == 2 && strcmp(arguments[1], "list") == 0) {
        for (size_t at = 0; at < total; at++) puts(scenarios[at].name);
        return 0;
    }
    if (count != 4) {
        fprintf(stderr, "usage: %s list | producer NAME CHANNEL | consumer NAME CHANNEL\n", arguments[0]);
        return 2;
    }
    for (size_t at = 0; at < total; at++) {
        if (strcmp(scenarios[at].name, arguments[2]) != 0) continue;
        bool produces = strcmp(arguments[1], "producer") == 0;
        (produces ? scenarios[at].producer : scenarios[at].consumer)(arguments[3]);
        return 0;
    }
    fprintf(stderr, "no scenario %s\n", arguments[2]);
    return 2;
}
