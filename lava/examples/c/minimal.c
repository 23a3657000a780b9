#include <lava.h>
#include <stdio.h>
#include <string.h>

static lava_status send_frames(lava_context *context, lava_error *error) {
    lava_producer *producer;
    lava_frame *frame;
    lava_status status = lava_producer_create(context, "numbers", NULL, &producer, error);
    for (int number = 0; number < 3 && status == LAVA_OK; number++) {
        status = lava_producer_loan(producer, 4000, LAVA_FOREVER, &frame);
        if (status != LAVA_OK) break;
        memset(lava_frame_data_mut(frame), number, 4000); /* in memory that the receivers map */
        status = lava_producer_send(producer, frame, LAVA_FOREVER); /* waits until a receiver is there */
    }
    lava_producer_destroy(producer);
    return status;
}

static lava_status receive_frames(lava_context *context, lava_error *error) {
    lava_consumer *consumer;
    lava_frame *frame;
    lava_status status = lava_consumer_create(context, "numbers", NULL, &consumer, error);
    while (status == LAVA_OK && (status = lava_consumer_receive(consumer, LAVA_FOREVER, &frame)) == LAVA_OK) {
        const unsigned char *bytes = lava_frame_data(frame); /* the very same memory */
        printf("%u bytes of %d\n", (unsigned)lava_frame_size(frame), bytes[0]);
        lava_frame_release(frame);
    }
    lava_consumer_destroy(consumer);
    return status == LAVA_CLOSED ? LAVA_OK : status;
}

int main(int argc, char **argv) {
    lava_error error = LAVA_ERROR_INIT;
    lava_context *context;
    lava_status status = lava_context_create(NULL, &context, &error);
    if (status == LAVA_OK)
        status = argc > 1 && strcmp(argv[1], "send") == 0 ? send_frames(context, &error) : receive_frames(context, &error);
    lava_context_destroy(context);
    if (status != LAVA_OK) fprintf(stderr, "%s: %s\n", lava_status_name(status), error.message);
    return status != LAVA_OK;
}
