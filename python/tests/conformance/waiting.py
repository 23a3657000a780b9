"""What waits and what does not: timeouts, full channels under each policy."""

import select
import time

from common import (
    INLINE,
    LONG,
    SHORT,
    check_pattern,
    fails,
    filled,
    meet,
    open_consumer,
    open_producer,
    receive,
    receive_end,
    receive_nothing,
    receive_number,
    receive_pattern,
    send_number,
    send_pattern,
    wait_until,
)

import lava


class wait_timeouts:
    def producer(channel):
        producer = open_producer(channel)
        with fails(lava.WouldBlockError):
            producer.wait_consumers(2, 0)
        start = time.monotonic()
        with fails(lava.TimedOutError):
            producer.wait_consumers(2, SHORT)
        assert time.monotonic() - start >= SHORT
        meet("waited")
        send_number(producer, 0)

    def consumer(channel):
        consumer = open_consumer(channel)
        receive_nothing(consumer, 0)
        start = time.monotonic()
        receive_nothing(consumer, SHORT)
        assert time.monotonic() - start >= SHORT
        assert consumer.try_receive() is None
        with fails(lava.WouldBlockError):
            consumer.receive_many(1, 0)
        meet("waited")
        consumer.receive().release()
        receive_end(consumer)


class block_nobody:
    def producer(channel):
        producer = open_producer(channel, 0)
        with fails(lava.WouldBlockError):
            producer.send(b"x", timeout=0)
        start = time.monotonic()
        with fails(lava.TimedOutError):
            producer.send(b"x", timeout=SHORT)
        assert time.monotonic() - start >= SHORT
        loan = producer.loan(4096, timeout=0)
        loan.write(filled(0, 4096))
        with fails(lava.WouldBlockError):
            loan.publish(timeout=0)
        with fails(lava.TimedOutError):
            loan.publish(timeout=SHORT)
        meet("waited")
        # Nobody said that the consumer is there: the send itself waits for it.
        loan.publish(timeout=LONG)

    def consumer(channel):
        meet("waited")
        consumer = open_consumer(channel)
        with receive(consumer) as frame:
            assert frame.sequence == 0
            check_pattern(frame, 0, 4096)
        receive_end(consumer)


class block_slots:
    def producer(channel):
        producer = open_producer(channel, capacity=2)
        send_pattern(producer, 0, 4096)
        send_pattern(producer, 1, 4096)
        with fails(lava.WouldBlockError):
            producer.loan(4096, timeout=0)
        with fails(lava.TimedOutError):
            producer.loan(4096, timeout=SHORT)
        # Small ones need no slot.
        producer.loan(INLINE, timeout=0).release()
        meet("full")
        send_pattern(producer, 2, 4096)

    def consumer(channel):
        consumer = open_consumer(channel)
        meet("full")
        for number in range(3):
            receive_pattern(consumer, number, 4096)
        receive_end(consumer)


class block_queue:
    def producer(channel):
        producer = open_producer(channel, queue_length=4)
        for number in range(4):
            send_number(producer, number)
        with fails(lava.WouldBlockError):
            producer.send(b"x", timeout=0)
        with fails(lava.TimedOutError):
            producer.send(b"x", timeout=SHORT)
        meet("full")
        send_number(producer, 4)

    def consumer(channel):
        consumer = open_consumer(channel)
        meet("full")
        for number in range(5):
            receive_number(consumer, number, number)
        receive_end(consumer)


class block_after_leaving:
    def producer(channel):
        producer = open_producer(channel)
        send_number(producer, 0)
        meet("left")
        wait_until("the consumer has left", lambda: producer.consumers == 0)
        with fails(lava.WouldBlockError):
            producer.send(b"x", timeout=0)
        meet("blocked")
        send_number(producer, 1)

    def consumer(channel):
        with open_consumer(channel) as first:
            receive_number(first, 0, 0)
        meet("left")
        meet("blocked")
        second = open_consumer(channel)
        receive_number(second, 1, 1)
        receive_end(second)


def dropped(producer: lava.Producer) -> int:
    return producer.describe()["connections"][0]["dropped"]


def drop_producer(channel: str, policy: str) -> None:
    producer = open_producer(channel, policy=policy, queue_length=4)
    for number in range(10):
        send_number(producer, number)
    assert dropped(producer) == 6
    meet("dropped")
    meet("received")
    send_number(producer, 10)
    assert dropped(producer) == 6


def drop_consumer(channel: str, first: int) -> None:
    consumer = open_consumer(channel)
    meet("dropped")
    for number in range(first, first + 4):
        receive_number(consumer, number, number)
    receive_nothing(consumer, 0)
    meet("received")
    receive_number(consumer, 10, 10)
    receive_end(consumer)


class drop_newest:
    def producer(channel):
        drop_producer(channel, "drop_newest")

    def consumer(channel):
        drop_consumer(channel, 0)


class drop_oldest:
    def producer(channel):
        drop_producer(channel, "drop_oldest")

    def consumer(channel):
        drop_consumer(channel, 6)


class drop_slots:
    def producer(channel):
        producer = open_producer(channel, policy="drop_newest", capacity=2, max_frame_size=4096)
        send_pattern(producer, 0, 4096)
        send_pattern(producer, 1, 4096)
        meet("held")
        with fails(lava.WouldBlockError):
            producer.loan(4096, timeout=LONG)
        producer.send(bytes(4096), timeout=LONG)
        assert dropped(producer) == 2
        meet("dropped")
        meet("released")
        send_pattern(producer, 4, 4096)

    def consumer(channel):
        consumer = open_consumer(channel)
        frames = [receive(consumer), receive(consumer)]
        meet("held")
        meet("dropped")
        for number, frame in enumerate(frames):
            check_pattern(frame, number, 4096)
            frame.release()
        meet("released")
        with receive(consumer) as frame:
            assert frame.sequence == 4
            check_pattern(frame, 4, 4096)
        receive_end(consumer)


class late_joiner:
    def producer(channel):
        producer = open_producer(channel, 0, policy="drop_newest")
        for number in range(3):
            send_number(producer, number)
        meet("sent")
        producer.wait_consumers(1, LONG)
        send_number(producer, 3)

    def consumer(channel):
        meet("sent")
        consumer = open_consumer(channel)
        receive_number(consumer, 3, 3)
        receive_end(consumer)


class event_fd:
    def producer(channel):
        producer = open_producer(channel)
        meet("armed")
        send_number(producer, 0)
        send_number(producer, 1)
        meet("received")
        meet("armed again")
        send_pattern(producer, 2, 4096)
        meet("received again")

    def consumer(channel):
        consumer = open_consumer(channel)
        fd = consumer.fileno()
        assert consumer.fileno() == fd
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert consumer.try_receive() is None
        assert not poll.poll(0)
        meet("armed")
        assert poll.poll(10_000)
        receive_number(consumer, 0, 0)
        receive_number(consumer, 1, 1)
        meet("received")
        receive_nothing(consumer, 0)
        assert not poll.poll(0)
        meet("armed again")
        assert poll.poll(10_000)
        receive_pattern(consumer, 2, 4096)
        receive_nothing(consumer, 0)
        meet("received again")
        assert poll.poll(10_000)
        with fails(lava.ClosedError):
            consumer.try_receive()
        assert poll.poll(0)
