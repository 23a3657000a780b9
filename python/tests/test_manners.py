"""How the module behaves in a process that is not its own."""

import json
import logging
import os
import pathlib
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest

import lava
import lava._lava

LONG = 60.0
PACKAGE = pathlib.Path(lava.__file__).parent


def test_importing_loads_nothing_heavy(child):
    loaded = child("""
        import sys
        before = set(sys.modules)
        import lava
        print(*sorted(set(sys.modules) - before))
    """)
    names = set(loaded.finish().split())
    assert {name for name in names if not name.startswith("encodings")} == {"lava", "lava._lava"}


def test_only_the_init_symbol_is_exported():
    if shutil.which("nm") is None:
        pytest.skip("nm is missing")
    command = ["nm", "--dynamic", "--defined-only", "--format=just-symbols", lava._lava.__file__]
    assert subprocess.check_output(command, text=True).split() == ["PyInit__lava"]


def test_the_package_is_typed():
    assert (PACKAGE / "py.typed").exists() and (PACKAGE / "_lava.pyi").exists()


def test_everything_public_is_documented():
    for name in lava.__all__:
        thing = getattr(lava, name)
        assert name == "__version__" or thing.__doc__, name


@pytest.mark.parametrize("kind", [lava.Context, lava.Producer, lava.Consumer, lava.Buffer, lava.Frame])
def test_handles_are_not_pickled(kind, pair, context):
    both = pair()
    loan = both.producer.loan(3)
    things = [context, both.producer, both.consumer, lava.Buffer(context, 8), loan]
    thing = next(thing for thing in things if isinstance(thing, kind))
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(thing)


def test_errors_have_their_parts(context):
    with pytest.raises(lava.Error) as caught:
        lava.Consumer(context, "absent", timeout=0.01)
    error = caught.value
    assert isinstance(error, lava.TimedOutError) and isinstance(error, TimeoutError)
    assert error.status == 2 and "absent" in error.reason and "start it" in error.hint
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.hint) == (type(error), str(error), error.hint)
    kinds = [getattr(lava, name) for name in lava.__all__ if name.endswith("Error")]
    assert all(issubclass(kind, lava.Error) for kind in kinds)
    statuses = [kind.status for kind in kinds if kind is not lava.Error]
    assert len(statuses) == len(set(statuses)) == len(kinds) - 1


def test_a_forked_child_is_told(pair):
    both = pair()
    both.producer.send(b"x")
    frame = both.consumer.receive(LONG)
    loan = both.producer.loan(100)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            for use in (
                lambda: both.producer.send(b""),
                lambda: both.producer.loan(3),
                lambda: both.consumer.receive(),
                lambda: next(both.consumer),
                lambda: both.consumer.describe(),
                lambda: loan.publish(),
                lambda: memoryview(loan),
                lambda: frame.wait_ready(),
            ):
                try:
                    use()
                except (lava.ForkedError, BufferError) as error:
                    assert "forked" in str(error)
                else:
                    raise AssertionError(use)
            with lava.Context() as own, lava.Producer(own, "child") as producer, lava.Consumer(own, "child") as consumer:
                producer.send(b"fine")
                assert consumer.receive(LONG).tobytes() == b"fine"
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    loan.publish()
    assert both.consumer.receive(LONG).nbytes == 100


def test_the_log_goes_to_logging(caplog):
    caplog.set_level(logging.DEBUG, logger="lava")
    with lava.Context() as context, lava.Producer(context, "logged") as producer, lava.Consumer(context, "logged"):
        producer.send(b"x")
    records = [record for record in caplog.records if record.name == "lava"]
    assert any("channel logged" in record.getMessage() for record in records), records
    caplog.clear()
    with lava.Context(log="off") as context, lava.Producer(context, "quiet"):
        pass
    assert not caplog.records


def test_a_log_handler_may_use_lava(caplog):
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            with lava.Context(log="off"):
                counts.append(record)

    counts: list[logging.LogRecord] = []
    logger = logging.getLogger("lava")
    handler = Handler()
    caplog.set_level(logging.INFO, logger="lava")
    logger.addHandler(handler)
    try:
        with lava.Context() as context, lava.Producer(context, "a") as producer, lava.Consumer(context, "a"):
            producer.send(b"")
    finally:
        logger.removeHandler(handler)
    assert counts


def test_the_command_line_is_the_tools(tmp_path):
    def tool(*arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "lava", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
        assert done.returncode == code, done
        return done.stdout + done.stderr

    assert lava.__version__ in tool("--version")
    assert "Usage: lava" in tool("--help")
    assert "frobnicate" in tool("frobnicate", code=2)
    assert json.loads(tool("--json", "ls")) == []
    # Starts helper processes of itself, each a Python.
    data = tmp_path / "data"
    data.write_bytes(os.urandom(1 << 20))
    report = json.loads(tool("--json", "demo", str(data)))
    assert report["verified"] and len(report["consumers"]) == 2, report


def test_the_tool_talks_to_the_module(context):
    command = [sys.executable, "-m", "lava", "recv", "stream"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        with lava.Producer(context, "stream") as producer:
            listing = subprocess.check_output([sys.executable, "-m", "lava", "--json", "ls"], text=True)
            assert "stream" in listing
            producer.wait_consumers(1, LONG)
    finally:
        process.kill()
        process.communicate()


def test_threads_that_wait_do_not_stop_the_interpreters_end(child):
    """A daemon thread in a wait, and open objects in globals."""
    child("""
        import threading, lava
        context = lava.Context()
        producer = lava.Producer(context, "end")
        consumer = lava.Consumer(context, "end")
        started = threading.Event()
        def wait():
            started.set()
            consumer.receive()
        threading.Thread(target=wait, daemon=True).start()
        started.wait()
        frame = producer.loan((3, 4), "f4")
        view = memoryview(frame)
    """).finish()
