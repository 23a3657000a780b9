"""Names, who may connect to whom, several of everything."""

import time

from common import (
    LONG,
    SHORT,
    fails,
    meet,
    open_consumer,
    open_producer,
    receive_end,
    receive_number,
    receive_pattern,
    send_number,
    send_pattern,
    wait_until,
)

import lava


class consumer_first:
    def producer(channel):
        meet("timed out")
        send_number(open_producer(channel), 0)

    def consumer(channel):
        context = lava.Context()
        start = time.monotonic()
        with fails(lava.TimedOutError, channel):
            lava.Consumer(context, channel, timeout=SHORT)
        assert time.monotonic() - start >= SHORT
        meet("timed out")
        # Whichever of the two comes first now, they find each other.
        consumer = lava.Consumer(context, channel)
        receive_number(consumer, 0, 0)
        receive_end(consumer)


class consumers_max:
    MOST = 64

    def producer(channel):
        producer = open_producer(channel, consumers_max.MOST)
        assert producer.consumers == consumers_max.MOST
        for number in range(3):
            send_pattern(producer, number, 100)
        meet("sent")
        meet("one left")

    def consumer(channel):
        context = lava.Context()
        consumers = [lava.Consumer(context, channel) for _ in range(consumers_max.MOST)]
        with fails(lava.RefusedError):
            lava.Consumer(context, channel)
        meet("sent")
        for consumer in consumers:
            for number in range(3):
                receive_pattern(consumer, number, 100)
        consumers.pop(0).close()

        def open_one() -> bool:
            """The producer learns of the free place in its own time."""
            try:
                consumers.append(lava.Consumer(context, channel))
            except lava.RefusedError:
                return False
            return True

        wait_until("a place is free", open_one)
        meet("one left")
        for consumer in consumers:
            receive_end(consumer)


LONGEST = "n234567890123456789012345678901234567890123456789012345678901234"
WRONG = ["", "/a", "a/", "a//b", "-a", ".a", "_a", "a b", "a:b", "a\n", "a\\b", "ä", "a\0b", LONGEST + "5"]


class name_rules:
    def producer(channel):
        context = lava.Context()
        for name in WRONG:
            with fails(lava.InvalidArgumentError):
                lava.Producer(context, name)
        lava.Producer(context, LONGEST).close()
        send_number(open_producer(f"{channel}/0.Part_of-a/Name"), 0)

    def consumer(channel):
        context = lava.Context()
        for name in WRONG:
            with fails(lava.InvalidArgumentError):
                lava.Consumer(context, name)
        consumer = open_consumer(f"{channel}/0.Part_of-a/Name")
        receive_number(consumer, 0, 0)
        receive_end(consumer)


class name_clash:
    def producer(channel):
        context = lava.Context()
        producer = lava.Producer(context, channel)
        producer.wait_consumers(1, LONG)
        for other in (context, lava.Context()):
            with fails(lava.AlreadyExistsError, channel):
                lava.Producer(other, channel)
        meet("clashed")
        send_number(producer, 0)

    def consumer(channel):
        consumer = open_consumer(channel)
        with fails(lava.AlreadyExistsError, channel):
            lava.Producer(lava.Context(), channel)
        meet("clashed")
        receive_number(consumer, 0, 0)
        receive_end(consumer)


class two_contexts:
    def producer(channel):
        first, second = open_producer(f"{channel}.first"), open_producer(f"{channel}.second")
        for number in range(50):
            send_number(first, number)
            send_number(second, 1000 + number)
        first.close()
        meet("first closed")
        send_number(second, 1050)

    def consumer(channel):
        first, second = open_consumer(f"{channel}.first"), open_consumer(f"{channel}.second")
        for number in range(50):
            receive_number(first, number, number)
        receive_end(first)
        first.close()
        meet("first closed")
        for number in range(51):
            receive_number(second, 1000 + number, number)
        receive_end(second)


class same_process:
    def producer(channel):
        context = lava.Context()
        producer = lava.Producer(context, channel)
        producer.wait_consumers(1, LONG)
        consumers = [lava.Consumer(context, channel), open_consumer(channel)]
        assert producer.consumers == 3
        for number in range(20):
            send_pattern(producer, number, 1000)
            for consumer in consumers:
                receive_pattern(consumer, number, 1000)
        producer.close()
        for consumer in consumers:
            receive_end(consumer)

    def consumer(channel):
        consumer = open_consumer(channel)
        for number in range(20):
            receive_pattern(consumer, number, 1000)
        receive_end(consumer)


class ping_pong:
    def producer(channel):
        ping, pong = open_producer(f"{channel}.ping"), open_consumer(f"{channel}.pong")
        for number in range(1000):
            send_number(ping, number)
            receive_number(pong, number * 3, number)
        ping.close()
        receive_end(pong)

    def consumer(channel):
        ping, pong = open_consumer(f"{channel}.ping"), open_producer(f"{channel}.pong")
        for number in range(1000):
            receive_number(ping, number, number)
            send_number(pong, number * 3)
        receive_end(ping)
