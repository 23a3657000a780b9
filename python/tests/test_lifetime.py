"""What lives how long: views, frames, consumers, contexts, producers and their processes."""

import gc
import os
import signal
import threading
import time

import numpy as np
import pytest

import lava

LONG = 60.0


def test_views_outlive_everything(context):
    producer = lava.Producer(context, "views", capacity=2)
    consumer = lava.Consumer(context, "views")
    producer.send(np.arange(1000))
    frame = consumer.receive(LONG)
    views = [np.asarray(frame), memoryview(frame), np.from_dlpack(frame)]
    loan = producer.loan((1000,), "int64")
    written = np.asarray(loan)
    written[:] = 1
    loan.publish()
    frame.release()
    consumer.close()
    producer.close()
    context.close()
    del frame, loan, consumer, producer, context
    gc.collect()
    assert all(np.array_equal(np.asarray(view), np.arange(1000)) for view in views)
    written[:] = 2
    assert (written == 2).all(), "memory that was loaned stays mapped"


def test_small_loans_keep_their_views_too(pair):
    both = pair()
    loan = both.producer.loan(8)
    view = np.asarray(loan)
    view[:] = range(8)
    loan.write(b"\x63", offset=7)
    assert view[7] == 0x63 and loan.read(6) == b"\x06\x63"
    loan.publish()
    both.close()
    assert view.tolist() == [0, 1, 2, 3, 4, 5, 6, 0x63]
    view[:] = 0


def test_a_view_keeps_the_slot(pair):
    both = pair(capacity=1)
    both.producer.send(bytes(100))
    frame = both.consumer.receive(LONG)
    view, other = memoryview(frame), np.from_dlpack(frame)
    frame.release()
    del frame
    with pytest.raises(lava.WouldBlockError):
        both.producer.loan(100, timeout=0)
    view.release()
    with pytest.raises(lava.WouldBlockError):
        both.producer.loan(100, timeout=0)
    del other
    both.producer.loan(100, timeout=LONG).release()


def test_frames_outlive_their_producers_process(context, child):
    process = child("""
        import lava, numpy
        with lava.Context() as context, lava.Producer(context, "gone") as producer:
            producer.wait_consumers(1)
            producer.send(numpy.arange(100000))
            print("sent", flush=True)
            input()
    """)
    consumer = lava.Consumer(context, "gone", timeout=LONG)
    frame = consumer.receive(LONG)
    view = np.asarray(frame)
    assert process.line() == "sent"
    process.process.send_signal(signal.SIGKILL)
    process.process.wait(LONG)
    with pytest.raises(lava.PeerLostError) as caught:
        consumer.receive(LONG)
    assert isinstance(caught.value, ConnectionError)
    with pytest.raises(ConnectionResetError):
        next(consumer)
    assert np.array_equal(view, np.arange(100000))


def test_a_consumer_that_dies_gives_back_what_it_held(context, child):
    producer = lava.Producer(context, "holder", capacity=1)
    process = child("""
        import lava
        with lava.Context() as context, lava.Consumer(context, "holder", timeout=60) as consumer:
            frame = consumer.receive()
            print("held", flush=True)
            input()
    """)
    producer.wait_consumers(1, LONG)
    producer.send(bytes(100))
    assert process.line() == "held"
    with pytest.raises(lava.WouldBlockError):
        producer.loan(100, timeout=0)
    process.process.kill()
    producer.loan(100, timeout=LONG).release()


def memory() -> int:
    """Bytes of this process's memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def rounds(normal: int) -> int:
    return {"quick": normal // 10, "soak": normal * 100}.get(os.environ.get("LAVA_TESTS", ""), normal)


def test_many_frames_leave_nothing(pair):
    """Forty thousand; four million with LAVA_TESTS=soak."""
    both = pair(capacity=4)
    array = np.arange(100, dtype="f4")

    def pass_one() -> None:
        both.producer.send(array)
        frame = both.consumer.try_receive()
        assert frame is not None
        assert np.asarray(frame)[99] == 99
        np.from_dlpack(frame)
        with both.producer.loan((2, 3)) as loan:
            np.asarray(loan)
        both.consumer.receive().release()

    for _ in range(2000):
        pass_one()
    gc.collect()
    before, files = memory(), len(os.listdir("/proc/self/fd"))
    for _ in range(rounds(20000)):
        pass_one()
    assert len(os.listdir("/proc/self/fd")) == files
    assert memory() - before < 4 << 20, f"{memory() - before} bytes more"


def test_objects_leave_nothing(context):
    def use() -> None:
        with lava.Context() as own, lava.Producer(own, "again") as producer, lava.Consumer(own, "again") as consumer:
            producer.send(bytes(100))
            consumer.receive(LONG)
            consumer.fileno()
            lava.Buffer(own, 100, shareable=True)

    for _ in range(10):
        use()
    before, files, threads = memory(), len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
    for _ in range(rounds(200)):
        use()
    # A thread that opened a consumer ends a moment after that.
    deadline = time.monotonic() + LONG
    while len(os.listdir("/proc/self/fd")) > files or len(os.listdir("/proc/self/task")) > threads:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert memory() - before < 8 << 20, f"{memory() - before} bytes more"


def test_threads_share_a_channel(context, thread):
    """Four threads send, four receive: every frame arrives once."""
    count = rounds(4000) // 4
    producer = lava.Producer(context, "shared", capacity=16)
    consumer = lava.Consumer(context, "shared")
    lock, got = threading.Lock(), []

    def send(first: int) -> None:
        for number in range(first, first + count):
            producer.send(np.full(20, number))

    def receive() -> None:
        for frame in consumer:
            with frame:
                number = int(np.asarray(frame)[19])
            with lock:
                got.append(number)

    senders = [thread(lambda first=number * count: send(first)) for number in range(4)]
    receivers = [thread(receive) for _ in range(4)]
    for sender in senders:
        sender.join(LONG)
    producer.close()
    for receiver in receivers:
        receiver.join(LONG)
    assert sorted(got) == list(range(4 * count))


def test_frames_cross_threads(pair, thread):
    import queue

    both = pair(capacity=4)
    frames: queue.Queue = queue.Queue()

    def release() -> None:
        while (frame := frames.get()) is not None:
            assert np.asarray(frame)[0] == frame.sequence
            frame.release()

    worker = thread(release)
    for number in range(500):
        both.producer.send(np.full(100, number), timeout=LONG)
        frames.put(both.consumer.receive(LONG))
    frames.put(None)
    worker.join(LONG)
