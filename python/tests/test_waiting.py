"""Waits: they let other threads run, they end by Ctrl-C, they end in time."""

import os
import pathlib
import select
import signal
import threading
import time

import pytest

import lava

LONG = 60.0

WAITS = {
    "receive": "consumer.receive()",
    "next": "next(consumer)",
    "receive_many": "consumer.receive_many(3)",
    "loan": "[producer.loan(100) for _ in range(9)]",
    "send": "[producer.send(bytes(100)) for _ in range(9)]",
    "publish": "[loan.publish() for loan in [producer.loan(1) for _ in range(1000)]]",
    "wait_consumers": "producer.wait_consumers(2)",
    "wait_released": "producer.send(bytes(100)); producer.wait_released()",
    "open": "lava.Consumer(context, 'nobody', timeout=100)",
    "buffer": "buffer = lava.Buffer(context, 9, shareable=True); [producer.send(buffer) for _ in range(9)]",
}


@pytest.mark.parametrize("work", WAITS.values(), ids=WAITS.keys())
def test_control_c_ends_a_wait(child, work):
    process = child(f"""
        import lava
        with lava.Context() as context, lava.Producer(context, "c") as producer, lava.Consumer(context, "c") as consumer:
            print("ready", flush=True)
            try:
                {work}
            except KeyboardInterrupt:
                print("interrupted")
            # Everything is in order after it.
            producer.close()
            list(consumer)
    """)
    assert process.line() == "ready"
    # It may not wait yet: a signal that comes too early ends the program in another way.
    stat = pathlib.Path(f"/proc/{process.process.pid}/stat")
    deadline = time.monotonic() + LONG
    while stat.read_text().rsplit(")", 1)[1].split()[0] != "S":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    process.process.send_signal(signal.SIGINT)
    assert process.finish() == "interrupted\n"


def test_waits_let_others_run(pair, thread):
    both = pair()
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(lava.ClosedError):
            both.consumer.receive()
        ended.set()

    waiting = thread(wait)
    total = sum(range(10000))
    assert not ended.is_set() and total
    both.producer.close()
    waiting.join(LONG)
    assert ended.is_set()


def test_a_consumer_is_closed_while_another_thread_waits(pair, thread):
    both = pair()
    started = threading.Event()

    def wait() -> None:
        started.set()
        with pytest.raises(ValueError, match="closed"):
            both.consumer.receive()

    waiting = thread(wait)
    started.wait(LONG)
    both.consumer.close()
    waiting.join(LONG)


def test_a_try_does_not_wait_for_another_thread(pair, thread):
    both = pair()
    waiting = thread(lambda: both.consumer.receive())
    for _ in range(20):
        assert both.consumer.try_receive() is None
    both.producer.send(b"")
    waiting.join(LONG)


def test_timeouts_are_kept(pair):
    both = pair()
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        both.consumer.receive(0.12)
    assert time.monotonic() - start >= 0.12
    with pytest.raises(BlockingIOError):
        both.consumer.receive(0)
    with pytest.raises(BlockingIOError):
        both.consumer.receive(-5)
    with pytest.raises(TimeoutError):
        both.producer.wait_consumers(2, 0.01)
    both.producer.send(b"")
    both.consumer.receive(1e300).release()
    both.producer.send(b"")
    both.consumer.receive(float("inf")).release()


def test_the_descriptor_tells_of_frames(pair):
    both = pair()
    poll = select.poll()
    poll.register(both.consumer.fileno(), select.POLLIN)
    assert both.consumer.try_receive() is None
    assert poll.poll(0) == []
    both.producer.send(b"x")
    assert poll.poll(LONG * 1000)
    assert both.consumer.try_receive().tobytes() == b"x"
    assert both.consumer.try_receive() is None
    assert poll.poll(0) == []
    both.producer.close()
    assert poll.poll(LONG * 1000)
    with pytest.raises(lava.ClosedError):
        both.consumer.try_receive()


def test_signal_handlers_run_during_a_wait(pair):
    both = pair()
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda *_: (seen.append(1), both.producer.send(b"from the handler")))
    try:
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        assert both.consumer.receive(LONG).tobytes() == b"from the handler"
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [1]
