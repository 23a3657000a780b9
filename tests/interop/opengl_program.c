/* A context of OpenGL without a window imports, by opengl.c, a buffer that lava made. What one writes the other reads. */
#include "opengl.c"
#include "program.h"

#include <EGL/egl.h>
#include <EGL/eglext.h>

/* The library that programs link has no functions of extensions. */
#define LOAD(type, name, parameters, arguments) \
    type APIENTRY name parameters { \
        static type(APIENTRY *function) parameters; \
        if (!function) function = (type(APIENTRY *) parameters)eglGetProcAddress(#name); \
        function arguments; \
    }
LOAD(void, glGetUnsignedBytevEXT, (GLenum name, GLubyte *data), (name, data))
LOAD(void, glGetUnsignedBytei_vEXT, (GLenum name, GLuint index, GLubyte *data), (name, index, data))
LOAD(void, glCreateMemoryObjectsEXT, (GLsizei count, GLuint *objects), (count, objects))
LOAD(void, glDeleteMemoryObjectsEXT, (GLsizei count, const GLuint *objects), (count, objects))
LOAD(void, glMemoryObjectParameterivEXT, (GLuint object, GLenum name, const GLint *values), (object, name, values))
LOAD(void, glImportMemoryFdEXT, (GLuint memory, GLuint64 size, GLenum kind, GLint fd), (memory, size, kind, fd))
LOAD(void, glNamedBufferStorageMemEXT, (GLuint buffer, GLsizeiptr size, GLuint memory, GLuint64 offset),
     (buffer, size, memory, offset))

static int has_extension(const char *name) {
    GLint count = 0;
    glGetIntegerv(GL_NUM_EXTENSIONS, &count);
    for (GLint at = 0; at < count; at++)
        if (strcmp((const char *)glGetStringi(GL_EXTENSIONS, (GLuint)at), name) == 0) return 1;
    return 0;
}

/* A context on the device that has the handle's memory. */
static int open_device(const lava_buffer_handle *handle) {
    PFNEGLQUERYDEVICESEXTPROC query = (PFNEGLQUERYDEVICESEXTPROC)eglGetProcAddress("eglQueryDevicesEXT");
    PFNEGLGETPLATFORMDISPLAYEXTPROC get =
        (PFNEGLGETPLATFORMDISPLAYEXTPROC)eglGetProcAddress("eglGetPlatformDisplayEXT");
    EGLDeviceEXT devices[16];
    EGLint count = 0;
    if (!query || !get || !query(16, devices, &count)) return 0;
    for (EGLint at = 0; at < count; at++) {
        EGLDisplay display = get(EGL_PLATFORM_DEVICE_EXT, devices[at], NULL);
        if (!eglInitialize(display, NULL, NULL) || !eglBindAPI(EGL_OPENGL_API)) continue;
        const EGLint wanted[] = {EGL_CONTEXT_MAJOR_VERSION, 4, EGL_CONTEXT_MINOR_VERSION, 5, EGL_NONE};
        EGLContext made = eglCreateContext(display, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT, wanted);
        if (made != EGL_NO_CONTEXT && eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, made) &&
            has_extension("GL_EXT_memory_object_fd") && is_device_of(handle)) {
            printf("%s\n", (const char *)glGetString(GL_RENDERER));
            return 1;
        }
    }
    return 0;
}

int main(void) {
    lava_buffer_handle handle = LAVA_BUFFER_HANDLE_INIT;
    make_buffer(&handle);
    if (!open_device(&handle)) skip("no OpenGL 4.5 with GL_EXT_memory_object_fd on lava's device");
    GLuint memory = 0, imported = import_buffer(&handle, &memory);
    /* Mesa's llvmpipe claims the extension. */
    if (glGetError() != GL_NO_ERROR) skip("OpenGL refuses lava's memory");
    glGetNamedBufferSubData(imported, 0, SIZE, content);
    int wrong = differ(content, 1, "OpenGL");

    fill(content, 2);
    GLuint own;
    glCreateBuffers(1, &own);
    glNamedBufferStorage(own, SIZE, content, 0);
    glCopyNamedBufferSubData(own, imported, 0, 0, SIZE);
    glFinish();
    glDeleteBuffers(1, &own);
    if (glGetError() != GL_NO_ERROR) wrong = 1, fprintf(stderr, "OpenGL has an error\n");
    memset(content, 0, SIZE);
    wrong |= check_and_destroy();
    glDeleteBuffers(1, &imported);
    glDeleteMemoryObjectsEXT(1, &memory);
    return wrong != 0;
}
