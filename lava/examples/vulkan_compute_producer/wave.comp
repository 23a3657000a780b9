// Fills one frame: word `at` of frame `number` is a mix of both.
#version 450

layout(local_size_x = 256) in;

layout(set = 0, binding = 0, std430) writeonly buffer Pool {
    uint words[];
};

layout(push_constant) uniform Frame {
    uint first; // word of the pool at which the frame begins
    uint count;
    uint number;
};

void main() {
    uint at = gl_GlobalInvocationID.x;
    if (at < count) {
        words[first + at] = (at * 2654435761u) ^ number;
    }
}
