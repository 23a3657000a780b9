/* Sends a frame to itself. Also compiled as C++. */
#include <lava.h>
#include <stdio.h>
#include <string.h>

static const char TEXT[] = "a frame that is too long to ride in its descriptor, so it lies in the pool";

static lava_status round_trip(const lava_context *context, const char *name, lava_error *error) {
    lava_producer *producer = NULL;
    lava_consumer *consumer = NULL;
    lava_frame *frame = NULL;
    lava_status status = lava_producer_create(context, name, NULL, &producer, error);
    if (status == LAVA_OK) status = lava_consumer_create(context, name, NULL, &consumer, error);
    if (status == LAVA_OK) status = lava_producer_send_bytes(producer, TEXT, sizeof TEXT, LAVA_FOREVER);
    if (status == LAVA_OK) status = lava_consumer_receive(consumer, LAVA_FOREVER, &frame);
    if (status == LAVA_OK) {
        int same = lava_frame_size(frame) == sizeof TEXT && memcmp(lava_frame_data(frame), TEXT, sizeof TEXT) == 0;
        lava_frame_release(frame);
        if (!same) status = LAVA_ERROR_INTERNAL;
    }
    lava_consumer_destroy(consumer);
    lava_producer_destroy(producer);
    return status;
}

int main(int argc, char **argv) {
    lava_error error = LAVA_ERROR_INIT;
    lava_context *context = NULL;
    lava_status status = lava_context_create(NULL, &context, &error);
    if (status == LAVA_OK) status = round_trip(context, argc > 1 ? argv[1] : "round-trip", &error);
    lava_context_destroy(context);
    if (lava_abi_version() != LAVA_ABI_VERSION) return 2;
    printf("%s %s\n", lava_status_name(status), error.message);
    return status != LAVA_OK;
}
