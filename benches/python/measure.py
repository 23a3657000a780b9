"""What the Python module costs, beside the C call, its peers, and what is physically possible, in one run.

    pip install ./python benches/python/empty numpy pyzmq iceoryx2
    cargo build --release -p lava-benches --example receive_cost
    python benches/python/measure.py [ROUNDS]

Each row is measured in turns with its peers, ROUNDS times (15 if not said); numbers are medians, ratios are medians of the
ratios of each round. Peers that are not installed are left out, and named.
"""

import asyncio
import ctypes
import json
import multiprocessing
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import lava

SIZE = 1 << 20
BATCH = 32
HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[1] / "target"))

try:
    import zmq
except ImportError:
    zmq = None
try:
    import iceoryx2
except ImportError:
    iceoryx2 = None


def rounds_of(count: int, works: dict) -> dict:
    """Microseconds of each work, by round."""
    for work in works.values():
        work()
    return {name: values for name, values in zip(works, zip(*([work() for work in works.values()] for _ in range(count))))}


def ratio(times: dict, over: str, under: str) -> float:
    return statistics.median(a / b for a, b in zip(times[over], times[under]))


def row(what: str, times: dict, verdict: str) -> None:
    numbers = ", ".join(f"{name} {statistics.median(values):.2f}" for name, values in times.items())
    print(f"{what}: {numbers} us; {verdict}", flush=True)


def receive(count: int) -> None:
    """Frames that are there: receive, look at by NumPy, release; beside the same in Rust through the C ABI."""
    peer = subprocess.Popen(
        [TARGET / "release/examples/receive_cost"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def by_c() -> float:
        peer.stdin.write("\n")
        peer.stdin.flush()
        return int(peer.stdout.readline()) / 1000

    context = lava.Context()
    producer = lava.Producer(context, "cost", capacity=BATCH, max_frame_size=SIZE)
    consumer = lava.Consumer(context, "cost")

    def measure(look, prepare=lambda: [producer.loan(SIZE).publish() for _ in range(BATCH)]) -> float:
        """Microseconds a frame in the median batch: on a machine with other work some batches are interrupted."""
        times = []
        for _ in range(100):
            prepare()
            start = time.perf_counter()
            look()
            times.append(time.perf_counter() - start)
        return statistics.median(times) / BATCH * 1e6

    def by_python() -> None:
        for _ in range(BATCH):
            frame = consumer.try_receive()
            np.asarray(frame)
            frame.release()

    def no_view() -> None:
        for _ in range(BATCH):
            consumer.try_receive()

    own = bytearray(SIZE)

    def view_only() -> None:
        for _ in range(BATCH):
            np.asarray(own)

    works = {
        "C": by_c,
        "Python": lambda: measure(by_python),
        "without the view": lambda: measure(no_view),
        "NumPy's view of a bytearray": lambda: measure(view_only, lambda: None),
    }
    times = rounds_of(count, works)
    cost = statistics.median(a - b for a, b in zip(times["Python"], times["C"]))
    row("receive, NumPy view, release, 1 MiB", times, f"Python costs {cost:.2f} us (target: 2)")
    peer.communicate()


def echo_lava(touch: bool, name: str, spin: float | None) -> None:
    context = lava.Context(spin=spin)
    there = lava.Consumer(context, f"{name}/there")
    back = lava.Producer(context, f"{name}/back")
    for frame in there:
        with frame:
            view = np.asarray(frame)
            back.send(b"12345678" if not touch else int(view.sum()).to_bytes(8, "little"))
            del view


def echo_queue(touch: bool, there, back) -> None:
    while (array := there.get()) is not None:
        back.put(b"12345678" if not touch else int(array.sum()).to_bytes(8, "little"))


def echo_zmq(touch: bool, directory: str) -> None:
    context = zmq.Context()
    there, back = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    there.bind(f"ipc://{directory}/there")
    back.connect(f"ipc://{directory}/back")
    while len(message := there.recv(copy=False)):
        array = np.frombuffer(message, "u1")
        back.send(b"12345678" if not touch else int(array.sum()).to_bytes(8, "little"))


def open_iceoryx2(receives: str, sends: str):
    node = iceoryx2.NodeBuilder.new().create(iceoryx2.ServiceType.Ipc)
    ends = []
    for name, sending in ((receives, False), (sends, True)):
        service = (
            node.service_builder(iceoryx2.ServiceName.new(name))
            .publish_subscribe(iceoryx2.Slice[ctypes.c_uint8])
            .open_or_create()
        )
        if sending:
            ends.append(service.publisher_builder().initial_max_slice_len(SIZE).create())
        else:
            ends.append(service.subscriber_builder().create())
    return node, *ends


def bytes_of(payload) -> np.ndarray:
    """Its slices give an address."""
    return np.ctypeslib.as_array((ctypes.c_uint8 * payload.len()).from_address(payload.as_ptr()))


def echo_iceoryx2(touch: bool, name: str) -> None:
    node, there, back = open_iceoryx2(f"{name}/there", f"{name}/back")
    while True:
        sample = there.receive()
        if sample is None:
            continue
        payload = sample.payload()
        if payload.len() == 1:
            return
        array = bytes_of(payload)
        answer = back.loan_slice_uninit(8)
        if touch:
            array.sum()
        sample.delete()
        answer.assume_init().send()


def hand_over(count: int, touch: bool) -> None:
    """A round trip: 1 MiB there, 8 bytes back. Touched: written by one side and summed up by the other."""
    spawn = multiprocessing.get_context("spawn")
    fill = (lambda array: array.fill(3)) if touch else (lambda array: None)
    own = np.zeros(SIZE, "u1")
    processes, endings, works, turns = [], [], {}, 200

    def start(target, *arguments) -> None:
        processes.append(spawn.Process(target=target, args=(touch, *arguments), daemon=True))
        processes[-1].start()

    def timed(work):
        def measure() -> float:
            """The median round trip: on a machine with other work some are interrupted."""
            times = []
            for _ in range(turns):
                begin = time.perf_counter()
                work()
                times.append(time.perf_counter() - begin)
            return statistics.median(times) * 1e6

        return measure

    def add_lava(name: str, spin: float | None) -> None:
        context, channel = lava.Context(spin=spin), name.replace(" ", "-")
        producer = lava.Producer(context, f"{channel}/there", max_frame_size=SIZE)
        start(echo_lava, channel, spin)
        answers = lava.Consumer(context, f"{channel}/back", timeout=60)

        def by_lava() -> None:
            with producer.loan(SIZE) as loan:
                fill(np.asarray(loan))
            answers.receive()

        works[name] = timed(by_lava)
        endings.append(producer.close)

    add_lava("lava", None)
    # As iceoryx2's Python does, which has no call that sleeps until a sample comes.
    add_lava("lava polling", float("inf"))

    there, back = spawn.Queue(), spawn.Queue()
    start(echo_queue, there, back)

    def by_queue() -> None:
        fill(own)
        there.put(own)
        back.get()

    works["multiprocessing.Queue"] = timed(by_queue)
    endings.append(lambda: there.put(None))

    directory = tempfile.TemporaryDirectory()
    if zmq is not None:
        start(echo_zmq, directory.name)
        sockets = zmq.Context()
        push, pull = sockets.socket(zmq.PUSH), sockets.socket(zmq.PULL)
        push.connect(f"ipc://{directory.name}/there")
        pull.bind(f"ipc://{directory.name}/back")

        def by_zmq() -> None:
            fill(own)
            push.send(own, copy=False)
            pull.recv()

        works["pyzmq"] = timed(by_zmq)
        endings.append(lambda: push.send(b""))
    if iceoryx2 is not None:
        name = f"lava-{os.getpid()}-{touch}"
        node, replies, publisher = open_iceoryx2(f"{name}/back", f"{name}/there")
        start(echo_iceoryx2, name)

        def by_iceoryx2() -> None:
            sample = publisher.loan_slice_uninit(SIZE)
            if touch:
                fill(bytes_of(sample.payload()))
            sample.assume_init().send()
            while (reply := replies.receive()) is None:
                pass
            reply.delete()

        deadline = time.monotonic() + 30
        while True:
            publisher.loan_slice_uninit(SIZE).assume_init().send()
            time.sleep(0.01)
            if (reply := replies.receive()) is not None:
                reply.delete()
                break
            assert time.monotonic() < deadline, "iceoryx2's peer does not answer"
        while (reply := replies.receive()) is not None:
            reply.delete()
            time.sleep(0.05)
        works["iceoryx2"] = timed(by_iceoryx2)
        endings.append(lambda: publisher.loan_slice_uninit(1).assume_init().send())

    times = rounds_of(count, works)
    ours = {"iceoryx2": "lava polling"}
    verdicts = [
        f"{ratio(times, name, ours.get(name, 'lava')):.1f} ({ratio(times, name, 'lava polling'):.1f} polling) times {name}"
        for name in works
        if not name.startswith("lava")
    ]
    missing = [name for name, module in (("pyzmq", zmq), ("iceoryx2", iceoryx2)) if module is None]
    what = "1 MiB written there and summed up here" if touch else "1 MiB handed over, not touched"
    row(f"{what}, and an answer", times, "faster than " + ", ".join(verdicts) + "".join(f"; {name} is not installed" for name in missing))
    for end in endings:
        end()
    for process in processes:
        process.join(10)
        process.kill()


def asynchronous(count: int) -> None:
    """One event a turn of the loop: `async for`, beside a future that a reader of an eventfd sets."""
    turns = 2000

    async def by_lava() -> float:
        loop = asyncio.get_running_loop()
        with lava.Context() as context, lava.Producer(context, "turns") as producer:
            consumer = lava.Consumer(context, "turns")
            loop.call_soon(producer.send, b"12345678")
            number, begin = 0, time.perf_counter()
            async for _ in consumer:
                number += 1
                if number == turns:
                    break
                loop.call_soon(producer.send, b"12345678")
            took = time.perf_counter() - begin
            consumer.close()
        return took / turns * 1e6

    async def by_eventfd() -> float:
        loop = asyncio.get_running_loop()
        fd = os.eventfd(0, os.EFD_NONBLOCK)
        waiter = loop.create_future()

        def readable() -> None:
            os.eventfd_read(fd)
            waiter.set_result(None)

        loop.add_reader(fd, readable)
        begin = time.perf_counter()
        for _ in range(turns):
            waiter = loop.create_future()
            loop.call_soon(os.eventfd_write, fd, 1)
            await waiter
        took = time.perf_counter() - begin
        loop.remove_reader(fd)
        os.close(fd)
        return took / turns * 1e6

    times = rounds_of(count, {"lava": lambda: asyncio.run(by_lava()), "eventfd": lambda: asyncio.run(by_eventfd())})
    context = lava.Context()
    producer = lava.Producer(context, "alone")
    consumer = lava.Consumer(context, "alone")
    consumer.fileno()
    fd = os.eventfd(0)

    def sending() -> float:
        total = 0.0
        for _ in range(turns):
            while consumer.try_receive() is not None:
                pass
            begin = time.perf_counter()
            producer.send(b"12345678")
            total += time.perf_counter() - begin
        return total / turns * 1e6

    def writing() -> float:
        begin = time.perf_counter()
        for _ in range(turns):
            os.eventfd_write(fd, 1)
        return (time.perf_counter() - begin) / turns * 1e6

    alone = rounds_of(count, {"lava": sending, "eventfd": writing})
    row("  of which the sender's call", alone, "the rest is the loop and the receiver")
    os.close(fd)
    row("async for, one frame a turn", times, f"{ratio(times, 'lava', 'eventfd'):.2f} of a bare eventfd (target: 1.3)")


def importing(count: int) -> None:
    """In fresh processes, with the bytecode there."""

    def of(module: str):
        program = f"import time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1e6)"
        return lambda: float(subprocess.check_output([sys.executable, "-I", "-c", program]))

    try:
        import empty  # noqa: F401
    except ImportError:
        print("import: the module benches/python/empty is not installed")
        return
    times = rounds_of(count, {"lava": of("lava"), "an empty module": of("empty")})
    row("import", times, f"{ratio(times, 'lava', 'an empty module'):.2f} of an empty PyO3 module (target: 1.5)")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as directory:
        os.environ["LAVA_RUNTIME_DIR"] = directory
        print(json.dumps({"python": sys.version.split()[0], "processors": os.cpu_count(), "rounds": count}))
        receive(count)
        hand_over(count, touch=False)
        hand_over(count, touch=True)
        asynchronous(count)
        importing(count)


if __name__ == "__main__":
    main()
