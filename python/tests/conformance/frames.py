"""Order, sizes, alignment, and what one does with a loan or a frame."""

import ctypes
import os

from common import (
    INLINE,
    LONG,
    address,
    check_pattern,
    fails,
    filled,
    open_consumer,
    open_producer,
    receive,
    receive_end,
    receive_number,
    receive_pattern,
    send_number,
    send_pattern,
)

import lava

MEBIBYTE = 1 << 20
SIZES = [0, 1, 8, 31, 32, 33, 39, 40, 41, 63, 64, 65, 4095, 4096, 4097, 65536, MEBIBYTE - 1, MEBIBYTE]


def send_numbers(channel: str, count: int, consumers: int) -> None:
    producer = open_producer(channel, consumers)
    for number in range(count):
        send_number(producer, number)


def receive_numbers(channel: str, count: int) -> None:
    consumer = open_consumer(channel)
    for number in range(count):
        receive_number(consumer, number, number)
    receive_end(consumer)


class order:
    def producer(channel):
        send_numbers(channel, 1000, 1)

    def consumer(channel):
        receive_numbers(channel, 1000)


class two_consumers:
    def producer(channel):
        send_numbers(channel, 1000, 2)

    def consumer(channel):
        receive_numbers(channel, 1000)


class stream:
    def producer(channel):
        send_numbers(channel, 20000, 1)

    def consumer(channel):
        receive_numbers(channel, 20000)


class sizes:
    def producer(channel):
        producer = open_producer(channel, max_frame_size=MEBIBYTE)
        for number, size in enumerate(SIZES):
            send_pattern(producer, number, size)
        with fails(lava.TooLargeError):
            producer.loan(MEBIBYTE + 1, timeout=0)

    def consumer(channel):
        consumer = open_consumer(channel)
        for number, size in enumerate(SIZES):
            with receive(consumer) as frame:
                check_pattern(frame, number, size)
                assert frame.inline == (size <= INLINE)
        receive_end(consumer)


class sizes_copied:
    def producer(channel):
        producer = open_producer(channel)
        for number, size in enumerate(SIZES):
            assert producer.send(filled(number, size), timeout=LONG) == 1
        with fails(lava.TooLargeError):
            producer.send(bytes(MEBIBYTE + 1), timeout=0)

    consumer = sizes.consumer


class sizes_tagged:
    def producer(channel):
        producer = open_producer(channel)
        for number, size in enumerate(SIZES):
            producer.send(filled(number, size), tag=1000 + number, timeout=LONG)

    def consumer(channel):
        consumer = open_consumer(channel)
        for number, size in enumerate(SIZES):
            with receive(consumer) as frame:
                check_pattern(frame, number, size)
                assert frame.tag == 1000 + number and (frame.inline or size > INLINE - 8)
        receive_end(consumer)


class huge_frame:
    SIZE = (1 << 32) + 8192

    def producer(channel):
        producer = open_producer(channel, max_frame_size=huge_frame.SIZE, capacity=1)
        with producer.loan(huge_frame.SIZE, timeout=LONG) as loan:
            view = memoryview(loan)
            view[:4096] = filled(1, 4096)
            view[-4096:] = filled(2, 4096)

    def consumer(channel):
        consumer = open_consumer(channel)
        with receive(consumer) as frame:
            assert frame.nbytes == huge_frame.SIZE
            assert frame.read(0, 4096) == filled(1, 4096)
            assert frame.read(huge_frame.SIZE - 4096) == filled(2, 4096)
        receive_end(consumer)


class alignment:
    def producer(channel):
        plain = open_producer(f"{channel}.plain", max_frame_size=100)
        pages = open_producer(channel, max_frame_size=100, alignment=4096)
        for number in range(8):
            send_pattern(plain, number, 100)
            send_pattern(pages, number, 100)

    def consumer(channel):
        plain, pages = open_consumer(f"{channel}.plain"), open_consumer(channel)
        for consumer, step in ((plain, 64), (pages, 4096)):
            for number, frame in enumerate([receive(consumer) for _ in range(8)]):
                assert address(frame) % step == 0
                check_pattern(frame, number, 100)


class loan_discarded:
    def producer(channel):
        producer = open_producer(channel, capacity=1)
        for _ in range(10):
            producer.loan(4096, timeout=0).release()
        send_pattern(producer, 9, 4096)

    def consumer(channel):
        consumer = open_consumer(channel)
        with receive(consumer) as frame:
            check_pattern(frame, 9, 4096)
            assert frame.sequence == 0
        receive_end(consumer)


class set_size:
    def producer(channel):
        producer = open_producer(channel)
        with producer.loan(4096, timeout=LONG) as loan:
            loan.write(filled(1, 4096))
            loan.resize(100)
            assert loan.nbytes == 100
        with producer.loan(100, timeout=LONG) as loan:
            capacity = loan.capacity
            assert loan.nbytes == 100 and capacity >= 100
            with fails(lava.TooLargeError):
                loan.resize(capacity + 1)
            loan.resize(capacity)
            loan.tag = capacity
            memoryview(loan)[:] = filled(2, capacity)

    def consumer(channel):
        consumer = open_consumer(channel)
        receive_pattern(consumer, 1, 100)
        with receive(consumer) as frame:
            assert frame.nbytes == frame.capacity == frame.tag
            check_pattern(frame, 2, frame.nbytes)
        receive_end(consumer)


class read_write:
    def producer(channel):
        producer = open_producer(channel)
        data = filled(3, 1000)
        with producer.loan(1000, timeout=LONG) as loan:
            loan.write(data[:10])
            loan.write(data[10:], offset=10)
            loan.write(b"", offset=1000)
            for offset in (901, 2**64 - 1):
                with fails(lava.TooLargeError):
                    loan.write(data[:100], offset=offset)

    def consumer(channel):
        consumer = open_consumer(channel)
        with receive(consumer) as frame:
            assert frame.read(450, 100) == filled(3, 1000)[450:550]
            assert frame.read(1000, 0) == b""
            for offset in (950, 2**64 - 1):
                with fails(lava.TooLargeError):
                    frame.read(offset, 100)
            for change in (
                lambda: frame.write(b"x"),
                lambda: frame.resize(3),
                lambda: setattr(frame, "tag", 3),
                lambda: setattr(frame, "timestamp_ns", 3),
                lambda: frame.set_tensor(3),
            ):
                with fails(lava.FrameStateError):
                    change()
            check_pattern(frame, 3, 1000)
        receive_end(consumer)


class read_only:
    def producer(channel):
        send_pattern(open_producer(channel), 4, 4096)

    def consumer(channel):
        consumer = open_consumer(channel)
        with receive(consumer) as frame:
            source, end = os.pipe()
            os.write(end, b"x")
            # The kernel checks the page as the processor would; a process that wrote itself would die by SIGSEGV.
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.read(source, ctypes.c_void_p(address(frame)), 1) == -1
            assert os.strerror(ctypes.get_errno()) == "Bad address", "the frame's memory could be written"
            check_pattern(frame, 4, 4096)
        receive_end(consumer)
