/* Three ranks that take each other for remote, as `LAVA_SCOPE=remote mpirun -n 3 flood`. Rank 0 sends, rank 1 calls nothing
 * that receives, rank 2 takes everything.
 *
 * Frames reach rank 1 without its help. Then a million go by a full queue that nobody reads, and the memory of no rank
 * grows. */
#define _POSIX_C_SOURCE 200809L
#include <lava.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MINUTE 60000000000ull
#define SIZE 65536
#define QUEUE 16
#define FLOOD 1000000
/* Far below the 64 MB that the descriptors of as many frames take, which need no slot as they are small. */
#define GROWTH_KB 16384

static lava_error detail = LAVA_ERROR_INIT;
static int rank;

static void expect(int line, lava_status found, lava_status wanted) {
    if (found == wanted) return;
    fprintf(stderr, "rank %d, line %d: %s: %s\n", rank, line, lava_status_name(found), detail.message);
    exit(1);
}
#define EXPECT(call, wanted) expect(__LINE__, (call), (wanted))
#define OK(call) EXPECT(call, LAVA_OK)
#define CHECK(condition) \
    do { \
        if (!(condition)) { fprintf(stderr, "rank %d, line %d: not true: %s\n", rank, __LINE__, #condition); exit(1); } \
    } while (0)

/* Memory that the process has, in KiB. */
static long resident(void) {
    char line[256];
    long size = -1;
    FILE *status = fopen("/proc/self/status", "r");
    CHECK(status != NULL);
    while (fgets(line, sizeof line, status) != NULL) sscanf(line, "VmRSS: %ld kB", &size);
    fclose(status);
    CHECK(size > 0);
    return size;
}

static void check_growth(long before) {
    const long after = resident();
    fprintf(stderr, "rank %d: %ld KiB before, %ld KiB after\n", rank, before, after);
    CHECK(after - before < GROWTH_KB);
}

static lava_consumer *consume(const lava_context *context, const char *name) {
    lava_consumer_options options = LAVA_CONSUMER_OPTIONS_INIT;
    lava_consumer *consumer;
    options.timeout_ns = MINUTE;
    OK(lava_consumer_create(context, name, &options, &consumer, &detail));
    return consumer;
}

static lava_producer *produce(const lava_context *context, const char *name, uint32_t policy, uint32_t consumers) {
    lava_producer_options options = LAVA_PRODUCER_OPTIONS_INIT;
    lava_producer *producer;
    options.policy = policy;
    options.max_frame_size = SIZE;
    options.capacity = QUEUE;
    options.queue_length = QUEUE;
    OK(lava_producer_create(context, name, &options, &producer, &detail));
    OK(lava_producer_wait_consumers(producer, consumers, MINUTE, &detail));
    return producer;
}

/* A word through a channel of its own: whoever waits for it receives nothing else. */
static void wait_word(const lava_context *context, const char *name) {
    lava_consumer *consumer = consume(context, name);
    lava_frame *frame;
    OK(lava_consumer_receive(consumer, MINUTE, &frame));
    OK(lava_frame_release(frame));
    lava_consumer_destroy(consumer);
}

static void say_word(const lava_context *context, const char *name) {
    lava_producer *producer = produce(context, name, LAVA_POLICY_BLOCK, 1);
    OK(lava_producer_send_bytes(producer, "go", 2, MINUTE));
    OK(lava_producer_wait_released(producer, NULL, MINUTE, &detail));
    lava_producer_destroy(producer);
}

static void send_all(const lava_context *context) {
    static unsigned char bytes[SIZE];
    lava_producer *producer = produce(context, "flood", LAVA_POLICY_DROP_NEWEST, 2);
    for (int number = 0; number < QUEUE; number++) {
        /* Not by dropping: as long as slots are free, nobody has to read for a frame to be taken. */
        OK(lava_producer_send_bytes(producer, bytes, SIZE, MINUTE));
    }
    wait_word(context, "flood.full");
    const long before = resident();
    for (int number = 0; number < FLOOD; number++) OK(lava_producer_send_bytes(producer, bytes, 32, LAVA_NO_WAIT));
    check_growth(before);
    say_word(context, "flood.over");
    lava_producer_destroy(producer);
}

/* Never receives while it floods. */
static void stand_still(const lava_context *context) {
    lava_consumer *consumer = consume(context, "flood");
    lava_connection_info info = LAVA_CONNECTION_INFO_INIT;
    const struct timespec pause = { 0, 10000000 };
    time_t start = time(NULL);
    do {
        nanosleep(&pause, NULL);
        OK(lava_consumer_get_connection(consumer, &info, NULL, &detail));
        CHECK(time(NULL) - start < 60);
    } while (info.queued < QUEUE);
    const long before = resident();
    say_word(context, "flood.full");
    wait_word(context, "flood.over");
    check_growth(before);
    lava_frame *frame;
    for (uint64_t number = 0; number < QUEUE; number++) {
        lava_frame_info found = LAVA_FRAME_INFO_INIT;
        OK(lava_consumer_receive(consumer, MINUTE, &frame));
        OK(lava_frame_get_info(frame, &found));
        CHECK(found.sequence == number && found.size == SIZE);
        OK(lava_frame_release(frame));
    }
    lava_consumer_destroy(consumer);
}

static void take_all(const lava_context *context) {
    lava_consumer *consumer = consume(context, "flood");
    lava_frame *frame;
    lava_status status;
    long count = 0, before = 0;
    while ((status = lava_consumer_receive(consumer, MINUTE, &frame)) == LAVA_OK) {
        OK(lava_frame_release(frame));
        if (++count == QUEUE) before = resident();
    }
    EXPECT(status, LAVA_CLOSED);
    CHECK(count >= QUEUE);
    check_growth(before);
    lava_consumer_destroy(consumer);
}

int main(void) {
    lava_context *context;
    lava_location here = LAVA_LOCATION_INIT;
    uint32_t ranks;
    OK(lava_context_create(NULL, &context, &detail));
    OK(lava_context_get_peer_count(context, MINUTE, &ranks, &detail));
    OK(lava_location_current(context, &here, &detail));
    rank = here.rank;
    CHECK(ranks == 3);
    if (rank == 0) send_all(context);
    else if (rank == 1) stand_still(context);
    else take_all(context);
    lava_context_destroy(context);
    return 0;
}
