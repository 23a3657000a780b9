/* lava's side of the programs that try doc/spec/interop.md: a buffer of device memory, what goes into it and what is
 * expected to come out. They end with 77 where there is no such device. */
#pragma once
#include <lava.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (1 << 20)
#define SKIPPED 77

static lava_error error = LAVA_ERROR_INIT;
static lava_context *owner;
static lava_buffer *exported;
static unsigned char content[SIZE];

static void lava_ok(lava_status status, const char *what) {
    if (status == LAVA_OK) return;
    fprintf(stderr, "%s: %s (%s)\n", what, error.message, lava_status_name(status));
    exit(status == LAVA_ERROR_REQUIREMENT || status == LAVA_ERROR_UNSUPPORTED || status == LAVA_ERROR_DEVICE ? SKIPPED
                                                                                                              : 1);
}

static inline void skip(const char *why) {
    fprintf(stderr, "%s\n", why);
    exit(SKIPPED);
}

/* Different in nearly every byte for another seed. */
static unsigned char pattern(size_t at, unsigned seed) {
    return (unsigned char)(((unsigned)at * 2654435761u ^ seed * 2246822519u) >> 13);
}

static void fill(unsigned char *into, unsigned seed) {
    for (size_t at = 0; at < SIZE; at++) into[at] = pattern(at, seed);
}

/* How many bytes are not those of `fill`. */
static int differ(const unsigned char *found, unsigned seed, const char *where) {
    int wrong = 0;
    for (size_t at = 0; at < SIZE; at++) wrong += found[at] != pattern(at, seed);
    printf("%d of %d bytes differ in %s\n", wrong, SIZE, where);
    return wrong;
}

/* A buffer with the bytes of seed 1, and its handle. */
static void make_buffer(lava_buffer_handle *handle) {
    lava_context_options options = LAVA_CONTEXT_OPTIONS_INIT;
    options.vulkan_devices = LAVA_VULKAN_ALL;
    lava_ok(lava_context_create(&options, &owner, &error), "context");
    lava_buffer_options wanted = LAVA_BUFFER_OPTIONS_INIT;
    wanted.memory = LAVA_MEMORY_DEVICE;
    wanted.size = SIZE;
    wanted.flags = LAVA_BUFFER_SHAREABLE | LAVA_BUFFER_WRITABLE_BY_IMPORTERS | LAVA_BUFFER_REQUIRE;
    lava_ok(lava_buffer_allocate(owner, &wanted, &exported, &error), "device buffer");
    fill(content, 1);
    lava_ok(lava_buffer_write(exported, 0, content, SIZE, &error), "write");
    lava_ok(lava_buffer_export(exported, handle, &error), "export");
    memset(content, 0, SIZE);
}

/* The other side has written the bytes of seed 2. */
static int check_and_destroy(void) {
    lava_ok(lava_buffer_read(exported, 0, content, SIZE, &error), "read");
    int wrong = differ(content, 2, "lava");
    lava_buffer_destroy(exported);
    lava_context_destroy(owner);
    return wrong;
}
