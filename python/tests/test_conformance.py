"""The scenarios of tests/conformance/scenarios.txt, with Python on either side and every language that was built.

A language is a command that takes `list` or `producer|consumer NAME CHANNEL`: Python's is in `conformance/`, others are
named by environment variables `CONFORMANCE_<LANGUAGE>`, as tests/stages/python.sh sets them.
"""

import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

HERE = pathlib.Path(__file__).parent
PYTHON = [sys.executable, "-W", "error", str(HERE / "conformance")]
LIMIT = 120.0
"""Far above what any scenario needs on a loaded machine; every wait inside of one is shorter."""
SKIPPED = 77


def languages() -> dict[str, list[str]]:
    prefix = "CONFORMANCE_"
    others = {name[len(prefix) :].lower(): [path] for name, path in os.environ.items() if name.startswith(prefix)}
    return {"python": PYTHON} | others


def scenarios() -> dict[str, int]:
    """Name and number of consumer processes."""
    lines = (HERE.parents[1] / "tests/conformance/scenarios.txt").read_text().splitlines()
    return {line.split()[0]: int(line.split()[1]) for line in lines if line and not line.startswith("#")}


def pairs() -> Iterator[tuple[str, str, str]]:
    """Each scenario in both directions, with the other languages in turn; with LAVA_TESTS=soak with each of them."""
    others = sorted(set(languages()) - {"python"}) or ["python"]
    for index, name in enumerate(scenarios()):
        for turn in range(len(others) if os.environ.get("LAVA_TESTS") == "soak" else 1):
            yield name, "python", others[(index + turn) % len(others)]
            if others != ["python"]:
                yield name, others[(index + turn + 1) % len(others)], "python"


class Part:
    """A process that plays one side."""

    def __init__(self, index: int, command: list[str], events: "queue.Queue[tuple[int, str]]", environment: dict) -> None:
        self.role = command[-3]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.waits_for: str | None = None
        self.dying = self.ended = False
        self.errors = ""

        def listen() -> None:
            for line in self.process.stdout:
                events.put((index, line.strip()))
            events.put((index, "ended"))

        def hear_errors() -> None:
            self.errors = self.process.stderr.read()

        self.threads = [threading.Thread(target=work, daemon=True) for work in (listen, hear_errors)]
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    def __str__(self) -> str:
        state = "has ended" if self.ended else f"waits at `{self.waits_for}`" if self.waits_for else "is running"
        return f"{self.role} {state}"


def direct(parts: list[Part], events: "queue.Queue[tuple[int, str]]") -> str | None:
    """Lets the parts meet until all have ended; says what went wrong."""
    while not all(part.ended for part in parts):
        try:
            index, said = events.get(timeout=LIMIT)
        except queue.Empty:
            return f"nothing happens: {', '.join(map(str, parts))}"
        if said == "ended":
            parts[index].ended = True
        elif said == "dying":
            parts[index].dying = True
        elif said.startswith("meet "):
            parts[index].waits_for = said[len("meet ") :]
        words = [part.waits_for for part in parts]
        if any(words) and all(part.ended or part.waits_for for part in parts):
            if len(set(words)) != 1:
                return f"they do not meet: {', '.join(map(str, parts))}"
            for part in parts:
                part.waits_for = None
                part.process.stdin.write(f"go {words[0]}\n")
                part.process.stdin.flush()
    return None


@pytest.mark.parametrize(("name", "producer", "consumer"), list(pairs()))
def test_scenario(name, producer, consumer, runtime_directory, tmp_path):
    commands = languages()
    events: queue.Queue[tuple[int, str]] = queue.Queue()
    # C and C++ are built with AddressSanitizer. What Mesa's Vulkan driver keeps until the process ends is its own; it is told
    # by its name, so it stays loaded.
    leaks = tmp_path / "leaks_of_drivers"
    leaks.write_text("leak:libvulkan\nleak:libLLVM\n")
    environment = os.environ | {
        "LAVA_RUNTIME_DIR": str(runtime_directory),
        "ASAN_OPTIONS": "exitcode=67:detect_leaks=1",
        "LSAN_OPTIONS": f"print_suppressions=0:suppressions={leaks}",
    }
    if driver := next(pathlib.Path("/usr/lib").glob("*/libvulkan_lvp.so"), None):
        sanitized = {"LD_PRELOAD": str(driver)}
    else:
        sanitized = {}
    roles = [("producer", producer)] + [("consumer", consumer)] * scenarios()[name]
    parts = [
        Part(
            index,
            [*commands[language], role, name, f"conformance/{name}"],
            events,
            environment | (sanitized if language in ("c", "cpp") else {}),
        )
        for index, (role, language) in enumerate(roles)
    ]
    try:
        fault = direct(parts, events)
        codes = [None if fault else part.process.wait(LIMIT) for part in parts]
    finally:
        for part in parts:
            part.end()
    said = "\n".join(f"{part.role} ({code}): {part.errors}" for part, code in zip(parts, codes, strict=True))
    if SKIPPED in codes:
        pytest.skip(said)
    assert fault is None, f"{fault}\n{said}"
    assert all(code == (-signal.SIGKILL if part.dying else 0) for part, code in zip(parts, codes, strict=True)), said


def test_python_has_every_scenario():
    listed = subprocess.check_output([*PYTHON, "list"], text=True).split()
    assert sorted(listed) == sorted(scenarios())
