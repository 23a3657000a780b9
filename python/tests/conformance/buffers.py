"""Buffers of the user, sent without copying."""

from common import (
    LONG,
    SHORT,
    address,
    check_pattern,
    fails,
    filled,
    meet,
    open_consumer,
    open_producer,
    receive,
    receive_end,
    receive_number,
    send_number,
    send_pattern,
)

import lava

SIZE = 65536


class send_buffer:
    """The module sends a buffer whole; its range is the buffer."""

    def producer(channel):
        producer = open_producer(channel)
        buffer = lava.Buffer(lava.Context(), SIZE, shareable=True)
        for number in range(100):
            buffer.write(filled(number, SIZE))
            assert producer.send(buffer, tag=number, timeout=LONG) == 0
            producer.wait_released(buffer, LONG)
        handle, fd = buffer.export()
        described = lava.Buffer.from_handle(lava.Context(), handle, fd, SIZE, "uint8")
        with fails(lava.UnsupportedError):
            producer.send(described, timeout=LONG)
        tensor = lava.Buffer(lava.Context(), (SIZE,), "uint8", shareable=True)
        tensor.write(filled(99, SIZE))
        assert producer.send(tensor, tag=100, timeout=LONG) == 0
        # The frame keeps the memory.
        tensor.close()
        buffer.close()
        del tensor, buffer, described
        meet("destroyed")

    def consumer(channel):
        consumer = open_consumer(channel)
        places = set()
        for number in range(100):
            with receive(consumer) as frame:
                check_pattern(frame, number, SIZE)
                assert frame.tag == number
                places.add(address(frame))
        assert len(places) == 1
        meet("destroyed")
        with receive(consumer) as frame:
            assert frame.has_tensor and frame.shape == (SIZE,)
            assert memoryview(frame).readonly
            check_pattern(frame, 99, SIZE)
        receive_end(consumer)


class send_buffer_refused:
    def producer(channel):
        producer = open_producer(channel)
        context = lava.Context()
        for buffer in (
            lava.Buffer(context, SIZE),
            lava.Buffer(context, SIZE, shareable=True, writable_by_importers=True),
        ):
            with fails(lava.UnsupportedError):
                producer.send(buffer, timeout=LONG)
        send_number(producer, 1)

    def consumer(channel):
        consumer = open_consumer(channel)
        receive_number(consumer, 1, 0)
        receive_end(consumer)


class wait_released:
    def producer(channel):
        producer = open_producer(channel)
        producer.wait_released(timeout=0)
        send_pattern(producer, 6, 4096)
        with fails(lava.WouldBlockError):
            producer.wait_released(timeout=0)
        meet("held")
        with fails(lava.TimedOutError):
            producer.wait_released(timeout=SHORT)
        meet("waited")
        producer.wait_released(timeout=LONG)

    def consumer(channel):
        consumer = open_consumer(channel)
        with receive(consumer) as frame:
            meet("held")
            meet("waited")
            check_pattern(frame, 6, 4096)
        receive_end(consumer)
