"""Arrays of an NVIDIA GPU: run by hand on such a machine, where the module is installed (`pip install ./python`).

    python python/tests/gpu_cuda.py [--benchmark]

Needs NumPy. Without PyTorch and CuPy the module's own use of CUDA is tested; with them, from_dlpack both ways, streams,
and (with --benchmark) the hand-off of a tensor beside torch.multiprocessing's. On a machine without network access,
vendor the wheels: `pip download torch -d wheels` elsewhere, `pip install --no-index --find-links wheels torch` there.
Exit status 0: all that could be run passed; each line says what, or `skipped: why`.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

import numpy as np

import lava

LONG = 60.0
SIZE = 1 << 20
CUDA = 2

try:
    import torch

    if not torch.cuda.is_available():
        torch = None
except ImportError:
    torch = None
try:
    import cupy
except ImportError:
    cupy = None


class Skip(Exception):
    """Why a test cannot run here."""


class Pair:
    """A producer and a consumer of one process, on the GPU."""

    def __init__(self, name: str, **options: object) -> None:
        self.context = lava.Context()
        options = {"memory": "device", "require_memory": True, "max_frame_size": 4 * SIZE} | options
        self.producer = lava.Producer(self.context, name, **options)
        self.consumer = lava.Consumer(self.context, name, memory="device")

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, *_: object) -> None:
        self.producer.close()
        self.consumer.close()
        self.context.close()


class ByInterface:
    """An array that tells CUDA's array interface only."""

    def __init__(self, inner: object, **changes: object) -> None:
        self.inner = inner
        self.__cuda_array_interface__ = inner.__cuda_array_interface__ | changes


class ByDLPack:
    """An array that knows DLPack only, of version 1 or 0."""

    def __init__(self, inner: object, legacy: bool = False) -> None:
        self.inner, self.legacy = inner, legacy

    def __dlpack__(self, *, stream: object = None, **more: object) -> object:
        if self.legacy and more:
            raise TypeError("an unexpected argument")
        return self.inner.__dlpack__(stream=stream, **more)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.inner.__dlpack_device__()


def numbers(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((SIZE // 64, 16), "f4")


def test_views_name_the_device() -> None:
    with Pair("device") as pair:
        pair.producer.send(numbers(1))
        frame = pair.consumer.receive(LONG)
        assert frame.memory == "device" and frame.transport == "vulkan", frame
        kind, ordinal = frame.__dlpack_device__()
        assert kind == CUDA and ordinal >= 0
        about = frame.__cuda_array_interface__
        assert about["version"] == 3 and about["shape"] == frame.shape and about["typestr"] == "<f4"
        assert about["data"][0] and about["data"][1] is True
        for request in ({}, {"max_version": (1, 0)}, {"max_version": (1, 0), "stream": -1}):
            assert "dltensor" in repr(frame.__dlpack__(**{"stream": 1} | request))
        try:
            memoryview(frame)
        except BufferError:
            pass
        else:
            raise AssertionError("it has no address on the host")
        assert np.array_equal(np.from_dlpack(frame, device="cpu"), numbers(1))


def test_foreign_memory_is_copied_once() -> None:
    """By both protocols, from a buffer and from a received frame, within the GPU and to the host."""
    with Pair("copies", capacity=16) as pair, lava.Buffer(
        pair.context, (SIZE // 64, 16), "float32", memory="device", require=True, shareable=True
    ) as buffer, lava.Producer(pair.context, "on_host", max_frame_size=SIZE) as host:
        buffer.write(numbers(2))
        reader = lava.Consumer(pair.context, "on_host")
        for source in (ByInterface(buffer), ByDLPack(buffer), ByDLPack(buffer, legacy=True), ByInterface(buffer, strides=None)):
            assert pair.producer.send(source, timeout=LONG) == 1
            with pair.consumer.receive(LONG) as frame:
                assert frame.memory == "device" and frame.shape == buffer.shape and frame.dtype == "float32"
                frame.wait_ready(LONG)
                assert frame.tobytes() == numbers(2).tobytes()
                # On to another channel, straight from the received frame.
                assert host.send(ByDLPack(frame), timeout=LONG) == 1
                assert host.send(ByInterface(frame), timeout=LONG) == 1
                for _ in range(2):
                    assert np.array_equal(np.asarray(reader.receive(LONG)), numbers(2))
        assert pair.producer.send(buffer, tag=9, timeout=LONG) == 0
        with pair.consumer.receive(LONG) as frame:
            assert frame.tag == 9 and frame.tobytes() == numbers(2).tobytes()
        pair.producer.wait_released(timeout=LONG)


def test_frames_come_back_after_their_streams() -> None:
    with Pair("streams", capacity=1) as pair:
        for stream in (1, 2, -1):
            pair.producer.send(numbers(3), timeout=LONG)
            frame = pair.consumer.receive(LONG)
            capsule = frame.__dlpack__(stream=stream, max_version=(1, 0))
            frame.release()
            try:
                pair.producer.loan(SIZE, timeout=0)
            except lava.WouldBlockError:
                pass
            else:
                raise AssertionError("the slot is free while a view lives")
            del capsule
        pair.producer.wait_released(timeout=LONG)
        for stream in (1, 2, -1):
            loan = pair.producer.loan((16,), "f4", timeout=LONG)
            del_me = loan.__dlpack__(stream=stream)
            loan.publish(timeout=LONG)
            del del_me
            pair.consumer.receive(LONG).release(stream=1)
        pair.producer.wait_released(timeout=LONG)


CHILD = """
import sys, numpy as np, lava
with lava.Context() as context, lava.Consumer(context, "across", memory="device", require="zero-copy", timeout=60) as consumer:
    sums = []
    for frame in consumer:
        if sys.argv[1] == "torch":
            import torch
            tensor = torch.from_dlpack(frame)
            assert tensor.is_cuda and tensor.shape == (1000, 1000)
            sums.append(tensor.double().sum())
            del tensor
        else:
            frame.wait_ready(60)
            sums.append(float(np.frombuffer(frame.tobytes(), "f4").sum(dtype="f8")))
    print([float(value) for value in sums])
"""


def receive_elsewhere(library: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", CHILD, library], stdout=subprocess.PIPE, text=True)


def test_another_process_sees_what_was_uploaded() -> None:
    with lava.Context() as context, lava.Producer(
        context, "across", memory="device", require_memory=True, max_frame_size=1 << 22
    ) as producer:
        child = receive_elsewhere("none")
        for number in range(5):
            producer.send(np.full((1000, 1000), number, "f4"), timeout=LONG)
        producer.close()
        assert eval(child.communicate(timeout=LONG)[0]) == [1e6 * number for number in range(5)]


def needs(library: object, name: str) -> None:
    if library is None:
        raise Skip(f"no {name} with CUDA")


def test_torch_writes_and_reads_in_place() -> None:
    needs(torch, "PyTorch")
    with lava.Context() as context, lava.Producer(
        context, "across", memory="device", require_memory=True, max_frame_size=1 << 22
    ) as producer:
        child = receive_elsewhere("torch")
        producer.wait_consumers(1, LONG)
        side = torch.cuda.Stream()
        for number in range(50):
            with torch.cuda.stream(side if number % 2 else torch.cuda.current_stream()):
                with producer.loan((1000, 1000), "float32", timeout=LONG) as loan:
                    tensor = torch.from_dlpack(loan)
                    assert tensor.is_cuda
                    # Work that is not done when the frame is sent.
                    busy = torch.ones(2000, 2000, device="cuda")
                    for _ in range(5):
                        busy = busy @ busy * 5e-4
                    tensor.copy_((busy[:1000, :1000] * 0 + number))
        producer.close()
        sums = eval(child.communicate(timeout=LONG)[0])
        assert sums == [1e6 * number for number in range(50)], sums


def test_torch_tensors_are_sent() -> None:
    needs(torch, "PyTorch")
    with Pair("torch") as pair:
        for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64):
            sent = (torch.arange(6000, device="cuda").reshape(20, 300) % 2).to(dtype)
            assert pair.producer.send(sent, timeout=LONG) == 1
            frame = pair.consumer.receive(LONG)
            got = torch.from_dlpack(frame)
            assert got.dtype == dtype and got.is_cuda and torch.equal(got, sent), dtype
            del got, frame
        assert pair.producer.send(torch.ones(10), timeout=LONG) == 1, "a tensor on the CPU"
        pair.consumer.receive(LONG)
        try:
            pair.producer.send(sent.T)
        except ValueError as error:
            assert "contiguous" in str(error)
        else:
            raise AssertionError("not contiguous")
    torch.cuda.synchronize()


def test_cupy_both_ways() -> None:
    needs(cupy, "CuPy")
    with Pair("cupy") as pair:
        sent = cupy.random.random((100, 200))
        assert pair.producer.send(sent, timeout=LONG) == 1
        with pair.producer.loan((100, 200), "float64") as loan:
            cupy.from_dlpack(loan)[...] = sent * 2
        for factor in (1, 2):
            frame = pair.consumer.receive(LONG)
            assert cupy.array_equal(cupy.from_dlpack(frame), sent * factor)
            del frame


ECHO = """
import sys, lava, torch
with lava.Context(spin=float("inf")) as context:
    here = lava.Producer(context, "pong", memory="device", max_frame_size=1 << 20)
    there = lava.Consumer(context, "ping", memory="device", require="zero-copy", timeout=60)
    for frame in there:
        tensor = torch.from_dlpack(frame)
        with here.loan((256, 256), "float32") as loan:
            torch.from_dlpack(loan)
        del tensor, frame
"""


def torch_echo(inbox, outbox) -> None:
    while (tensor := inbox.get()) is not None:
        outbox.put(tensor)


def benchmark() -> None:
    """Round trips of a tensor of 256 KiB, not touched: lava and torch.multiprocessing in turn."""
    needs(torch, "PyTorch")
    import torch.multiprocessing as multiprocessing

    multiprocessing.set_start_method("spawn")
    inbox, outbox = multiprocessing.SimpleQueue(), multiprocessing.SimpleQueue()
    peer = multiprocessing.Process(target=torch_echo, args=(inbox, outbox), daemon=True)
    peer.start()
    child = subprocess.Popen([sys.executable, "-c", ECHO])
    own = torch.zeros(256, 256, device="cuda")
    context = lava.Context(spin=float("inf"))
    ping = lava.Producer(context, "ping", memory="device", require_memory=True, max_frame_size=1 << 20)
    ping.wait_consumers(1, LONG)
    pong = lava.Consumer(context, "pong", memory="device", require="zero-copy", timeout=LONG)

    def by_lava() -> None:
        with ping.loan((256, 256), "float32") as loan:
            torch.from_dlpack(loan)
        frame = pong.receive(LONG)
        torch.from_dlpack(frame)

    def by_torch() -> None:
        inbox.put(own)
        outbox.get()

    ratios, times = [], {by_lava: [], by_torch: []}
    for _ in range(20):
        for work in (by_lava, by_torch):
            start = time.perf_counter()
            for _ in range(200):
                work()
            times[work].append((time.perf_counter() - start) / 200 * 1e6)
        ratios.append(times[by_torch][-1] / times[by_lava][-1])
    print(f"round trip, lava {statistics.median(times[by_lava]):.1f} us, torch.multiprocessing "
          f"{statistics.median(times[by_torch]):.1f} us: {statistics.median(ratios):.1f} times faster (target: 10)")  # fmt: skip
    inbox.put(None)
    ping.close()
    child.wait(LONG)
    peer.join(LONG)


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        os.environ["LAVA_RUNTIME_DIR"] = directory
        try:
            with lava.Context() as context:
                name = context.devices()[0]["name"]
                lava.Buffer(context, 100, memory="device", require=True, shareable=True).__dlpack_device__()
        except (lava.Error, BufferError) as error:
            print(f"skipped: no GPU that CUDA sees: {error}")
            return 0
        print(f"on {name}; torch {getattr(torch, '__version__', None)}, cupy {getattr(cupy, '__version__', None)}")
        tests = [work for key, work in globals().items() if key.startswith("test_")]
        failed = 0
        for work in tests + [benchmark] * ("--benchmark" in sys.argv):
            try:
                work()
                print(f"{work.__name__} ... ok")
            except Skip as why:
                print(f"{work.__name__} ... skipped: {why}")
            except Exception:
                failed += 1
                traceback.print_exc()
                print(f"{work.__name__} ... FAILED")
        return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
