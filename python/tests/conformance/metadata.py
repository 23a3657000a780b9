"""Tags, timestamps, tensors."""

import time

from common import (
    LONG,
    check_pattern,
    fails,
    filled,
    meet,
    open_consumer,
    open_producer,
    receive,
    receive_end,
    send_number,
)

import lava


class metadata:
    def producer(channel):
        producer = open_producer(channel)
        quiet = open_producer(f"{channel}.quiet", timestamps=False)
        with producer.loan(100, timeout=LONG) as loan:
            loan.tag = 7
            loan.timestamp_ns = 123_456_789
        meet("before")
        send_number(producer, 1)
        send_number(quiet, 0)

    def consumer(channel):
        consumer, quiet = open_consumer(channel), open_consumer(f"{channel}.quiet")
        with receive(consumer) as frame:
            assert (frame.tag, frame.timestamp_ns, frame.sequence) == (7, 123_456_789, 0)
            assert (frame.memory, frame.transport) == ("host", "shm")
        before = time.monotonic_ns()
        meet("before")
        with receive(consumer) as frame:
            assert (frame.tag, frame.sequence) == (0, 1)
            assert before <= frame.timestamp_ns <= time.monotonic_ns(), "not the time of the send"
        assert receive(quiet).timestamp_ns == 0
        receive_end(quiet)
        receive_end(consumer)


class tensor:
    def producer(channel):
        import numpy as np

        producer = open_producer(channel)
        floats = ((np.arange(40) - 16) * 0.5).astype("f4")
        with producer.loan(160, timeout=LONG) as loan:
            loan.write(floats)
            loan.set_tensor((2, 3, 4), "float32", byte_offset=64)
        with producer.loan(32, timeout=LONG) as loan:
            loan.write(np.array([10, -20, 30, -40], "i8"))
            loan.set_tensor(4, "int64", strides=[-8], byte_offset=24)
        with producer.loan(1, timeout=LONG) as loan:
            loan.write(b"A")
            loan.set_tensor((), "uint8")
        with producer.loan(16, timeout=LONG) as loan:
            loan.write(floats[:4])
            loan.set_tensor((5, 0), "complex128")
        producer.send(floats[:4].tobytes(), timeout=LONG)

    def consumer(channel):
        import numpy as np

        consumer = open_consumer(channel)
        with receive(consumer) as frame:
            assert (frame.shape, frame.dtype, frame.strides, frame.byte_offset) == ((2, 3, 4), "float32", (48, 16, 4), 64)
            assert np.asarray(frame)[1, 2, 3] == 11.5
        with receive(consumer) as frame:
            assert (frame.shape, frame.dtype, frame.strides, frame.byte_offset) == ((4,), "int64", (-8,), 24)
            assert np.asarray(frame).tolist() == [-40, 30, -20, 10]
        with receive(consumer) as frame:
            assert (frame.shape, frame.dtype, frame.tobytes()) == ((), "uint8", b"A")
            assert np.asarray(frame) == ord("A")
        with receive(consumer) as frame:
            assert (frame.shape, frame.dtype) == ((5, 0), "complex128")
            assert np.asarray(frame).shape == (5, 0)
        assert not receive(consumer).has_tensor
        receive_end(consumer)


class tensor_refused:
    def producer(channel):
        producer = open_producer(channel)
        most = 2**63 - 1
        with producer.loan(64, timeout=LONG) as loan:
            loan.write(filled(5, 64))
            for shape, more in (((17,), {}), ((16,), {"byte_offset": 4}), ((4,), {"strides": [-4]})):
                with fails(lava.TooLargeError):
                    loan.set_tensor(shape, "float32", **more)
            for shape in ((most, most), (1,) * 9, (-1,), (2, -3)):
                with fails(lava.InvalidArgumentError):
                    loan.set_tensor(shape, "float32")
            loan.set_tensor()

    def consumer(channel):
        consumer = open_consumer(channel)
        with receive(consumer) as frame:
            assert not frame.has_tensor
            check_pattern(frame, 5, 64)
        receive_end(consumer)
