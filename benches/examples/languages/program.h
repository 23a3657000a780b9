/* What both programs of the comparison do besides calling lava: read orders, take times. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* An order on standard input: `NAME COUNT`. False at its end. */
static inline int next_order(char name[32], uint64_t *count) {
    unsigned long long number;
    if (scanf("%31s %llu", name, &number) != 2) return 0;
    *count = number;
    return 1;
}

static inline uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* The answer: nanoseconds for one of `count`. */
static inline void answer(uint64_t start, uint64_t count) {
    printf("%f\n", (double)(now() - start) / (double)count);
    fflush(stdout);
}

#endif
