"""Round trips of a PyTorch tensor between two processes, by lava and by torch.multiprocessing, in one run: for `gpu_cuda.py`.

A tensor of `floats` goes to the peer, which answers by another one of the same size. Untouched: nobody looks at it. Touched:
each side runs a kernel over all of it, and the answer is checked. torch.multiprocessing shares it by CUDA IPC (in host
memory by files), as such or while each side keeps one tensor, so that the memory stays mapped; but then PyTorch does not
order the streams, so that each side has to wait for its own before it sends.
"""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator

import lava
import torch

LONG = 60.0
DEVICES = {"device": "cuda", "host": "cpu"}
# On the host a kernel is this thread's own work, beside peers that spin.
torch.set_num_threads(1)
ROUNDS = 10


def lava_peer(memory: str, spin: float | None, floats: int, touch: bool) -> None:
    """Answers each tensor by another one."""
    with lava.Context(spin=spin) as context, lava.Producer(
        context, "pong", memory=memory, require_memory=True, max_frame_size=4 * floats, capacity=4
    ) as here, lava.Consumer(context, "ping", memory=memory, require="zero-copy", timeout=LONG) as there:
        for frame in there:
            tensor = torch.from_dlpack(frame)
            with here.loan((floats,), "float32", timeout=LONG) as loan:
                answer = torch.from_dlpack(loan)
                if touch:
                    torch.add(tensor, 1, out=answer)
            del tensor, frame, answer


def torch_peer(inbox: object, outbox: object, memory: str, keep: bool, floats: int, touch: bool) -> None:
    """The same by queues; `keep` holds the first tensor, so that its memory stays mapped."""
    own, kept = torch.zeros(floats, device=DEVICES[memory]), []
    while (tensor := inbox.get()) is not None:
        if touch:
            torch.add(tensor, 1, out=own)
            finish(memory, keep)
        if keep and not kept:
            kept.append(tensor)
        outbox.put(own)
        del tensor
    kept.clear()


def finish(memory: str, keep: bool) -> None:
    if keep and memory == "device":
        torch.cuda.current_stream().synchronize()


@contextlib.contextmanager
def by_lava(spawn: object, memory: str, spin: float | None, floats: int, touch: bool) -> Iterator[Callable[[int], None]]:
    peer = spawn.Process(target=lava_peer, args=(memory, spin, floats, touch), daemon=True)
    peer.start()
    context = lava.Context(spin=spin)
    ping = lava.Producer(
        context, "ping", memory=memory, require_memory=True, max_frame_size=4 * floats, capacity=4
    )
    ping.wait_consumers(1, LONG)
    pong = lava.Consumer(context, "pong", memory=memory, require="zero-copy", timeout=LONG)

    def turn(number: int) -> None:
        with ping.loan((floats,), "float32", timeout=LONG) as loan:
            tensor = torch.from_dlpack(loan)
            if touch:
                tensor.fill_(number)
        answer = torch.from_dlpack(pong.receive(LONG))
        if touch:
            assert answer[-1].item() == number + 1

    try:
        yield turn
    finally:
        for end in (ping, pong, context):
            end.close()
        peer.join(LONG)
        peer.kill()


@contextlib.contextmanager
def by_torch(spawn: object, memory: str, keep: bool, floats: int, touch: bool) -> Iterator[Callable[[int], None]]:
    inbox, outbox = spawn.SimpleQueue(), spawn.SimpleQueue()
    peer = spawn.Process(target=torch_peer, args=(inbox, outbox, memory, keep, floats, touch), daemon=True)
    peer.start()
    own, kept = torch.zeros(floats, device=DEVICES[memory]), []

    def turn(number: int) -> None:
        if touch:
            own.fill_(number)
            finish(memory, keep)
        inbox.put(own)
        answer = outbox.get()
        if touch:
            assert answer[-1].item() == number + 1
        if keep and not kept:
            kept.append(answer)

    try:
        yield turn
    finally:
        kept.clear()
        inbox.put(None)
        peer.join(LONG)
        peer.kill()


def round_trips(memory: str, floats: int, touch: bool) -> dict[str, object]:
    """Microseconds of a round trip by each way, in turns, and how many times faster than torch.multiprocessing lava is."""
    import torch.multiprocessing

    spawn = torch.multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        # One after the other: the two of lava use the same names.
        works = {
            "torch.multiprocessing": stack.enter_context(by_torch(spawn, memory, False, floats, touch)),
            "torch.multiprocessing, mapping kept": stack.enter_context(by_torch(spawn, memory, True, floats, touch)),
        }
        times = {name: [] for name in (*works, "lava", "lava, spinning")}
        rounds: dict[str, list[float]] = {name: [] for name in times}
        for name, spin in (("lava", None), ("lava, spinning", float("inf"))):
            with by_lava(spawn, memory, spin, floats, touch) as turn:
                for _ in range(ROUNDS):
                    for key, work in {**works, name: turn}.items():
                        took = timed(work)
                        times[key] += took
                        rounds[key].append(statistics.median(took))
    result: dict[str, object] = {"bytes": 4 * floats, "touched": touch, "memory": memory}
    for name, values in times.items():
        result[name] = summary(values)
    for peer in works:
        for number, name in enumerate(("lava", "lava, spinning")):
            pairs = zip(rounds[peer][ROUNDS * number :], rounds[name])
            result[f"{name}: times faster than {peer}"] = statistics.median(a / b for a, b in pairs)
    return result


def steps(memory: str, floats: int, turns: int = 500) -> dict[str, object]:
    """Microseconds of each step of a hand-off, in one process and one thread."""
    names = ("loan", "tensor of it", "publish", "receive", "tensor of the frame", "release")
    times: dict[str, list[float]] = {name: [] for name in names}
    with lava.Context() as context, lava.Producer(
        context, "steps", memory=memory, require_memory=True, max_frame_size=4 * floats, capacity=4
    ) as producer, lava.Consumer(context, "steps", memory=memory, require="zero-copy", timeout=LONG) as consumer:
        for _ in range(turns):
            marks = [time.perf_counter()]
            mark = lambda: marks.append(time.perf_counter())  # noqa: E731
            loan = producer.loan((floats,), "float32", timeout=LONG)
            mark()
            written = torch.from_dlpack(loan)
            mark()
            loan.publish()
            mark()
            frame = consumer.receive(LONG)
            mark()
            read = torch.from_dlpack(frame)
            mark()
            frame.release()
            del read
            mark()
            del written
            for name, begin, end in zip(names, marks, marks[1:]):
                times[name].append((end - begin) * 1e6)
    return {name: summary(values[20:]) for name, values in times.items()}


def summary(values: list[float]) -> dict[str, float]:
    values = sorted(values)
    return {"median_us": values[len(values) // 2], "p99_us": values[len(values) * 99 // 100]}


def timed(work: Callable[[int], None], turns: int = 100) -> list[float]:
    for number in range(5):
        work(number)
    times = []
    for number in range(turns):
        start = time.perf_counter()
        work(number)
        times.append((time.perf_counter() - start) * 1e6)
    return times
