"""Producers, consumers and frames as a user meets them."""

import gc

import numpy as np
import pytest

import lava

LONG = 60.0


def test_a_loan_is_sent_at_the_end_of_its_block(pair):
    both = pair()
    with both.producer.loan((3, 4), "float32", timeout=LONG) as loan:
        assert loan.writable and loan.shape == (3, 4) and loan.dtype == "float32"
        np.asarray(loan)[...] = np.arange(12).reshape(3, 4)
        loan.tag = 7
    assert loan.released
    with both.consumer.receive(LONG) as frame:
        assert (frame.shape, frame.dtype, frame.nbytes, frame.tag, frame.sequence) == ((3, 4), "float32", 48, 7, 0)
        assert frame.transport == "shm" and frame.memory == "host" and not frame.writable
        assert np.array_equal(np.asarray(frame), np.arange(12, dtype="f4").reshape(3, 4))
    assert frame.released


def test_a_loan_is_given_back_if_its_block_raises(pair):
    both = pair(capacity=1)
    with pytest.raises(ZeroDivisionError), both.producer.loan(4096) as loan:
        raise ZeroDivisionError
    assert loan.released
    with both.producer.loan(4096, timeout=0):
        pass
    assert both.consumer.receive(LONG).sequence == 0


def test_a_loan_that_cannot_be_sent_in_time_is_given_back(context):
    with lava.Producer(context, "nobody", capacity=1) as producer:
        with pytest.raises(lava.TimedOutError), producer.loan(4096, timeout=0.01):
            pass
        loan = producer.loan(4096, timeout=0)
        with pytest.raises(lava.WouldBlockError):
            loan.publish(timeout=0)
        assert loan.writable, "it may be sent again"
        with pytest.raises(lava.WouldBlockError):
            producer.loan(4096, timeout=0)
        loan.release()
        producer.loan(4096, timeout=0).release()


def test_frames_after_their_end_say_so(pair):
    both = pair()
    loan = both.producer.loan(100)
    loan.publish()
    for use in (loan.publish, lambda: loan.shape, lambda: loan.resize(3), loan.tobytes, lambda: loan.tag):
        with pytest.raises(lava.FrameStateError, match="sent"):
            use()
    frame = both.consumer.receive(LONG)
    for use in (frame.publish, lambda: frame.resize(3), lambda: frame.write(b"x"), lambda: setattr(frame, "tag", 3)):
        with pytest.raises(lava.FrameStateError, match="read-only"):
            use()
    frame.release()
    frame.release()
    for use in (lambda: memoryview(frame), lambda: frame.__dlpack__()):
        with pytest.raises(BufferError, match="released"):
            use()


@pytest.mark.parametrize("size", [0, 1, 39, 40, 41, 4096, 1 << 20])
def test_bytes_of_every_size(pair, size):
    both = pair()
    data = bytes(number % 251 for number in range(size))
    assert both.producer.send(data, timeout=LONG) == 1
    with both.producer.loan(size, timeout=LONG) as loan:
        memoryview(loan)[:] = data
    for _ in range(2):
        frame = both.consumer.receive(LONG)
        assert (frame.tobytes(), frame.nbytes, frame.has_tensor) == (data, size, False)
        assert frame.inline == (size <= 40)
        assert bytes(memoryview(frame)) == bytes(frame.raw) == data


def test_send_counts_its_copies(pair, context):
    both = pair(capacity=16)
    array = np.arange(24, dtype="int16").reshape(2, 3, 4)
    assert both.producer.send(array, timeout=LONG) == 1
    assert both.producer.send(array.transpose(2, 0, 1), tag=5, timeout=LONG) == 1
    assert both.producer.send(both.producer.loan(5), tag=6) == 0
    with lava.Buffer(context, (2, 3, 4), "int16", shareable=True) as buffer:
        np.asarray(buffer)[...] = array
        assert both.producer.send(buffer, tag=8, timeout=LONG) == 0
        frames = [both.consumer.receive(LONG) for _ in range(4)]
        assert [frame.tag for frame in frames] == [0, 5, 6, 8]
        assert np.array_equal(np.asarray(frames[0]), array)
        assert np.array_equal(np.asarray(frames[1]), array.transpose(2, 0, 1))
        assert np.array_equal(np.asarray(frames[3]), array)
        with pytest.raises(lava.WouldBlockError):
            both.producer.wait_released(buffer, timeout=0)
        del frames
        both.producer.wait_released(buffer, timeout=LONG)
    both.producer.wait_released(timeout=LONG)


def test_a_received_frame_is_sent_on_by_a_copy(pair):
    first, second = pair("first"), pair("second")
    first.producer.send(np.arange(6.0).reshape(2, 3))
    assert second.producer.send(first.consumer.receive(LONG)) == 1
    assert np.array_equal(np.asarray(second.consumer.receive(LONG)), np.arange(6.0).reshape(2, 3))


def test_a_loan_of_another_producer_is_refused(pair):
    first, second = pair("first"), pair("second")
    loan = first.producer.loan(100)
    with pytest.raises(lava.FrameStateError, match="another producer"):
        second.producer.send(loan)
    assert loan.writable


def test_batches(pair):
    both = pair(capacity=32)
    assert both.producer.send_many([b"a", b"bc", b"", bytes(1000)], timeout=LONG) == 4
    assert both.producer.send_many([np.ones(3), b"x"], timeout=LONG) == 2
    loans = both.producer.loan_many(8, (2,), "int32", timeout=LONG)
    for number, loan in enumerate(loans):
        np.asarray(loan)[:] = number
    assert both.producer.send_many(loans, timeout=LONG) == len(loans) == 8
    assert all(loan.released for loan in loans)
    frames: list[lava.Frame] = []
    while len(frames) < 14:
        frames += both.consumer.receive_many(5, LONG)
    assert [frame.sequence for frame in frames] == list(range(14))
    assert [frame.tobytes() for frame in frames[:3]] == [b"a", b"bc", b""]
    assert np.asarray(frames[13]).tolist() == [7, 7]
    with pytest.raises(lava.WouldBlockError):
        both.consumer.receive_many(5, 0)


def test_a_batch_that_is_not_sent_whole_stays_with_the_caller(pair):
    both = pair(queue_length=4, capacity=8)
    loans = both.producer.loan_many(6, 100)
    assert both.producer.send_many(loans, timeout=0) == 4
    assert [loan.released for loan in loans] == [True] * 4 + [False] * 2
    both.consumer.receive_many(4, LONG)
    assert both.producer.send_many(loans[4:], timeout=LONG) == 2


def test_iteration_ends_with_the_channel(pair):
    both = pair()
    both.producer.send_many([b"1", b"2", b"3"])
    both.producer.close()
    assert [frame.tobytes() for frame in both.consumer] == [b"1", b"2", b"3"]
    assert list(both.consumer) == []
    with pytest.raises(lava.ClosedError):
        both.consumer.receive()
    with pytest.raises(EOFError):
        both.consumer.try_receive()


def test_closed_objects_say_so(context):
    producer = lava.Producer(context, "closing")
    consumer = lava.Consumer(context, "closing")
    assert (producer.name, producer.consumers, producer.closed, consumer.closed) == ("closing", 1, False, False)
    for end in (producer, consumer):
        end.close()
        end.close()
        assert end.closed and "closed" in repr(end)
    for use in (lambda: producer.loan(3), lambda: producer.send(b""), producer.describe, consumer.receive, consumer.fileno):
        with pytest.raises(ValueError, match="is closed"):
            use()
    context.close()
    context.close()
    with pytest.raises(lava.InvalidArgumentError, match="closed"):
        lava.Producer(context, "later")


def test_a_context_may_end_first(context):
    producer = lava.Producer(context, "orphans")
    consumer = lava.Consumer(context, "orphans")
    context.close()
    producer.send(b"still")
    assert consumer.receive(LONG).tobytes() == b"still"


def test_policies(pair):
    newest = pair("newest", policy="drop_newest", queue_length=4)
    oldest = pair("oldest", policy="drop_oldest", queue_length=4)
    for both, expected in ((newest, [0, 1, 2, 3]), (oldest, [6, 7, 8, 9])):
        for number in range(10):
            both.producer.send(bytes([number]))
        assert both.producer.describe()["connections"][0]["dropped"] == 6
        both.producer.close()
        assert [frame.tobytes()[0] for frame in both.consumer] == expected


def test_no_slot_with_a_drop_policy(pair):
    both = pair(policy="drop_newest", capacity=1)
    both.producer.send(bytes(100))
    held = both.consumer.receive(LONG)
    with pytest.raises(lava.WouldBlockError):
        both.producer.loan(100)
    assert both.producer.send(np.zeros((10, 10))) == 0, "dropped, so not copied"
    held.release()
    both.producer.loan(100).release()


def test_requirements_are_kept_or_refused(context):
    producer = lava.Producer(context, "required")
    consumer = lava.Consumer(context, "required", require=["shm", "zero-copy"])
    assert consumer.describe()["connection"]["copies"] == 0
    with pytest.raises(lava.RequirementError, match="vulkan"):
        lava.Consumer(context, "required", require="vulkan")
    with pytest.raises(ValueError, match="'carrier pigeon'"):
        lava.Consumer(context, "required", require="carrier pigeon")
    assert producer.describe()["connections"][0]["transport"] == "shm"


def test_descriptions_and_locations(context):
    with lava.Producer(context, "told") as producer, lava.Consumer(context, "told"):
        assert [channel["name"] for channel in context.list_channels()] == ["told"]
        assert producer.describe()["policy"] == "block"
        assert context.describe()["channels"]
    here = context.location
    there = lava.Location(str(here))
    assert here == there and hash(here) == hash(there) and here.process > 0 and there.host == here.host
    report = context.detect_scope(here)
    assert report.scope == "local" and report.decided_by and "local" in repr(report) and report.text
    with pytest.raises(lava.InvalidArgumentError):
        lava.Location("nowhere")


def test_reprs_help(pair, context):
    both = pair()
    loan = both.producer.loan((4, 5), "int64")
    assert "loan: int64 (4, 5), 160 bytes of host memory" in repr(loan)
    loan.publish()
    frame = both.consumer.receive(LONG)
    assert "received 0 by shm: int64 (4, 5)" in repr(frame)
    assert "'pair', 1 consumer" in repr(both.producer)
    assert "'pair', open, by shm, 0 copies" in repr(both.consumer)
    assert str(context.describe()["runtime_directory"]) in repr(context)
    assert "uint8 (10,)" in repr(lava.Buffer(context, 10))


@pytest.mark.parametrize(
    ("work", "kind", "words"),
    [
        (lambda c: lava.Producer(c, "a b"), ValueError, "has the character ' '"),
        (lambda c: lava.Producer(c, "n", policy="fifo"), ValueError, "'fifo'"),
        (lambda c: lava.Producer(c, "n", memory="ram"), ValueError, "'ram'"),
        (lambda c: lava.Producer(c, "n", device="gpu0"), ValueError, "gpu0"),
        (lambda c: lava.Producer(c, "n", device=b"123"), ValueError, "3 bytes"),
        (lambda c: lava.Producer(c, "n").loan((2, -1)), ValueError, "-1"),
        (lambda c: lava.Producer(c, "n").loan("abc"), ValueError, "abc"),
        (lambda c: lava.Producer(c, "n").loan((1 << 40, 1 << 40)), ValueError, "larger than memory"),
        (lambda c: lava.Producer(c, "n").loan((2,) * 9), ValueError, "at most 8"),
        (lambda c: lava.Producer(c, "n").loan(2, "float128"), ValueError, "float128"),
        (lambda c: lava.Producer(c, "n").loan(2, ">f4"), ValueError, "byte order"),
        (lambda c: lava.Producer(c, "n").loan(2, np.dtype(">i4")), ValueError, "byte order"),
        (lambda c: lava.Producer(c, "n").loan((1 << 20) + 1), lava.TooLargeError, "1048577"),
        (lambda c: lava.Producer(c, "n").send(object()), ValueError, "object"),
        (lambda c: lava.Producer(c, "n").send("text"), ValueError, "str"),
        (lambda c: lava.Producer(c, "n").send(np.zeros(2, "i4,f4")), ValueError, "format"),
        (lambda c: lava.Producer(c, "n").send(b"", timeout=float("nan")), ValueError, "NaN"),
        (lambda c: lava.Consumer(c, "n", timeout=0), TimeoutError, "no producer of channel n"),
        (lambda c: lava.Buffer(c, 0), ValueError, "0"),
        (lambda c: lava.Buffer.from_handle(c, b"12", 0), ValueError, "2 bytes"),
        (lambda c: lava.Context("/proc/nowhere"), OSError, "/proc/nowhere"),
        (lambda c: lava.Context(log="loud"), ValueError, "loud"),
        (lambda c: lava.Context(spin=-1), ValueError, "-1"),
    ],
)
def test_wrong_use_is_told(context, work, kind, words):
    with pytest.raises(kind) as caught:
        work(context)
    error = caught.value
    assert words in str(error), error
    assert isinstance(error, lava.Error) and error.status and error.reason and error.hint


def test_the_owner_of_a_name_is_the_only_one(context):
    with lava.Producer(context, "mine"), pytest.raises(FileExistsError) as caught:
        lava.Producer(context, "mine")
    assert isinstance(caught.value, lava.AlreadyExistsError)
    lava.Producer(context, "mine").close()


def test_nothing_refers_in_circles(context):
    """Objects go with their last reference, without the garbage collector."""
    import weakref

    gc.disable()
    try:
        producer = lava.Producer(context, "circles")
        consumer = lava.Consumer(context, "circles")
        producer.send(b"x")
        frame = consumer.receive(LONG)
        references = [weakref.ref(thing) for thing in (producer, consumer, frame)]
        del producer, consumer, frame
        assert [reference() for reference in references] == [None] * 3
    finally:
        gc.enable()
