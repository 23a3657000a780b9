"""Channels whose pool is memory of a GPU."""

from common import (
    INLINE,
    LONG,
    check_pattern,
    die,
    fails,
    filled,
    meet,
    receive,
    receive_end,
    send_pattern,
)
from devices import device_context

import lava

SIZES = [8, 41, 4096, 65_537, 1_048_576, 0, 100]
COUNT = 3 * len(SIZES)


def open_device_producer(channel: str, consumers: int) -> lava.Producer:
    producer = lava.Producer(device_context(), channel, memory="device", require_memory=True, capacity=4)
    producer.wait_consumers(consumers, LONG)
    return producer


def has_address(frame: lava.Frame) -> bool:
    try:
        memoryview(frame.raw)
    except BufferError:
        return False
    return True


def send_patterns(producer: lava.Producer, on_device: bool) -> None:
    """Every other frame is written in place, the others are sent from host memory."""
    for number in range(COUNT):
        data = filled(number, SIZES[number % len(SIZES)])
        if number % 2 == 0:
            assert producer.send(data, timeout=LONG) == 1
            continue
        with producer.loan(len(data), timeout=LONG) as loan:
            assert has_address(loan) != (on_device and len(data) > INLINE)
            loan.write(data)
            with fails(lava.TooLargeError):
                loan.write(b"x", offset=len(data))


def check_frame(frame: lava.Frame, number: int, transport: str, on_device: bool) -> None:
    size = SIZES[number % len(SIZES)]
    in_slot = size > INLINE
    assert (frame.sequence, frame.transport) == (number, transport)
    assert not in_slot or (frame.memory == "device") == on_device
    frame.wait_ready(LONG)
    assert has_address(frame) != (in_slot and on_device)
    check_pattern(frame, number, size)
    import numpy as np

    # Array libraries on the host get a copy.
    assert np.from_dlpack(frame, device="cpu").tobytes() == filled(number, size)


def receive_patterns(consumer: lava.Consumer, transport: str, on_device: bool) -> None:
    connection = consumer.describe()["connection"]
    copies = (transport == "staged") + (on_device and transport != "vulkan")
    assert (connection["transport"], connection["copies"]) == (transport, copies) and connection["reason"]
    for number in range(COUNT):
        with receive(consumer) as frame:
            check_frame(frame, number, transport, on_device)
    receive_end(consumer)


class device_frames:
    def producer(channel):
        send_patterns(open_device_producer(channel, 1), True)

    def consumer(channel):
        receive_patterns(lava.Consumer(device_context(), channel), "vulkan", True)


class device_staged:
    producer = device_frames.producer

    def consumer(channel):
        receive_patterns(lava.Consumer(device_context(), channel, memory="host"), "staged", False)


class device_no_vulkan:
    producer = device_frames.producer

    def consumer(channel):
        # To be skipped where the producer is.
        device_context()
        consumer = lava.Consumer(lava.Context(devices="off"), channel)
        rejected = {one["transport"]: one["reason"] for one in consumer.describe()["connection"]["rejected"]}
        assert "Vulkan" in rejected["vulkan"]
        receive_patterns(consumer, "staged", False)


class device_both:
    def producer(channel):
        send_patterns(open_device_producer(channel, 2), True)

    def consumer(channel):
        context = device_context()
        first = lava.Consumer(context, channel, memory="device")
        second = lava.Consumer(context, channel, memory="pinned")
        for number in range(COUNT):
            with receive(first) as on_device, receive(second) as on_host:
                check_frame(on_device, number, "vulkan", True)
                check_frame(on_host, number, "staged", False)
        receive_end(first)
        receive_end(second)


class device_wanted:
    def producer(channel):
        producer = lava.Producer(device_context(), channel)
        producer.wait_consumers(1, LONG)
        send_patterns(producer, False)

    def consumer(channel):
        context = device_context()
        with fails(lava.RequirementError, "shm: it makes 1 copies"):
            lava.Consumer(context, channel, memory="device", require="zero-copy")
        with fails(lava.RequirementError, "Vulkan is off"):
            lava.Consumer(lava.Context(devices="off"), channel, memory="device")
        receive_patterns(lava.Consumer(context, channel, memory="device"), "shm", True)


class device_wanted_staged:
    producer = device_frames.producer

    def consumer(channel):
        consumer = lava.Consumer(device_context(), channel, memory="device", require="staged")
        receive_patterns(consumer, "staged", True)


class device_after_producer:
    def producer(channel):
        producer = open_device_producer(channel, 1)
        producer.send(filled(3, 4096), timeout=LONG)
        meet("received")
        die()

    def consumer(channel):
        context = device_context()
        consumer = lava.Consumer(context, channel)
        frame = receive(consumer)
        meet("received")
        with fails(lava.PeerLostError):
            consumer.receive(LONG)
        check_pattern(frame, 3, 4096)
        consumer.close()
        context.close()
        check_pattern(frame, 3, 4096)


class device_fallback:
    def producer(channel):
        context = lava.Context(devices="off")
        producer = lava.Producer(context, channel, memory="device")
        producer.wait_consumers(1, LONG)
        send_pattern(producer, 1, 5000)
        with fails(lava.RequirementError):
            lava.Producer(context, f"{channel}.other", memory="device", require_memory=True)

    def consumer(channel):
        consumer = lava.Consumer(lava.Context(), channel)
        with receive(consumer) as frame:
            assert frame.transport == "shm" and frame.memory != "device"
            check_pattern(frame, 1, 5000)
        receive_end(consumer)
