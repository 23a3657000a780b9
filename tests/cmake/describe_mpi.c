/* Prints what lava knows of MPI, without starting it. */
#include <lava.h>
#include <stdio.h>

int main(void) {
    lava_error error = LAVA_ERROR_INIT;
    lava_context *context = NULL;
    char text[4096];
    size_t needed = 0;
    lava_status status = lava_context_create(NULL, &context, &error);
    if (status == LAVA_OK) status = lava_context_describe_mpi(context, text, sizeof text, &needed, &error);
    lava_context_destroy(context);
    puts(status == LAVA_OK ? text : error.message);
    return status != LAVA_OK;
}
