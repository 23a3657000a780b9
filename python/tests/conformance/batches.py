"""Many frames in one call, and frames given back in every order."""

import queue
import threading

from common import (
    LONG,
    check_pattern,
    fails,
    filled,
    open_consumer,
    open_producer,
    receive,
    receive_end,
    send_pattern,
)

import lava


class batch_bytes:
    def producer(channel):
        producer = open_producer(channel, max_frame_size=100, capacity=100, queue_length=128)
        assert producer.send_many([filled(number, number) for number in range(100)], timeout=LONG) == 100
        assert producer.send_many([], timeout=LONG) == 0

    def consumer(channel):
        consumer = open_consumer(channel)
        number, timestamps = 0, set()
        while number < 100:
            frames = consumer.receive_many(32, LONG)
            assert 1 <= len(frames) <= 32
            for frame in frames:
                assert frame.sequence == number
                timestamps.add(frame.timestamp_ns)
                check_pattern(frame, number, number)
                number += 1
        assert len(timestamps) == 1
        with fails(lava.ClosedError):
            consumer.receive_many(32, LONG)


class batch_loans:
    def producer(channel):
        producer = open_producer(channel, capacity=16, max_frame_size=4096)
        for turn in range(20):
            loans = []
            while len(loans) < 16:
                loans += producer.loan_many(16 - len(loans), 4096, timeout=LONG)
            with fails(lava.WouldBlockError):
                producer.loan_many(1, 4096, timeout=0)
            for at, loan in enumerate(loans):
                loan.write(filled(turn * 16 + at, 4096))
            assert producer.send_many(loans, timeout=LONG) == 16
            assert all(loan.released for loan in loans)

    def consumer(channel):
        consumer = open_consumer(channel)
        number = 0
        while number < 320:
            for frame in consumer.receive_many(16, LONG):
                check_pattern(frame, number, 4096)
                number += 1
            del frame
        receive_end(consumer)


def send_patterns(channel: str, count: int, size: int) -> None:
    producer = open_producer(channel, capacity=4, max_frame_size=size)
    for number in range(count):
        send_pattern(producer, number, size)


class release_order:
    def producer(channel):
        send_patterns(channel, 200, 1000)

    def consumer(channel):
        consumer = open_consumer(channel)
        for turn in range(50):
            frames = [receive(consumer) for _ in range(4)]
            for at, frame in enumerate(frames):
                check_pattern(frame, turn * 4 + at, 1000)
            for at in (2, 0, 3, 1):
                frames[at].release()
        receive_end(consumer)


class release_thread:
    def producer(channel):
        send_patterns(channel, 1000, 512)

    def consumer(channel):
        consumer = open_consumer(channel)
        frames, right = queue.Queue(4), []

        def release():
            for number in range(1000):
                with frames.get() as frame:
                    check_pattern(frame, number, 512)
            right.append(True)

        releasing = threading.Thread(target=release, daemon=True)
        releasing.start()
        for _ in range(1000):
            frames.put(receive(consumer), timeout=LONG)
        releasing.join(LONG)
        assert right
        receive_end(consumer)
