/* A stand-in for NVIDIA's libcuda.so.1: it has the functions that lava uses, checks their arguments against the layouts
 * of cuda.h (which are written here again, in C, on purpose), and writes down what was called. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>

enum { INVALID_VALUE = 1, INVALID_CONTEXT = 201, INVALID_HANDLE = 400 };

typedef struct {
    int type;
    union {
        int fd;
        struct {
            void *handle;
            const void *name;
        } win32;
        const void *object;
    } handle;
    unsigned long long size;
    unsigned int flags;
    unsigned int reserved[16];
} memory_desc;

typedef struct {
    unsigned long long offset;
    unsigned long long size;
    unsigned int flags;
    unsigned int reserved[16];
} buffer_desc;

typedef struct {
    int type;
    union {
        int fd;
        struct {
            void *handle;
            const void *name;
        } win32;
        const void *object;
    } handle;
    unsigned int flags;
    unsigned int reserved[16];
} semaphore_desc;

typedef struct {
    struct {
        struct {
            unsigned long long value;
        } fence;
        union {
            void *fence;
            unsigned long long reserved;
        } sync;
        struct {
            unsigned long long key;
            unsigned int timeout;
        } mutex;
        unsigned int reserved[10];
    } params;
    unsigned int flags;
    unsigned int reserved[16];
} wait_params;

typedef struct {
    struct {
        struct {
            unsigned long long value;
        } fence;
        union {
            void *fence;
            unsigned long long reserved;
        } sync;
        struct {
            unsigned long long key;
        } mutex;
        unsigned int reserved[12];
    } params;
    unsigned int flags;
    unsigned int reserved[16];
} signal_params;

#define DEVICES 8
static char calls[1 << 16];
static size_t calls_length;
static int version = 12090, count = 2, fails_with, closes_refused;
static char fails_in[64];
static int retained[DEVICES];
static int live;
static __thread uintptr_t stack[8];
static __thread int depth;

const char *fake_calls(void) { return calls; }
int fake_live(void) { return live; }
int fake_depth(void) { return depth; }
int fake_retained(int device) { return retained[device]; }
void fake_version(int value) { version = value; }
void fake_devices(int value) { count = value; }
void fake_closes_refused(void) { closes_refused = 1; }
void fake_fail(const char *function, int code) {
    snprintf(fails_in, sizeof fails_in, "%s", function);
    fails_with = code;
}

static int called(const char *function, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    calls_length += snprintf(calls + calls_length, sizeof calls - calls_length, "%s", function);
    calls_length += vsnprintf(calls + calls_length, sizeof calls - calls_length, format, arguments);
    calls_length += snprintf(calls + calls_length, sizeof calls - calls_length, "\n");
    va_end(arguments);
    return fails_with && strcmp(fails_in, function) == 0 ? fails_with : 0;
}

static int all_zero(const void *start, size_t size) {
    const unsigned char *bytes = start;
    for (size_t i = 0; i < size; i++)
        if (bytes[i]) return 0;
    return 1;
}

static int no_context(void) { return depth == 0 ? INVALID_CONTEXT : 0; }

int cuInit(unsigned int flags) { return called("cuInit", " %u", flags); }
int cuDriverGetVersion(int *out) {
    *out = version;
    return 0;
}
int cuGetErrorName(int code, const char **out) {
    *out = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 100 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_OF_THE_FAKE";
    return code == 12345 ? INVALID_VALUE : 0;
}
int cuGetErrorString(int code, const char **out) {
    *out = code == 2 ? "out of memory" : "the text";
    return code == 12345 ? INVALID_VALUE : 0;
}
int cuDeviceGetCount(int *out) {
    *out = count;
    return called("cuDeviceGetCount", "");
}
int cuDeviceGet(int *out, int ordinal) {
    *out = 100 + ordinal;
    return ordinal < 0 || ordinal >= count;
}
int cuDeviceGetUuid(char *out, int device) {
    memset(out, 0xa0 + device - 100, 16);
    return 0;
}
int cuDevicePrimaryCtxRetain(void **out, int device) {
    *out = (void *)(uintptr_t)(0x1000 + device);
    int code = called("cuDevicePrimaryCtxRetain", " %d", device);
    if (!code) retained[device - 100]++;
    return code;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
    retained[device - 100]--;
    return called("cuDevicePrimaryCtxRelease", " %d", device);
}
int cuCtxPushCurrent_v2(void *context) {
    int code = called("push", " %p", context);
    if (!code) stack[depth++] = (uintptr_t)context;
    return code;
}
int cuCtxPopCurrent_v2(void **out) {
    if (no_context()) return INVALID_CONTEXT;
    *out = (void *)stack[--depth];
    return called("pop", " %p", *out);
}

/* The driver owns a descriptor that it accepts. */
static int take(int fd, int code) {
    if (fcntl(fd, F_GETFD) < 0) return INVALID_HANDLE;
    if (!code || closes_refused) close(fd);
    return code;
}

int cuImportExternalMemory(void **out, const memory_desc *desc) {
    if (no_context()) return INVALID_CONTEXT;
    int clean = all_zero(desc->reserved, sizeof desc->reserved);
    int code = called("cuImportExternalMemory", " type=%d size=%llu flags=%u clean=%d", desc->type, desc->size,
                      desc->flags, clean);
    code = take(desc->handle.fd, code);
    if (!code) {
        live++;
        *out = (void *)0x2000;
    }
    return code;
}
int cuExternalMemoryGetMappedBuffer(uint64_t *out, void *memory, const buffer_desc *desc) {
    if (no_context()) return INVALID_CONTEXT;
    int clean = all_zero(desc->reserved, sizeof desc->reserved);
    *out = 0x700000000000;
    int code = called("cuExternalMemoryGetMappedBuffer", " %p offset=%llu size=%llu flags=%u clean=%d", memory,
                      desc->offset, desc->size, desc->flags, clean);
    if (!code) live++;
    return code;
}
int cuMemFree_v2(uint64_t pointer) {
    if (no_context()) return INVALID_CONTEXT;
    live--;
    return called("cuMemFree", " %#llx", (unsigned long long)pointer);
}
int cuDestroyExternalMemory(void *memory) {
    if (no_context()) return INVALID_CONTEXT;
    live--;
    return called("cuDestroyExternalMemory", " %p", memory);
}
#ifndef OLD
int cuImportExternalSemaphore(void **out, const semaphore_desc *desc) {
    if (no_context()) return INVALID_CONTEXT;
    int clean = all_zero(desc->reserved, sizeof desc->reserved);
    int code = called("cuImportExternalSemaphore", " type=%d flags=%u clean=%d", desc->type, desc->flags, clean);
    code = take(desc->handle.fd, code);
    if (!code) {
        live++;
        *out = (void *)0x3000;
    }
    return code;
}
#endif
int cuWaitExternalSemaphoresAsync(void *const *semaphores, const wait_params *params, unsigned int n, void *stream) {
    if (no_context()) return INVALID_CONTEXT;
    int clean = all_zero((const char *)params + 8, offsetof(wait_params, reserved) + sizeof params->reserved - 8);
    return called("wait", " %p value=%llu n=%u stream=%p clean=%d", semaphores[0], params->params.fence.value, n,
                  stream, clean);
}
int cuSignalExternalSemaphoresAsync(void *const *semaphores, const signal_params *params, unsigned int n,
                                    void *stream) {
    if (no_context()) return INVALID_CONTEXT;
    int clean = all_zero((const char *)params + 8, offsetof(signal_params, reserved) + sizeof params->reserved - 8);
    return called("signal", " %p value=%llu n=%u stream=%p clean=%d", semaphores[0], params->params.fence.value, n,
                  stream, clean);
}
int cuDestroyExternalSemaphore(void *semaphore) {
    if (no_context()) return INVALID_CONTEXT;
    live--;
    return called("cuDestroyExternalSemaphore", " %p", semaphore);
}
int cuMemHostRegister_v2(void *start, size_t size, unsigned int flags) {
    if (no_context()) return INVALID_CONTEXT;
    (void)start;
    int code = called("cuMemHostRegister", " size=%zu flags=%u", size, flags);
    if (!code) live++;
    return code;
}
int cuMemHostGetDevicePointer_v2(uint64_t *out, void *start, unsigned int flags) {
    if (no_context()) return INVALID_CONTEXT;
    *out = (uintptr_t)start;
    return called("cuMemHostGetDevicePointer", " flags=%u", flags);
}
int cuMemHostUnregister(void *start) {
    if (no_context()) return INVALID_CONTEXT;
    (void)start;
    live--;
    return called("cuMemHostUnregister", "");
}
