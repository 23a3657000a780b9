/* OpenCL imports, by opencl.c, a buffer that lava made. What one writes the other reads. */
#include "opencl.c"
#include "program.h"

typedef cl_int (*turn_function)(cl_command_queue, cl_uint, const cl_mem *, cl_uint, const cl_event *, cl_event *);

static void cl_ok(cl_int result, const char *what) {
    if (result == CL_SUCCESS) return;
    fprintf(stderr, "%s: OpenCL error %d\n", what, (int)result);
    exit(1);
}

static cl_platform_id platform;

/* The device that has the handle's memory. */
static cl_device_id find_device(const lava_buffer_handle *handle) {
    cl_platform_id platforms[8];
    cl_uint count = 0;
    if (clGetPlatformIDs(8, platforms, &count) != CL_SUCCESS) return NULL;
    for (cl_uint at = 0; at < count && at < 8; at++) {
        cl_device_id devices[16];
        cl_uint found = 0;
        if (clGetDeviceIDs(platforms[at], CL_DEVICE_TYPE_ALL, 16, devices, &found) != CL_SUCCESS) continue;
        for (cl_uint one = 0; one < found && one < 16; one++) {
            char extensions[8192] = "", name[256] = "";
            clGetDeviceInfo(devices[one], CL_DEVICE_EXTENSIONS, sizeof extensions - 1, extensions, NULL);
            clGetDeviceInfo(devices[one], CL_DEVICE_NAME, sizeof name - 1, name, NULL);
            int imports = strstr(extensions, "cl_khr_external_memory_opaque_fd") != NULL;
            int same = is_device_of(devices[one], handle);
            fprintf(stderr, "%s: %s lava's device, %s opaque descriptors\n", name, same ? "is" : "is not",
                    imports ? "imports" : "does not import");
            if (imports && same) {
                platform = platforms[at];
                return devices[one];
            }
        }
    }
    return NULL;
}

int main(void) {
    lava_buffer_handle handle = LAVA_BUFFER_HANDLE_INIT;
    make_buffer(&handle);
    cl_device_id device = find_device(&handle);
    if (device == NULL) skip("no OpenCL with cl_khr_external_memory_opaque_fd on lava's device");
    cl_int result;
    cl_context opened = clCreateContext(NULL, 1, &device, NULL, NULL, &result);
    cl_ok(result, "clCreateContext");
    cl_command_queue queue = clCreateCommandQueueWithProperties(opened, device, NULL, &result);
    cl_ok(result, "clCreateCommandQueueWithProperties");
    turn_function acquire, release;
    *(void **)&acquire = clGetExtensionFunctionAddressForPlatform(platform, "clEnqueueAcquireExternalMemObjectsKHR");
    *(void **)&release = clGetExtensionFunctionAddressForPlatform(platform, "clEnqueueReleaseExternalMemObjectsKHR");
    cl_mem imported = import_buffer(opened, &handle, &result);
    cl_ok(result, "import_buffer");

    cl_ok(acquire(queue, 1, &imported, 0, NULL, NULL), "acquire");
    cl_ok(clEnqueueReadBuffer(queue, imported, CL_TRUE, handle.offset, SIZE, content, 0, NULL, NULL), "read");
    int wrong = differ(content, 1, "OpenCL");
    fill(content, 2);
    cl_ok(clEnqueueWriteBuffer(queue, imported, CL_TRUE, handle.offset, SIZE, content, 0, NULL, NULL), "write");
    cl_ok(release(queue, 1, &imported, 0, NULL, NULL), "release");
    cl_ok(clFinish(queue), "clFinish");
    memset(content, 0, SIZE);
    wrong |= check_and_destroy();
    clReleaseMemObject(imported);
    clReleaseCommandQueue(queue);
    clReleaseContext(opened);
    return wrong != 0;
}
