/* One producer, many consumers, each a process: `fan_out 4` starts four workers, sends 1000 frames to all of them at once, and
 * tells what each connection did. All workers read the same memory. */
#define _POSIX_C_SOURCE 200809L
#include <lava.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FRAMES 1000
#define SIZE 65536

static int fail(lava_status status, const lava_error *error) {
    fprintf(stderr, "%s: %s\n", lava_status_name(status), error->message);
    return 1;
}

/* Checks that every frame arrives, in order. */
static int work(const char *channel) {
    lava_error error = LAVA_ERROR_INIT;
    lava_context *context;
    lava_consumer *consumer = NULL;
    lava_status status = lava_context_create(NULL, &context, &error);
    if (status == LAVA_OK) status = lava_consumer_create(context, channel, NULL, &consumer, &error);
    lava_frame *frame;
    unsigned count = 0, wrong = 0;
    while (status == LAVA_OK && (status = lava_consumer_receive(consumer, LAVA_FOREVER, &frame)) == LAVA_OK) {
        const unsigned char *bytes = lava_frame_data(frame);
        if (bytes[0] != count % 256 || bytes[SIZE - 1] != count % 256) wrong++;
        count++;
        lava_frame_release(frame);
    }
    lava_consumer_destroy(consumer);
    lava_context_destroy(context);
    if (status != LAVA_CLOSED) return fail(status, &error);
    return count != FRAMES || wrong > 0;
}

static lava_status send_all(lava_producer *producer) {
    lava_status status = LAVA_OK;
    for (unsigned number = 0; number < FRAMES && status == LAVA_OK; number++) {
        lava_frame *frame;
        status = lava_producer_loan(producer, SIZE, LAVA_FOREVER, &frame);
        if (status != LAVA_OK) break;
        memset(lava_frame_data_mut(frame), (int)(number % 256), SIZE);
        status = lava_producer_send(producer, frame, LAVA_FOREVER);
        if (status != LAVA_OK) lava_frame_release(frame);
    }
    return status;
}

static void tell(lava_producer *producer) {
    for (uint32_t at = 0; at < lava_producer_connection_count(producer); at++) {
        lava_connection_info worker = LAVA_CONNECTION_INFO_INIT;
        if (lava_producer_get_connection(producer, at, &worker, NULL, NULL) != LAVA_OK) continue;
        printf("process %u: %llu frames, %u copies\n", worker.peer_process, (unsigned long long)worker.frames, worker.copies);
    }
}

static int produce(const char *channel, uint32_t workers) {
    lava_error error = LAVA_ERROR_INIT;
    lava_context *context;
    lava_producer *producer = NULL;
    lava_status status = lava_context_create(NULL, &context, &error);
    if (status == LAVA_OK) status = lava_producer_create(context, channel, NULL, &producer, &error);
    if (status == LAVA_OK) status = lava_producer_wait_consumers(producer, workers, 20 * 1000000000ull, &error);
    if (status == LAVA_OK) status = send_all(producer);
    if (status == LAVA_OK) tell(producer);
    lava_producer_destroy(producer);
    lava_context_destroy(context);
    return status == LAVA_OK ? 0 : fail(status, &error);
}

int main(int argc, char **argv) {
    const int workers = argc > 1 ? atoi(argv[1]) : 3;
    char channel[32];
    snprintf(channel, sizeof channel, "fan_out-%d", (int)getpid());
    if (workers < 1 || workers > LAVA_CONSUMERS_MAX) {
        fprintf(stderr, "%s workers: 1 to %d of them\n", argv[1], LAVA_CONSUMERS_MAX);
        return 2;
    }
    /* Before any context: those of the parent are of no use in a forked child. */
    for (int at = 0; at < workers; at++) {
        const pid_t child = fork();
        if (child < 0) return 1;
        if (child == 0) return work(channel);
    }
    int failed = produce(channel, (uint32_t)workers), status;
    while (wait(&status) > 0) failed |= status != 0;
    puts(failed ? "failed" : "every worker has seen every frame");
    return failed;
}
