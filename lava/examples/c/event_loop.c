/* Receives from two channels and a timer in one thread, by epoll. The producers are a thread of this process. */
#define _GNU_SOURCE
#include <lava.h>

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define CHANNELS 2
#define FRAMES 10

typedef struct {
    char name[32];
    lava_producer *producer;
    lava_consumer *consumer;
} channel;

static void *write_all(void *argument) {
    channel *channels = argument;
    lava_status status = LAVA_OK;
    for (unsigned char number = 0; number < FRAMES; number++)
        for (int at = 0; at < CHANNELS && status == LAVA_OK; at++)
            status = lava_producer_send_bytes(channels[at].producer, &number, 1, LAVA_FOREVER);
    for (int at = 0; at < CHANNELS; at++) lava_producer_destroy(channels[at].producer);
    return status == LAVA_OK ? NULL : argument;
}

static lava_status open_channel(const lava_context *context, channel *one, int epoll, lava_error *error) {
    struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = one } };
    int32_t fd;
    lava_status status = lava_producer_create(context, one->name, NULL, &one->producer, error);
    if (status == LAVA_OK) status = lava_consumer_create(context, one->name, NULL, &one->consumer, error);
    if (status == LAVA_OK) status = lava_consumer_get_event_fd(one->consumer, &fd, error);
    if (status == LAVA_OK && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) status = LAVA_ERROR_OS;
    return status;
}

/* Takes all that is there, which arms the descriptor again. */
static lava_status drain(channel *one) {
    lava_frame *frame;
    lava_status status;
    while ((status = lava_consumer_receive(one->consumer, LAVA_NO_WAIT, &frame)) == LAVA_OK) {
        printf("%s: %d\n", one->name, *(const unsigned char *)lava_frame_data(frame));
        lava_frame_release(frame);
    }
    return status;
}

/* Until both channels have ended. */
static lava_status loop(int epoll, int timer) {
    int open = CHANNELS;
    while (open > 0) {
        struct epoll_event events[4];
        const int count = epoll_wait(epoll, events, 4, -1);
        for (int at = 0; at < count; at++) {
            channel *one = events[at].data.ptr;
            uint64_t ticks;
            if (one == NULL) {
                if (read(timer, &ticks, sizeof ticks) == sizeof ticks) puts("the timer");
                continue;
            }
            const lava_status status = drain(one);
            if (status < 0) return status;
            if (status == LAVA_CLOSED) {
                lava_consumer_destroy(one->consumer); /* its descriptor goes out of the epoll with it */
                one->consumer = NULL;
                open--;
            }
        }
    }
    return LAVA_OK;
}

int main(void) {
    static channel channels[CHANNELS];
    lava_error error = LAVA_ERROR_INIT;
    lava_context *context;
    const int epoll = epoll_create1(EPOLL_CLOEXEC), timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct epoll_event tick = { .events = EPOLLIN, .data = { .ptr = NULL } };
    const struct itimerspec soon = { { 0, 0 }, { 0, 1000000 } };
    if (epoll < 0 || timerfd_settime(timer, 0, &soon, NULL) != 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &tick) != 0) return 1;
    lava_status status = lava_context_create(NULL, &context, &error);
    for (int at = 0; at < CHANNELS && status == LAVA_OK; at++) {
        snprintf(channels[at].name, sizeof channels[at].name, "%s-%d", at == 0 ? "left" : "right", (int)getpid());
        status = open_channel(context, &channels[at], epoll, &error);
    }
    pthread_t writer;
    if (status == LAVA_OK && pthread_create(&writer, NULL, write_all, channels) == 0) {
        status = loop(epoll, timer);
        void *failed;
        pthread_join(writer, &failed);
        if (failed != NULL) status = LAVA_ERROR_OS;
    }
    for (int at = 0; at < CHANNELS; at++) lava_consumer_destroy(channels[at].consumer);
    lava_context_destroy(context);
    close(timer);
    close(epoll);
    if (status != LAVA_OK) fprintf(stderr, "%s: %s\n", lava_status_name(status), error.message);
    return status != LAVA_OK;
}
