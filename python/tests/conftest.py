"""What the tests share: a runtime directory for each test, helper processes that never outlive it."""

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lava

LONG = 60.0
"""Seconds that no wait reaches, even on a loaded machine."""


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "run"
    for name in [name for name in os.environ if name.startswith("LAVA_") and name != "LAVA_TESTS"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAVA_RUNTIME_DIR", str(directory))
    return directory


@pytest.fixture
def context() -> Iterator[lava.Context]:
    with lava.Context() as context:
        yield context


class Pair:
    """A channel with one consumer, in one process."""

    def __init__(self, context: lava.Context, name: str = "pair", **options: object) -> None:
        wishes = {key[len("consumer_") :]: options.pop(key) for key in list(options) if key.startswith("consumer_")}
        self.producer = lava.Producer(context, name, **options)  # type: ignore[arg-type]
        self.consumer = lava.Consumer(context, name, timeout=LONG, **wishes)  # type: ignore[arg-type]

    def close(self) -> None:
        self.producer.close()
        self.consumer.close()


@pytest.fixture
def pair(context: lava.Context) -> Iterator[Callable[..., Pair]]:
    pairs: list[Pair] = []

    def make(name: str = "pair", **options: object) -> Pair:
        pairs.append(Pair(context, name, **options))
        return pairs[-1]

    yield make
    for made in pairs:
        made.close()


class Child:
    """A Python process that runs `source`."""

    def __init__(self, source: str, *arguments: str, dev: bool = True, **environment: str) -> None:
        flags = ["-X", "dev", "-W", "error"] if dev else []
        self.process = subprocess.Popen(
            [sys.executable, *flags, "-c", textwrap.dedent(source), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def finish(self) -> str:
        """What it still wrote, after it ended well."""
        output, errors = self.process.communicate(timeout=LONG)
        assert self.process.returncode == 0, f"exit {self.process.returncode}: {output}{errors}"
        return output

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def start(source: str, *arguments: str, **environment: str) -> Child:
        children.append(Child(source, *arguments, **environment))
        return children[-1]

    yield start
    for process in children:
        process.kill()


@pytest.fixture
def thread() -> Iterator[Callable[[Callable[[], None]], threading.Thread]]:
    """Runs a function in a thread; what it raises fails the test."""
    threads: list[threading.Thread] = []
    faults: list[BaseException] = []

    def start(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                faults.append(error)

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return threads[-1]

    yield start
    for started in threads:
        started.join(LONG)
        assert not started.is_alive(), "a thread hangs"
    assert not faults, faults
