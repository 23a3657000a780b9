"""What lava tells about itself: transports, reasons, counters, locations."""

import os

from common import (
    LONG,
    fails,
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


def receive_process(consumer: lava.Consumer) -> int:
    """The process id that the other part sent as a number."""
    with receive(consumer) as frame:
        return int.from_bytes(frame.tobytes(), "little")


class require:
    def producer(channel):
        send_number(open_producer(channel), 0)

    def consumer(channel):
        context = lava.Context()
        with fails(lava.RequirementError, "vulkan"):
            lava.Consumer(context, channel, require="vulkan")
        consumer = lava.Consumer(context, channel, require=["vulkan", "shm"], max_copies=0)
        connection = consumer.describe()["connection"]
        assert (connection["transport"], connection["copies"]) == ("shm", 0) and connection["reason"]
        receive_number(consumer, 0, 0)
        receive_end(consumer)


def check_connection(connection: dict, other: int) -> None:
    assert (connection["transport"], connection["copies"], connection["state"]) == ("shm", 0, "open")
    assert connection["peer_process"] == other and f"process={other};" in connection["peer"]
    assert (connection["frames"], connection["bytes"], connection["dropped"]) == (2, 8 + 4096, 0)
    assert connection["reason"]
    for rejection in connection["rejected"]:
        assert rejection["transport"] != "shm" and rejection["reason"]


class describe:
    def producer(channel):
        producer = open_producer(channel)
        back = open_consumer(f"{channel}.back")
        send_number(producer, os.getpid())
        send_pattern(producer, 1, 4096)
        other = receive_process(back)
        about = producer.describe()
        assert about["name"] == channel and len(about["connections"]) == 1
        check_connection(about["connections"][0], other)
        back.close()
        meet("described")

    def consumer(channel):
        consumer = open_consumer(channel)
        back = open_producer(f"{channel}.back")
        other = receive_process(consumer)
        with receive(consumer):
            about = consumer.describe()
            check_connection(about["connection"], other)
            assert (about["connection"]["held"], about["connection"]["queued"]) == (1, 0)
        assert about["name"] == channel and channel in repr(consumer)
        send_number(back, os.getpid())
        meet("described")
        receive_end(consumer)


class list_channels:
    def producer(channel):
        send_number(producer := open_producer(channel), os.getpid())
        meet("listed")
        producer.close()

    def consumer(channel):
        context = lava.Context()
        consumer = lava.Consumer(context, channel)
        process = receive_process(consumer)
        listed = {entry["name"]: entry["process"] for entry in context.list_channels(LONG)}
        assert listed[channel] == process
        meet("listed")
        receive_end(consumer)


class scope:
    def producer(channel):
        context = lava.Context()
        producer = lava.Producer(context, channel)
        producer.wait_consumers(1, LONG)
        location = context.location
        assert location.process == os.getpid() and location.host
        # With the NUL that a C program needs to read it in place.
        producer.send(f"{location}\0".encode(), timeout=LONG)
        meet("detected")

    def consumer(channel):
        context = lava.Context()
        consumer = lava.Consumer(context, channel)
        with receive(consumer) as frame:
            peer = lava.Location(frame.tobytes().decode().rstrip("\0"))
        own = context.location
        assert own.process != peer.process
        report = context.detect_scope(own, peer)
        assert (report.scope, report.decided_by) == ("local", "rendezvous")
        assert "boot_id" in report.agrees
        report = context.detect_scope(own, own)
        assert (report.scope, report.decided_by) == ("local", "process")
        meet("detected")
        receive_end(consumer)
