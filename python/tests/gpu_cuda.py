"""Arrays of an NVIDIA GPU: run by hand on such a machine, where the module is installed (`pip install ./python`).

    python python/tests/gpu_cuda.py [--benchmark] [--json FILE] [--limit SECONDS] [--only NAME ...]

Needs NumPy. Without PyTorch and CuPy the module's own use of CUDA is tested; with them, from_dlpack both ways, streams,
and (with --benchmark) the hand-off of a tensor beside torch.multiprocessing's. On a machine without network access,
vendor the wheels: `pip download torch -d wheels` elsewhere, `pip install --no-index --find-links wheels torch` there.

The checks run in a process of their own, in order. One that takes longer than the limit (180 s) is ended with everything
that it started, after its stacks are shown; the rest then goes on in a new process, as after a crash. Each check prints
one line: `ok`, `skipped: why` or `FAILED: why`. Exit status 0: none failed. `--json` writes the results and the numbers.
"""

import argparse
import contextlib
import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import lava

LONG = 60.0
LIMIT = 180.0
"""Seconds for one check: longer than its waits together, and than the first use of a GPU by three processes."""
SIZE = 1 << 20
CUDA = 2
MODULES = {}
"""Why a library is not there."""

try:
    import torch
except Exception as error:
    torch, MODULES["PyTorch"] = None, f"{type(error).__name__}: {error}"
try:
    import cupy
except Exception as error:
    cupy, MODULES["CuPy"] = None, f"{type(error).__name__}: {error}"


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
import json, sys, numpy as np, lava
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
    print(json.dumps([float(value) for value in sums]))
"""


@contextlib.contextmanager
def receiver(library: str) -> Iterator[Callable[[], list[float]]]:
    """A process that receives from "across"; what is called at the end gives the sum of each frame."""
    with subprocess.Popen([sys.executable, "-c", CHILD, library], stdout=subprocess.PIPE, text=True) as child:

        def sums() -> list[float]:
            output, _ = child.communicate(timeout=LONG)
            assert child.returncode == 0, f"the receiver ended with status {child.returncode}"
            return json.loads(output)

        try:
            yield sums
        finally:
            child.kill()


def across(context: lava.Context) -> lava.Producer:
    return lava.Producer(context, "across", memory="device", require_memory=True, max_frame_size=1 << 22)


def test_another_process_sees_what_was_uploaded() -> None:
    with lava.Context() as context, across(context) as producer, receiver("none") as sums:
        producer.wait_consumers(1, LONG)
        for number in range(5):
            producer.send(np.full((1000, 1000), number, "f4"), timeout=LONG)
        producer.close()
        assert sums() == [1e6 * number for number in range(5)]


def needs(library: object, name: str) -> None:
    if library is None:
        raise Skip(f"no {name}: {MODULES[name]}")
    if library is torch and not torch.cuda.is_available():
        raise Skip("PyTorch finds no CUDA")


def test_torch_writes_and_reads_in_place() -> None:
    """Neither side waits on the CPU for the work that fills the frames, which alternates between two streams."""
    needs(torch, "PyTorch")
    with lava.Context() as context, across(context) as producer, receiver("torch") as sums:
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
        received = sums()
        assert received == [1e6 * number for number in range(50)], received


def test_torch_tensors_are_sent() -> None:
    needs(torch, "PyTorch")
    dtypes = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64)
    with Pair("torch") as pair:
        for dtype in dtypes:
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


def test_torch_float8() -> None:
    needs(torch, "PyTorch")
    with Pair("float8") as pair:
        for dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
            sent = torch.arange(256, dtype=torch.uint8, device="cuda").view(dtype)
            try:
                sent.__dlpack__(max_version=(1, 0))
            except (BufferError, RuntimeError, TypeError) as error:
                raise Skip(f"this PyTorch has no {dtype} in DLPack: {error}") from None
            assert pair.producer.send(sent, timeout=LONG) == 1
            got = torch.from_dlpack(pair.consumer.receive(LONG))
            assert got.dtype == dtype and torch.equal(got.view(torch.uint8), sent.view(torch.uint8))
            del got


def test_torch_fills_a_buffer() -> None:
    """Memory of a buffer, which another library writes, goes to the receiver as it is."""
    needs(torch, "PyTorch")
    with Pair("buffer") as pair, lava.Buffer(
        pair.context, (100, 100), "float32", memory="device", require=True, shareable=True
    ) as buffer:
        for number in range(5):
            torch.from_dlpack(buffer).fill_(number)
            torch.cuda.synchronize()
            assert pair.producer.send(buffer, timeout=LONG) == 0
            got = torch.from_dlpack(pair.consumer.receive(LONG))
            assert got.shape == (100, 100) and bool((got == number).all())
            del got
            pair.producer.wait_released(buffer, timeout=LONG)


def test_tensors_outlive_everything() -> None:
    needs(torch, "PyTorch")
    with Pair("outlive") as pair:
        pair.producer.send(numbers(4), timeout=LONG)
        got = torch.from_dlpack(pair.consumer.receive(LONG))
    del pair
    assert np.array_equal(got.cpu().numpy(), numbers(4))
    side = torch.cuda.Stream()
    with Pair("named", capacity=1) as pair:
        for stream in [side.cuda_stream] + [side] * hasattr(side, "__cuda_stream__"):
            loan = pair.producer.loan((1000, 1000), "float32", timeout=LONG)
            tensor = torch.from_dlpack(loan)
            with torch.cuda.stream(side):
                tensor.fill_(7)
            loan.publish(timeout=LONG, stream=stream)
            frame = pair.consumer.receive(LONG)
            got = torch.from_dlpack(frame)
            with torch.cuda.stream(side):
                side.wait_stream(torch.cuda.default_stream())
                total = got.sum()
            frame.release(stream=stream)
            del got, tensor
            side.synchronize()
            assert total.item() == 7e6
        pair.producer.wait_released(timeout=LONG)


def test_cupy_both_ways() -> None:
    """By copies only, which need no compiler."""
    needs(cupy, "CuPy")
    host = np.random.default_rng(5).random((100, 200))
    sent = cupy.asarray(host)
    with Pair("cupy") as pair:
        assert pair.producer.send(sent, timeout=LONG) == 1
        assert pair.producer.send(ByInterface(sent), timeout=LONG) == 1
        for view in (cupy.from_dlpack, cupy.asarray):
            with pair.producer.loan((100, 200), "float64", timeout=LONG) as loan:
                array = view(loan)
                assert array.shape == (100, 200) and array.dtype == "float64"
                array.set(host)
        for number in range(4):
            frame = pair.consumer.receive(LONG)
            got = cupy.from_dlpack(frame)
            assert np.array_equal(cupy.asnumpy(got), host), number
            del got, frame
        pair.producer.wait_released(timeout=LONG)


def test_cupy_computes_in_place() -> None:
    needs(cupy, "CuPy")
    try:
        cupy.arange(10) * 2
    except Exception as error:
        raise Skip(f"CuPy cannot compile here: {error}") from None
    with Pair("kernels") as pair:
        side = cupy.cuda.Stream(non_blocking=True)
        for number in range(20):
            with side, pair.producer.loan((100, 200), "float64", timeout=LONG) as loan:
                cupy.multiply(cupy.arange(20000.0).reshape(100, 200), number, out=cupy.from_dlpack(loan))
            got = cupy.from_dlpack(pair.consumer.receive(LONG))
            assert bool((got == cupy.arange(20000.0).reshape(100, 200) * number).all()), number
            del got


def benchmarks(memory: str) -> dict[str, Callable[[], object]]:
    """Round trips of a tensor, alone and with a kernel on each side (target untouched: 10 times faster)."""

    def measure(what: str, *arguments: object) -> dict[str, object]:
        if torch is None or memory == "device":
            needs(torch, "PyTorch")
        import gpu_handoff

        numbers = getattr(gpu_handoff, what)(memory, *arguments)
        print(json.dumps(numbers, indent=1), flush=True)
        return numbers

    return {
        "benchmark_steps": lambda: measure("steps", 1 << 16),
        "benchmark_256_KiB": lambda: measure("round_trips", 1 << 16, False),
        "benchmark_64_MiB": lambda: measure("round_trips", 1 << 24, False),
        "benchmark_256_KiB_touched": lambda: measure("round_trips", 1 << 16, True),
    }


def checks_of(options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    checks = benchmarks(options.memory) if options.benchmark or options.memory == "host" else {}
    if options.memory == "device":
        checks = {name: work for name, work in globals().items() if name.startswith("test_")} | checks
    return {name: work for name, work in checks.items() if not options.only or name in options.only}


def run_checks(options: argparse.Namespace) -> None:
    """In the process of the checks: runs those that are left, and writes each one's begin and end to the file `run`."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    done = {record["check"] for record in records(options.run)}
    for name, work in checks_of(options).items():
        if name in done:
            continue
        record, begin = {"check": name}, time.monotonic()
        with options.run.open("a") as file:
            print(json.dumps(record), file=file)
        try:
            record |= {"result": "ok", "numbers": work()}
        except Skip as why:
            record |= {"result": f"skipped: {why}"}
        except Exception as error:
            traceback.print_exc()
            record |= {"result": f"FAILED: {type(error).__name__}: {error}"}
        record["seconds"] = round(time.monotonic() - begin, 2)
        with options.run.open("a") as file:
            print(json.dumps(record), file=file)
        print(f"{name} ... {record['result']}", flush=True)


def records(file: Path) -> list[dict[str, object]]:
    """The last that is known of each check."""
    lines = file.read_text().splitlines() if file.exists() else []
    return list({record["check"]: record for record in map(json.loads, lines)}.values())


def supervise(options: argparse.Namespace) -> bool:
    """Runs `run_checks` in a process until it ends, hangs or dies; whether it came to the end."""
    command = [sys.executable, __file__, *sys.argv[1:], "--run", str(options.run)]
    worker = subprocess.Popen(command, start_new_session=True)
    count, since, why = -1, time.monotonic(), ""
    while not why and worker.poll() is None:
        time.sleep(0.05)
        size = options.run.stat().st_size if options.run.exists() else 0
        if size != count:
            count, since = size, time.monotonic()
        elif time.monotonic() - since > options.limit:
            why = f"FAILED: no end after {options.limit:.0f} s"
            worker.send_signal(signal.SIGUSR1)
            time.sleep(1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    status = worker.wait()
    last = (records(options.run) or [{"check": "start"}])[-1]
    if "result" in last:
        if status == 0:
            return True
        last = {"check": "end"}
    last |= {"result": why or f"FAILED: the process ended with status {status}"}
    with options.run.open("a") as file:
        print(json.dumps(last), file=file)
    print(f"{last['check']} ... {last['result']}", flush=True)
    return last["check"] in ("start", "end")


def gpu() -> str:
    """The name of a GPU that CUDA sees. In a process of its own, which may hang or crash."""
    program = """
import lava
with lava.Context() as context:
    lava.Buffer(context, 100, memory="device", require=True, shareable=True).__dlpack_device__()
    print(context.devices()[0]["name"])
"""
    try:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LONG)
    except subprocess.TimeoutExpired:
        raise Skip(f"lava opens no GPU within {LONG:.0f} s") from None
    if done.returncode != 0:
        raise Skip(f"no GPU that CUDA sees: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--benchmark", action="store_true")
    parser.add_argument("--memory", choices=("device", "host"), default="device", help="host: the benchmark alone, without a GPU")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--limit", type=float, default=LIMIT)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_checks(options)
        return 0
    versions = {name: getattr(module, "__version__", MODULES.get(name)) for name, module in
                (("lava", lava), ("numpy", np), ("PyTorch", torch), ("CuPy", cupy))}  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        os.environ["LAVA_RUNTIME_DIR"] = directory
        options.run = Path(directory) / "checks.jsonl"
        try:
            device = gpu() if options.memory == "device" else "host memory"
        except Skip as why:
            print(f"skipped: {why}")
            return 0
        print(f"on {device}: {versions}", flush=True)
        while not supervise(options):
            pass
        results = records(options.run)
    if options.json:
        options.json.write_text(json.dumps({"device": device, "versions": versions, "checks": results}, indent=1))
    failed = [record["check"] for record in results if not str(record.get("result", "FAILED")).startswith(("ok", "skipped"))]
    print(f"{len(results) - len(failed)} of {len(results)} checks without failure", flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
