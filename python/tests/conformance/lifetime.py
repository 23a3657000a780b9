"""Ends: of handles in every order, of channels, of processes."""

import os

from common import (
    LONG,
    check_pattern,
    die,
    fails,
    meet,
    open_consumer,
    open_producer,
    receive,
    receive_end,
    receive_number,
    receive_pattern,
    send_number,
    send_pattern,
    wait_until,
)

import lava


class frame_after_consumer:
    def producer(channel):
        producer = open_producer(channel, capacity=1, max_frame_size=4096)
        send_pattern(producer, 1, 4096)
        meet("destroyed")
        with fails(lava.WouldBlockError):
            producer.loan(4096, timeout=0)
        meet("checked")
        producer.loan(4096, timeout=LONG).release()

    def consumer(channel):
        consumer = open_consumer(channel)
        frame = receive(consumer)
        consumer.close()
        del consumer
        meet("destroyed")
        meet("checked")
        check_pattern(frame, 1, 4096)


class frame_after_producer:
    def producer(channel):
        producer = open_producer(channel)
        send_pattern(producer, 2, 4096)
        meet("received")
        producer.close()
        die()

    def consumer(channel):
        consumer = open_consumer(channel)
        frame = receive(consumer)
        meet("received")
        receive_end(consumer)
        check_pattern(frame, 2, 4096)
        consumer.close()
        check_pattern(frame, 2, 4096)


class frames_after_context:
    def producer(channel):
        context = lava.Context()
        producer = lava.Producer(context, channel)
        context.close()
        producer.wait_consumers(1, LONG)
        for number in range(20):
            send_pattern(producer, number, 4096)

    def consumer(channel):
        context = lava.Context()
        consumer = lava.Consumer(context, channel)
        context.close()
        for number in range(19):
            receive_pattern(consumer, number, 4096)
        frame = receive(consumer)
        receive_end(consumer)
        consumer.close()
        check_pattern(frame, 19, 4096)


class closed:
    def producer(channel):
        with open_producer(channel) as producer:
            for number in range(5):
                send_pattern(producer, number, 1000)
        meet("ended")

    def consumer(channel):
        consumer = open_consumer(channel)
        meet("ended")
        for number in range(5):
            receive_pattern(consumer, number, 1000)
        for _ in range(3):
            receive_end(consumer)
        connection = consumer.describe()["connection"]
        assert (connection["state"], connection["frames"]) == ("closed", 5)


class peer_lost:
    def producer(channel):
        producer = open_producer(channel)
        for number in range(5):
            send_pattern(producer, number, 1000)
        meet("sent")
        die()

    def consumer(channel):
        consumer = open_consumer(channel)
        meet("sent")
        for number in range(5):
            receive_pattern(consumer, number, 1000)
        for _ in range(3):
            with fails(lava.PeerLostError):
                consumer.receive(LONG)
        assert consumer.describe()["connection"]["state"] == "lost"


class consumer_lost:
    def producer(channel):
        producer = open_producer(channel, capacity=1, max_frame_size=4096)
        send_pattern(producer, 3, 4096)
        producer.loan(4096, timeout=LONG).release()
        wait_until("the consumer is gone", lambda: producer.consumers == 0)

    def consumer(channel):
        consumer = open_consumer(channel)
        frame = receive(consumer)
        check_pattern(frame, 3, 4096)
        die()


class reopen:
    def producer(channel):
        context = lava.Context()
        for number in range(5):
            with lava.Producer(context, channel) as producer:
                producer.wait_consumers(1, LONG)
                send_number(producer, number)
            meet("closed")

    def consumer(channel):
        context = lava.Context()
        for number in range(5):
            with lava.Consumer(context, channel) as consumer:
                receive_number(consumer, number, 0)
                receive_end(consumer)
            meet("closed")


class forked:
    def producer(channel):
        context = lava.Context()
        producer = lava.Producer(context, channel)
        producer.wait_consumers(1, LONG)
        send_number(producer, 0)
        loan = producer.loan(4096, timeout=LONG)
        buffer = lava.Buffer(context, 4096, shareable=True)
        child = os.fork()
        if child == 0:
            status = 0
            for number, call in enumerate(
                (
                    lambda: producer.send(b"x", timeout=0),
                    lambda: producer.loan(4096, timeout=0),
                    lambda: producer.wait_consumers(1, 0),
                    lambda: lava.Producer(context, "forked.child"),
                    lambda: context.location,
                    lambda: loan.publish(timeout=0),
                    lambda: buffer.read(),
                ),
                1,
            ):
                try:
                    with fails(lava.ForkedError):
                        call()
                except BaseException:
                    status = status or number
            os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "call of this number"
        loan.release()
        buffer.close()
        send_number(producer, 1)

    def consumer(channel):
        consumer = open_consumer(channel)
        receive_number(consumer, 0, 0)
        receive_number(consumer, 1, 1)
        receive_end(consumer)
