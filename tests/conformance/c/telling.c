/* What lava tells about itself: transports, reasons, counters, locations. */
#include "conformance.h"

#include <unistd.h>

void require_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    send_number(side.producer, 0);
    close_sender(side);
}

void require_consumer(const char *channel) {
    lava_context *context = new_context();
    lava_consumer_options options = LAVA_CONSUMER_OPTIONS_INIT;
    lava_consumer *consumer;
    options.require_transports = LAVA_TRANSPORT_VULKAN;
    EXPECT(lava_consumer_create(context, channel, &options, &consumer, &detail), LAVA_ERROR_REQUIREMENT);
    CHECK(consumer == NULL && strstr(detail.message, "vulkan") != NULL);
    options.require_transports = expected_transport() | LAVA_TRANSPORT_VULKAN;
    options.flags = LAVA_CONSUMER_LIMIT_COPIES;
    options.max_copies = expected_copies();
    OK(lava_consumer_create(context, channel, &options, &consumer, &detail));
    lava_connection_info info = LAVA_CONNECTION_INFO_INIT;
    OK(lava_consumer_get_connection(consumer, &info, NULL, &detail));
    CHECK(info.transport == expected_transport() && info.copies == expected_copies() && info.reason[0] != 0);
    receive_number(consumer, 0, 0);
    receive_end(consumer);
    lava_consumer_destroy(consumer);
    lava_context_destroy(context);
}

static void check_description(const char *text, const char *channel) {
    CHECK(strstr(text, expected_transport_word()) != NULL);
    CHECK(strstr(text, channel) != NULL);
}

/* Location and counters of one side; `other` is the process id that it must see. */
static void check_connection(const lava_connection_info *info, const lava_location *peer, uint32_t other) {
    CHECK(info->struct_size == sizeof *info);
    CHECK(info->transport == expected_transport() && info->copies == expected_copies());
    CHECK(info->state == LAVA_CONNECTION_OPEN);
    CHECK(info->peer_process == other && peer->process == other);
    CHECK(info->frames == 2 && info->bytes == 8 + 4096 && info->dropped == 0);
    CHECK(info->reason[0] != 0);
}

/* The parts tell each other their process ids through the channel, so that each can check what lava says. */
void describe_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    receiver back = open_receiver(named(channel, ".back"));
    send_number(side.producer, (uint64_t)getpid());
    send_pattern(side.producer, 1, 4096);
    lava_frame *frame = receive(back.consumer);
    uint64_t other;
    OK(lava_frame_read(frame, 0, &other, sizeof other));
    OK(lava_frame_release(frame));
    lava_connection_info info = LAVA_CONNECTION_INFO_INIT;
    lava_location peer = LAVA_LOCATION_INIT;
    OK(lava_producer_get_connection(side.producer, 0, &info, &peer, &detail));
    check_connection(&info, &peer, (uint32_t)other);
    EXPECT(lava_producer_get_connection(side.producer, 1, &info, NULL, &detail), LAVA_ERROR_NOT_FOUND);
    size_t needed = 0;
    EXPECT(lava_producer_describe(side.producer, NULL, 0, &needed, &detail), LAVA_ERROR_BUFFER_TOO_SMALL);
    CHECK(needed > 1);
    char *text = malloc(needed + 64);
    OK(lava_producer_describe(side.producer, text, needed + 64, &needed, &detail));
    check_description(text, channel);
    free(text);
    close_receiver(back);
    meet("described");
    close_sender(side);
}

void describe_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    sender back = open_sender(named(channel, ".back"), NULL, 1);
    lava_frame *frame = receive(side.consumer);
    uint64_t other;
    OK(lava_frame_read(frame, 0, &other, sizeof other));
    OK(lava_frame_release(frame));
    frame = receive(side.consumer);
    lava_connection_info info = LAVA_CONNECTION_INFO_INIT;
    lava_location peer = LAVA_LOCATION_INIT;
    OK(lava_consumer_get_connection(side.consumer, &info, &peer, &detail));
    check_connection(&info, &peer, (uint32_t)other);
    CHECK(info.held == 1 && info.queued == 0);
    OK(lava_frame_release(frame));
    lava_rejection rejection = LAVA_REJECTION_INIT;
    for (uint32_t index = 0; index < info.rejection_count; index++) {
        OK(lava_consumer_get_rejection(side.consumer, index, &rejection, &detail));
        CHECK(rejection.transport != expected_transport() && rejection.reason[0] != 0);
    }
    EXPECT(lava_consumer_get_rejection(side.consumer, info.rejection_count, &rejection, &detail), LAVA_ERROR_NOT_FOUND);
    size_t needed = 0;
    char small[4] = "abc";
    EXPECT(lava_consumer_describe(side.consumer, small, sizeof small, &needed, &detail), LAVA_ERROR_BUFFER_TOO_SMALL);
    CHECK(memcmp(small, "abc", 4) == 0);
    char *text = malloc(needed + 64);
    OK(lava_consumer_describe(side.consumer, text, needed + 64, NULL, &detail));
    check_description(text, channel);
    free(text);
    send_number(back.producer, (uint64_t)getpid());
    meet("described");
    receive_end(side.consumer);
    close_receiver(side);
    close_sender(back);
}

void list_channels_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    send_number(side.producer, (uint64_t)getpid());
    meet("listed");
    close_sender(side);
}

void list_channels_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    uint64_t producer;
    OK(lava_frame_read(frame, 0, &producer, sizeof producer));
    OK(lava_frame_release(frame));
    size_t capacity = 65536, needed;
    char *text = malloc(capacity), number[32];
    OK(lava_context_list_channels(side.context, LONG, text, capacity, &needed, &detail));
    snprintf(number, sizeof number, "%llu", (unsigned long long)producer);
    CHECK(text[0] == '[' && strstr(text, channel) != NULL && strstr(text, number) != NULL);
    free(text);
    meet("listed");
    receive_end(side.consumer);
    close_receiver(side);
}

void scope_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    lava_location location = LAVA_LOCATION_INIT;
    OK(lava_location_current(side.context, &location, &detail));
    CHECK(location.process == (uint32_t)getpid() && location.context != 0 && location.host[0] != 0);
    char text[LAVA_LOCATION_TEXT_SIZE];
    size_t needed;
    OK(lava_location_format(&location, text, sizeof text, &needed, &detail));
    CHECK(needed == strlen(text) + 1);
    OK(lava_producer_send_bytes(side.producer, text, needed, LONG));
    meet("detected");
    close_sender(side);
}

void scope_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    lava_frame *frame = receive(side.consumer);
    lava_location own = LAVA_LOCATION_INIT, peer = LAVA_LOCATION_INIT;
    OK(lava_location_parse(lava_frame_data(frame), &peer, &detail));
    OK(lava_frame_release(frame));
    OK(lava_location_current(side.context, &own, &detail));
    CHECK(own.process != peer.process && memcmp(own.boot_id, peer.boot_id, sizeof own.boot_id) == 0);
    lava_scope_report report = LAVA_SCOPE_REPORT_INIT;
    OK(lava_scope_detect(side.context, &own, &peer, &report, &detail));
    CHECK(report.scope == LAVA_SCOPE_LOCAL && report.decided_by == LAVA_EVIDENCE_RENDEZVOUS);
    CHECK((report.agrees & LAVA_EVIDENCE_BOOT_ID) != 0 && report.text[0] != 0);
    OK(lava_scope_detect(side.context, &own, &own, &report, &detail));
    CHECK(report.scope == LAVA_SCOPE_LOCAL && report.decided_by == LAVA_EVIDENCE_PROCESS);
    meet("detected");
    receive_end(side.consumer);
    close_receiver(side);
}
