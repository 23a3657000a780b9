"""A renderer gives pictures in a GPU's memory to PyTorch in another process, without a copy.

    python render.py render [PICTURES]
    python render.py view

The renderer uploads what it drew; one that draws with CUDA writes into `torch.from_dlpack(frame)` instead, one that uses
Vulkan is in lava/examples/vulkan_compute_producer. Without PyTorch, or on a GPU that CUDA cannot see, the viewer gets a
copy on the host. Without a GPU everything is host memory.
"""

import sys

import numpy as np

import lava

SHAPE = (4, 512, 512)


def render(pictures: int) -> None:
    with lava.Context() as context, lava.Producer(
        context, "pictures", memory="device", max_frame_size=4 << 20
    ) as producer:
        print(producer.describe()["memory"]["reason"])
        rows, columns = np.ogrid[0:1:512j, 0:1:512j]
        for number in range(pictures):
            picture = np.broadcast_to(np.sin(9 * rows + number) * np.cos(9 * columns), SHAPE).astype("float32")
            producer.send(np.ascontiguousarray(picture), tag=number)


def view() -> None:
    try:
        import torch
    except ImportError:
        torch = None
    with lava.Context() as context, lava.Consumer(context, "pictures") as consumer:
        for frame in consumer:
            on_cuda = hasattr(frame, "__cuda_array_interface__")
            if torch is not None and on_cuda:
                tensor = torch.from_dlpack(frame)
                mean = float(tensor.mean())
                del tensor
            else:
                mean = float(np.from_dlpack(frame, device="cpu").mean())
            print(f"picture {frame.tag} by {frame.transport}: mean {mean:.4f}")
            frame.release()


if __name__ == "__main__":
    if sys.argv[1:2] == ["render"]:
        render(int(sys.argv[2]) if len(sys.argv) > 2 else 10)
    else:
        view()
