"""What every scenario uses: patterns, meeting points, the two sides of a channel."""

import contextlib
import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import lava

LONG = 10.0
SHORT = 0.02
INLINE = 40


def meet(word: str) -> None:
    """Waits until every other part has come to the same word."""
    print(f"meet {word}", flush=True)
    line = sys.stdin.readline()
    assert line == f"go {word}\n", "the other part did not come"


def die() -> None:
    """Says that this process is about to kill itself, and does so."""
    print("dying", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


@functools.lru_cache
def filled(number: int, size: int) -> bytes:
    """The pattern of frame `number`."""
    first = bytes((number * 131 + at * 7) % 256 for at in range(256))
    blocks = (first.translate(bytes((value + block) % 256 for value in range(256))) for block in range(min(256, size // 256 + 1)))
    period = b"".join(blocks)
    return (period * (size // len(period) + 1))[:size]


def check_pattern(frame: lava.Frame, number: int, size: int) -> None:
    assert frame.nbytes == size, f"size of frame {number}"
    assert frame.tobytes() == filled(number, size), f"bytes of frame {number} of {size} bytes"


@contextlib.contextmanager
def fails(kind: type[lava.Error], *words: str) -> Iterator[None]:
    try:
        yield
    except kind as error:
        assert type(error) is kind, repr(error)
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError(f"no {kind.__name__}")


def open_producer(channel: str, consumers: int = 1, **options: object) -> lava.Producer:
    """A producer on a context of its own that waits for its consumers."""
    producer = lava.Producer(lava.Context(), channel, **options)
    producer.wait_consumers(consumers, LONG)
    return producer


def open_consumer(channel: str, **options: object) -> lava.Consumer:
    return lava.Consumer(lava.Context(), channel, **options)


def send_number(producer: lava.Producer, number: int) -> None:
    producer.send(number.to_bytes(8, "little"), timeout=LONG)


def send_pattern(producer: lava.Producer, number: int, size: int) -> None:
    """Written in place."""
    with producer.loan(size, timeout=LONG) as loan:
        memoryview(loan)[:] = filled(number, size)


def receive(consumer: lava.Consumer) -> lava.Frame:
    return consumer.receive(LONG)


def receive_number(consumer: lava.Consumer, number: int, sequence: int) -> None:
    with receive(consumer) as frame:
        assert (int.from_bytes(frame.tobytes(), "little"), frame.sequence) == (number, sequence)


def receive_pattern(consumer: lava.Consumer, number: int, size: int) -> None:
    with receive(consumer) as frame:
        check_pattern(frame, number, size)


def receive_end(consumer: lava.Consumer) -> None:
    """The channel has ended for this consumer."""
    with fails(lava.ClosedError):
        consumer.receive(LONG)


def receive_nothing(consumer: lava.Consumer, timeout: float) -> None:
    with fails(lava.TimedOutError if timeout else lava.WouldBlockError):
        consumer.receive(timeout)


def wait_until(what: str, done: Callable[[], bool]) -> None:
    """Looks again until `done`, at most for the long time."""
    start = time.monotonic()
    while not done():
        assert time.monotonic() - start < LONG, f"not in time: {what}"
        time.sleep(0.001)


def address(frame: object) -> int:
    # Here and elsewhere: NumPy takes long to load, and most parts do without.
    import numpy as np

    return int(np.frombuffer(frame, "u1").ctypes.data)  # type: ignore[call-overload]
