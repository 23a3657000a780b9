/* Names, who may connect to whom, several of everything. */
#include "conformance.h"

void consumer_first_producer(const char *channel) {
    meet("timed out");
    sender side = open_sender(channel, NULL, 1);
    send_number(side.producer, 0);
    close_sender(side);
}

void consumer_first_consumer(const char *channel) {
    lava_context *context = new_context();
    lava_consumer_options options = LAVA_CONSUMER_OPTIONS_INIT;
    options.timeout_ns = SHORT;
    lava_consumer *consumer;
    uint64_t start = now();
    EXPECT(lava_consumer_create(context, channel, &options, &consumer, &detail), LAVA_TIMED_OUT);
    CHECK(now() - start >= SHORT && consumer == NULL);
    CHECK(strstr(detail.message, channel) != NULL);
    meet("timed out");
    /* Whichever of the two comes first now, they find each other. */
    consumer = new_consumer(context, channel);
    receive_number(consumer, 0, 0);
    receive_end(consumer);
    lava_consumer_destroy(consumer);
    lava_context_destroy(context);
}

void consumers_max_producer(const char *channel) {
    sender side = open_sender(channel, NULL, LAVA_CONSUMERS_MAX);
    CHECK(lava_producer_connection_count(side.producer) == LAVA_CONSUMERS_MAX);
    for (uint64_t number = 0; number < 3; number++) send_pattern(side.producer, number, 100);
    meet("sent");
    meet("one left");
    close_sender(side);
}

void consumers_max_consumer(const char *channel) {
    lava_context *context = new_context();
    lava_consumer *consumers[LAVA_CONSUMERS_MAX], *extra;
    for (uint32_t at = 0; at < LAVA_CONSUMERS_MAX; at++) consumers[at] = new_consumer(context, channel);
    EXPECT(lava_consumer_create(context, channel, NULL, &extra, &detail), LAVA_ERROR_REFUSED);
    CHECK(extra == NULL && detail.message[0] != 0);
    meet("sent");
    for (uint32_t at = 0; at < LAVA_CONSUMERS_MAX; at++)
        for (uint64_t number = 0; number < 3; number++) receive_pattern(consumers[at], number, 100);
    lava_consumer_destroy(consumers[0]);
    /* The producer learns of it in its own time. */
    lava_status status = LAVA_ERROR_REFUSED;
    for (uint64_t start = now(); status == LAVA_ERROR_REFUSED && now() - start < LONG; sleep_ms(1))
        status = lava_consumer_create(context, channel, NULL, &consumers[0], &detail);
    OK(status);
    meet("one left");
    for (uint32_t at = 0; at < LAVA_CONSUMERS_MAX; at++) {
        receive_end(consumers[at]);
        lava_consumer_destroy(consumers[at]);
    }
    lava_context_destroy(context);
}

#define LONGEST "n234567890123456789012345678901234567890123456789012345678901234"
static const char *const WRONG[] = {
    "", "/a", "a/", "a//b", "-a", ".a", "_a", "a b", "a:b", "a\n", "a\\b", "\xc3\xa4", LONGEST "5",
};

void name_rules_producer(const char *channel) {
    lava_context *context = new_context();
    for (size_t at = 0; at < sizeof WRONG / sizeof WRONG[0]; at++) {
        lava_producer *producer;
        EXPECT(lava_producer_create(context, WRONG[at], NULL, &producer, &detail), LAVA_ERROR_INVALID_ARGUMENT);
        CHECK(producer == NULL && detail.message[0] != 0);
    }
    lava_producer *longest = new_producer(context, LONGEST, NULL);
    lava_producer_destroy(longest);
    lava_context_destroy(context);
    sender side = open_sender(named(channel, "/0.Part_of-a/Name"), NULL, 1);
    send_number(side.producer, 0);
    close_sender(side);
}

void name_rules_consumer(const char *channel) {
    lava_context *context = new_context();
    for (size_t at = 0; at < sizeof WRONG / sizeof WRONG[0]; at++) {
        lava_consumer *consumer;
        EXPECT(lava_consumer_create(context, WRONG[at], NULL, &consumer, &detail), LAVA_ERROR_INVALID_ARGUMENT);
        CHECK(consumer == NULL && detail.message[0] != 0);
    }
    lava_context_destroy(context);
    receiver side = open_receiver(named(channel, "/0.Part_of-a/Name"));
    receive_number(side.consumer, 0, 0);
    receive_end(side.consumer);
    close_receiver(side);
}

static void create_clashing(const lava_context *context, const char *channel) {
    lava_producer *producer;
    EXPECT(lava_producer_create(context, channel, NULL, &producer, &detail), LAVA_ERROR_ALREADY_EXISTS);
    CHECK(producer == NULL && strstr(detail.message, channel) != NULL);
}

void name_clash_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    create_clashing(side.context, channel);
    lava_context *other = new_context();
    create_clashing(other, channel);
    lava_context_destroy(other);
    meet("clashed");
    send_number(side.producer, 0);
    close_sender(side);
}

void name_clash_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    create_clashing(side.context, channel);
    meet("clashed");
    receive_number(side.consumer, 0, 0);
    receive_end(side.consumer);
    close_receiver(side);
}

void two_contexts_producer(const char *channel) {
    sender first = open_sender(named(channel, ".first"), NULL, 1);
    sender second = open_sender(named(channel, ".second"), NULL, 1);
    for (uint64_t number = 0; number < 50; number++) {
        send_number(first.producer, number);
        send_number(second.producer, 1000 + number);
    }
    close_sender(first);
    meet("first closed");
    send_number(second.producer, 1050);
    close_sender(second);
}

void two_contexts_consumer(const char *channel) {
    receiver first = open_receiver(named(channel, ".first"));
    receiver second = open_receiver(named(channel, ".second"));
    for (uint64_t number = 0; number < 50; number++) receive_number(first.consumer, number, number);
    receive_end(first.consumer);
    close_receiver(first);
    meet("first closed");
    for (uint64_t number = 0; number < 51; number++) receive_number(second.consumer, 1000 + number, number);
    receive_end(second.consumer);
    close_receiver(second);
}

void same_process_producer(const char *channel) {
    sender side = open_sender(channel, NULL, 1);
    lava_consumer *same_context = new_consumer(side.context, channel);
    receiver own_context = open_receiver(channel);
    CHECK(lava_producer_connection_count(side.producer) == 3);
    for (uint64_t number = 0; number < 20; number++) {
        send_pattern(side.producer, number, 1000);
        receive_pattern(same_context, number, 1000);
        receive_pattern(own_context.consumer, number, 1000);
    }
    close_sender(side);
    receive_end(same_context);
    receive_end(own_context.consumer);
    lava_consumer_destroy(same_context);
    close_receiver(own_context);
}

void same_process_consumer(const char *channel) {
    receiver side = open_receiver(channel);
    for (uint64_t number = 0; number < 20; number++) receive_pattern(side.consumer, number, 1000);
    receive_end(side.consumer);
    close_receiver(side);
}

void ping_pong_producer(const char *channel) {
    sender ping = open_sender(named(channel, ".ping"), NULL, 1);
    receiver pong = open_receiver(named(channel, ".pong"));
    for (uint64_t number = 0; number < 1000; number++) {
        send_number(ping.producer, number);
        receive_number(pong.consumer, number * 3, number);
    }
    close_sender(ping);
    receive_end(pong.consumer);
    close_receiver(pong);
}

void ping_pong_consumer(const char *channel) {
    receiver ping = open_receiver(named(channel, ".ping"));
    sender pong = open_sender(named(channel, ".pong"), NULL, 1);
    for (uint64_t number = 0; number < 1000; number++) {
        receive_number(ping.consumer, number, number);
        send_number(pong.producer, number * 3);
    }
    receive_end(ping.consumer);
    close_sender(pong);
    close_receiver(ping);
}
