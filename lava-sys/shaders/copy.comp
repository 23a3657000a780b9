// Copies 16-byte units from one storage buffer to another: lava's large copies within a GPU (doc/adr/0033).
//
// memory/vulkan/transfer/shader.rs binds ranges that begin at the device's alignment for storage buffers, and passes how
// many units of the source to skip. What is read and what is written never share a byte.
//
// Compiled by `glslangValidator -V --target-env vulkan1.2 copy.comp -o copy.spv`; a test compares.
#version 460
#extension GL_EXT_control_flow_attributes : require

layout(local_size_x_id = 0) in;
// Units that each invocation copies: more loads in flight for each thread.
layout(constant_id = 1) const uint UNITS = 1;

layout(std430, set = 0, binding = 0) restrict readonly buffer From { uvec4 source[]; };
layout(std430, set = 0, binding = 1) restrict writeonly buffer To { uvec4 target[]; };

layout(push_constant) uniform Run {
    uint count;
    uint from;
} run;

void main() {
    // Neighbouring invocations copy neighbouring units, so that the memory sees whole lines.
    uint stride = gl_WorkGroupSize.x;
    uint first = gl_WorkGroupID.x * stride * UNITS + gl_LocalInvocationID.x;
    if (first + (UNITS - 1) * stride < run.count) {
        uvec4 held[UNITS];
        [[unroll]] for (uint unit = 0; unit < UNITS; unit++) {
            held[unit] = source[run.from + first + unit * stride];
        }
        [[unroll]] for (uint unit = 0; unit < UNITS; unit++) {
            target[first + unit * stride] = held[unit];
        }
        return;
    }
    for (uint index = first; index < run.count; index += stride) {
        target[index] = source[run.from + index];
    }
}
