"""Memory of a GPU: buffers, alone and shared with another process."""

import contextlib
import os
import socket
import sys

from common import fails, filled, meet

import lava

SIZE = 1_000_003


def skip(why: str) -> None:
    """Ends the program: this machine cannot do it."""
    print(f"skipped: {why}", file=sys.stderr)
    sys.exit(77)


def device_context() -> lava.Context:
    """A context that may use every device; skips where there is none whose memory can be shared."""
    context = lava.Context(devices="all")
    try:
        devices = context.devices()
    except lava.DeviceError:
        skip("no Vulkan device")
    assert all(device["name"] and device["max_allocation"] > 0 for device in devices)
    if not any(device["unusable"] is None and device["exportable"] for device in devices):
        skip("no Vulkan device whose memory can be shared")
    return context


def allocate(context: lava.Context, memory: str, **options: bool) -> lava.Buffer:
    return lava.Buffer(context, SIZE, memory=memory, require=True, **options)


def has(buffer: lava.Buffer, offset: int, number: int, size: int) -> bool:
    return buffer.read(offset, size) == filled(number, size)


class device_buffer:
    def producer(_channel):
        context = device_context()
        device = allocate(context, "device")
        assert (device.memory, device.nbytes) == ("device", SIZE) and device.device
        with contextlib.suppress(BufferError):
            memoryview(device)
            raise AssertionError("it has no address")
        assert device.read() == bytes(SIZE)
        device.write(filled(5, 70_001), offset=1)
        assert has(device, 1, 5, 70_001)
        device.fill(0xA5, offset=3, size=10)
        assert device.read(3, 10) == b"\xa5" * 10 and device.read(70_002, 100) == bytes(100)
        device.write(filled(6, 50_000), offset=100_000)
        device.copy_from(device, offset=500_001, source_offset=100_000, size=50_000)
        assert has(device, 500_001, 6, 50_000)
        # As if through a third place.
        device.copy_from(device, offset=100_007, source_offset=100_000, size=50_000)
        assert has(device, 100_007, 6, 50_000)
        device_buffer.with_others(context, device)

    def with_others(context, device):
        host = allocate(context, "host")
        host.copy_from(device, offset=9, source_offset=500_001, size=50_000)
        view = memoryview(host)
        assert view[9:50_009] == filled(6, 50_000)
        view[:1000] = filled(7, 1000)
        device.copy_from(host, offset=SIZE - 1000, size=1000)
        assert has(device, SIZE - 1000, 7, 1000)
        second = allocate(context, "device", uninitialized=True)
        second.copy_from(device)
        assert has(second, SIZE - 1000, 7, 1000) and has(second, 500_001, 6, 50_000)
        with fails(lava.TooLargeError):
            device.fill(0, offset=1, size=SIZE)
        with fails(lava.TooLargeError):
            device.copy_from(host, source_offset=1, size=SIZE)
        with fails(lava.UnsupportedError):
            device.export()
        mapped = allocate(context, "device", host_visible=True)
        memoryview(mapped)[:5000] = filled(8, 5000)
        assert has(mapped, 0, 8, 5000)
        second.copy_from(mapped, size=5000)
        assert has(second, 0, 8, 5000)

    consumer = producer


def place() -> str:
    """The socket's address, beside the runtime directory."""
    return os.environ["LAVA_RUNTIME_DIR"] + ".fd"


class device_import:
    def producer(_channel):
        context = device_context()
        buffer = allocate(context, "device", shareable=True, writable_by_importers=True)
        own = allocate(context, "device", shareable=True)
        buffer.write(filled(1, SIZE))
        own.write(filled(4, 5000))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(place())
            listener.listen(1)
            meet("listening")
            peer, _ = listener.accept()
        with peer:
            # One of them twice: each export has a descriptor of its own.
            for exported in (buffer, own, own):
                handle, fd = exported.export()
                socket.send_fds(peer, [handle], [fd])
                os.close(fd)
            meet("written")
            assert has(buffer, 0, 2, 5000) and buffer.read(SIZE - 5000) == b"\x5a" * 5000
            buffer.write(filled(3, 5000), offset=1001)
            buffer.close()
            own.close()
            context.close()
        meet("gone")

    def consumer(_channel):
        context = device_context()
        meet("listening")
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        peer.connect(place())
        parts = []
        for _ in range(3):
            handle, fds, _, _ = socket.recv_fds(peer, 4096, 1)
            parts.append((handle, fds[0]))
        (right, first), (theirs, second), (other, third) = parts
        buffer = lava.Buffer.from_handle(context, right, first)
        closed = lava.Buffer.from_handle(context, theirs, second)
        assert not closed.writable and has(closed, 0, 4, 5000)
        with fails(lava.AccessError):
            closed.fill(0, size=1)
        with fails(lava.AccessError):
            closed.copy_from(buffer, size=1)
        closed.close()
        # The last byte is the driver's.
        with fails(lava.DeviceError):
            lava.Buffer.from_handle(context, other[:-1] + bytes([other[-1] ^ 1]), third)
        try:
            lava.Buffer.from_handle(context, right, peer.fileno())
        except lava.Error:
            pass
        else:
            raise AssertionError("a socket")
        for fd in (first, second, third):
            os.close(fd)
        assert (buffer.memory, buffer.nbytes) == ("device", SIZE) and buffer.writable and buffer.device
        assert has(buffer, 0, 1, SIZE)
        buffer.write(filled(2, 5000))
        buffer.fill(0x5A, offset=SIZE - 5000, size=5000)
        meet("written")
        meet("gone")
        assert has(buffer, 1001, 3, 5000) and has(buffer, 0, 2, 1001)
