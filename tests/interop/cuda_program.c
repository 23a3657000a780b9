/* CUDA imports, by cuda.c, a buffer that lava made. What one writes the other reads. */
#include "cuda.c"
#include "program.h"

static void cuda_ok(CUresult result, const char *what) {
    if (result == CUDA_SUCCESS) return;
    fprintf(stderr, "%s: CUDA error %d\n", what, (int)result);
    exit(1);
}

int main(void) {
    lava_buffer_handle handle = LAVA_BUFFER_HANDLE_INIT;
    make_buffer(&handle);
    CUdevice device;
    CUcontext opened;
    if (cuInit(0) != CUDA_SUCCESS || device_of(&handle, &device) != CUDA_SUCCESS) skip("CUDA has not lava's device");
    cuda_ok(cuDevicePrimaryCtxRetain(&opened, device), "cuDevicePrimaryCtxRetain");
    cuda_ok(cuCtxSetCurrent(opened), "cuCtxSetCurrent");
    CUexternalMemory memory;
    CUdeviceptr payload;
    cuda_ok(import_buffer(&handle, &memory, &payload), "import_buffer");

    cuda_ok(cuMemcpyDtoH(content, payload, SIZE), "cuMemcpyDtoH");
    int wrong = differ(content, 1, "CUDA");
    fill(content, 2);
    cuda_ok(cuMemcpyHtoD(payload, content, SIZE), "cuMemcpyHtoD");
    cuda_ok(cuCtxSynchronize(), "cuCtxSynchronize");
    memset(content, 0, SIZE);
    wrong |= check_and_destroy();
    cuda_ok(cuMemFree(payload - handle.offset), "cuMemFree");
    cuda_ok(cuDestroyExternalMemory(memory), "cuDestroyExternalMemory");
    cuda_ok(cuDevicePrimaryCtxRelease(device), "cuDevicePrimaryCtxRelease");
    return wrong != 0;
}
