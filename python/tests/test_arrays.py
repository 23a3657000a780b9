"""Arrays: the buffer protocol and DLPack, both ways, for every type."""

import array
import ctypes
import zlib

import ml_dtypes
import numpy as np
import pytest

import lava

LONG = 60.0
CPU = (1, 0)
PLAIN = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
PLAIN += ["float16", "float32", "float64", "complex64", "complex128", "bool"]
EXTENSIONS = ["bfloat16", "float8_e4m3fn", "float8_e5m2"]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0, 5)])
def test_numpy_and_back(pair, name, shape):
    both = pair()
    sent = (np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2).astype(name)
    both.producer.send(sent)
    frame = both.consumer.receive(LONG)
    assert (frame.shape, frame.dtype) == (shape, name)
    for got in (np.asarray(frame), np.from_dlpack(frame), np.from_dlpack(frame, copy=True), np.array(frame)):
        assert got.dtype == sent.dtype and got.shape == shape and np.array_equal(got, sent)
    assert not np.asarray(frame).flags.writeable and not np.from_dlpack(frame).flags.writeable
    assert np.from_dlpack(frame, copy=True).flags.writeable


@pytest.mark.parametrize("name", EXTENSIONS)
def test_types_of_machine_learning(pair, name):
    both = pair()
    sent = np.array([[0.5, 1, -2], [4, 0, 8]], dtype=getattr(ml_dtypes, name))
    both.producer.send(sent)
    with both.producer.loan((2, 3), sent.dtype) as loan:
        loan.write(sent.view("u1").tobytes())
    for _ in range(2):
        frame = both.consumer.receive(LONG)
        assert (frame.shape, frame.dtype) == ((2, 3), name)
        with pytest.raises(BufferError, match="DLPack"):
            np.frombuffer(frame)
        assert np.array_equal(np.frombuffer(frame.raw, sent.dtype).reshape(frame.shape), sent)
        code, bits, lanes = dlpack_type(frame.__dlpack__(max_version=(1, 0)))
        assert (code, bits, lanes) == ({"bfloat16": 4, "float8_e4m3fn": 10, "float8_e5m2": 12}[name], 8 * sent.itemsize, 1)
        # And by DLPack into another channel.
        assert both.producer.send(OnlyDLPack(frame)) == 1
        again = both.consumer.receive(LONG)
        assert (again.dtype, again.tobytes()) == (name, sent.tobytes())


def dlpack_type(capsule: object) -> tuple[int, int, int]:
    """Looks into a capsule, which stays unused."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    start = get(capsule, b"dltensor_versioned")
    # version, context, deleter, flags; data, device, dimensions: then the type.
    return ctypes.c_uint8.from_address(start + 52).value, ctypes.c_uint8.from_address(start + 53).value, 1


class OnlyDLPack:
    """An array of a library that knows DLPack only, of version 1 or 0."""

    def __init__(self, inner: object, legacy: bool = False) -> None:
        self.inner = inner
        self.legacy = legacy

    def __dlpack__(self, *, stream: object = None, **more: object) -> object:
        if self.legacy and more:
            raise TypeError("__dlpack__() got an unexpected keyword argument")
        return self.inner.__dlpack__(stream=stream, **more)  # type: ignore[attr-defined]

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.inner.__dlpack_device__()  # type: ignore[attr-defined,no-any-return]


class Odd(np.ndarray):
    """An array that the buffer protocol refuses."""

    interrupts = False

    def __dlpack__(self, **more: object) -> object:
        if self.interrupts:
            raise KeyboardInterrupt
        return np.arange(5).__dlpack__(**more)


class OddInterface(OnlyDLPack):
    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        raise KeyError("no such type")


def test_protocols_are_tried_in_turn(pair):
    both = pair()
    odd = np.zeros(3, "M8[s]").view(Odd)
    for sent in (odd, OddInterface(np.arange(5))):
        assert both.producer.send(sent) == 1
        assert np.array_equal(np.asarray(both.consumer.receive(LONG)), np.arange(5))
    with pytest.raises(ValueError, match="buffer") as caught:
        both.producer.send(np.zeros(3, "M8[s]"))
    assert any("__dlpack__" in note for note in caught.value.__notes__)
    odd.interrupts = True
    with pytest.raises(KeyboardInterrupt):
        both.producer.send(odd)
    with pytest.raises(ValueError, match="type dict"):
        both.producer.send({})


def test_numpy_makes_no_array_of_an_object(pair, context):
    """It hides the errors of the buffer protocol, and would wrap the frame itself."""
    both = pair()
    both.producer.send(np.arange(3))
    frame = both.consumer.receive(LONG)
    assert np.array_equal(frame.__array__(), np.arange(3))
    assert frame.__array__("f4").dtype == "f4" and frame.__array__(copy=True).flags.writeable
    frame.release()
    with both.producer.loan((3,), "bfloat16"):
        pass
    with lava.Buffer(context, 10) as buffer:
        pass
    for array, why in ((frame, "released"), (both.consumer.receive(LONG), "bfloat16"), (buffer, "closed")):
        with pytest.raises(BufferError, match=why):
            np.asarray(array)


@pytest.mark.parametrize("legacy", [False, True])
def test_arrays_come_in_by_dlpack(pair, legacy):
    both = pair()
    sent = np.arange(24.0).reshape(2, 3, 4)
    for view in (sent, sent[:, ::2], sent.T, sent[::-1], np.broadcast_to(sent[0, 0], (5, 4)), sent[:0]):
        source = view if view.flags.writeable else view.copy()
        assert both.producer.send(OnlyDLPack(source, legacy)) == 1 - (view.size == 0)
        assert np.array_equal(np.asarray(both.consumer.receive(LONG)), view)


def test_every_kind_of_buffer(pair):
    both = pair(capacity=16)
    both.producer.send(bytearray(b"abc"))
    both.producer.send(array.array("d", [1.5, 2.5]))
    both.producer.send(memoryview(b"0123456789")[::3])
    both.producer.send((ctypes.c_int32 * 3)(1, 2, 3))
    both.producer.send(np.float32(3.5))
    got = [np.asarray(both.consumer.receive(LONG)) for _ in range(5)]
    assert got[0].tobytes() == b"abc"
    assert got[1].dtype == "f8" and got[1].tolist() == [1.5, 2.5]
    assert got[2].tobytes() == b"0369"
    assert got[3].dtype == "i4" and got[3].tolist() == [1, 2, 3]
    assert got[4].shape == () and got[4].dtype == "f4" and got[4] == 3.5


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("float32", "float32"), ("<f4", "float32"), ("f4", "float32"), ("=i8", "int64"), ("|u1", "uint8"), ("?", "bool"),
        (float, "float64"), (int, "int64"), (bool, "bool"), (complex, "complex128"), (np.float16, "float16"),
        (np.dtype("uint16"), "uint16"), (ml_dtypes.bfloat16, "bfloat16"), ("torch.float8_e5m2", "float8_e5m2"),
    ],
)  # fmt: skip
def test_names_of_types(pair, given, name):
    loan = pair().producer.loan((2, 2), given)
    assert loan.dtype == name
    loan.release()


def test_strides_and_offsets_travel(pair):
    both = pair()
    with both.producer.loan(200) as loan:
        np.asarray(loan)[:] = np.arange(200, dtype="u1")
        loan.set_tensor((3, 2), "int16", strides=(-4, 20), byte_offset=50)
    frame = both.consumer.receive(LONG)
    assert (frame.shape, frame.strides, frame.byte_offset, frame.nbytes) == ((3, 2), (-4, 20), 50, 200)
    whole = np.frombuffer(frame.raw, "u1")
    want = np.lib.stride_tricks.as_strided(whole[50:].view("i2"), (3, 2), (-4, 20))
    assert np.array_equal(np.asarray(frame), want) and np.array_equal(np.from_dlpack(frame), want)
    assert np.array_equal(np.from_dlpack(frame, copy=True), want)
    with pytest.raises(BufferError, match="contiguous"):
        zlib.crc32(frame)
    assert both.producer.send(frame) == 1
    assert np.array_equal(np.asarray(both.consumer.receive(LONG)), want)


def test_tensors_are_checked(pair):
    loan = pair().producer.loan(100)
    for wrong in (
        lambda: loan.set_tensor((26,), "f4"),
        lambda: loan.set_tensor((2,), "f4", byte_offset=96),
        lambda: loan.set_tensor((2, 2), "f4", strides=(4,)),
        lambda: loan.set_tensor((2, 2), "f4", strides=(4, 3)),
        lambda: loan.set_tensor((2,), "f4", strides=(-4,)),
        lambda: loan.resize(1 << 30),
    ):
        with pytest.raises(ValueError):
            wrong()
    loan.set_tensor((25,), "f4")
    assert loan.has_tensor and loan.shape == (25,)
    loan.set_tensor()
    assert not loan.has_tensor and loan.shape == (100,)


def test_dlpack_requests(pair):
    both = pair()
    both.producer.send(np.arange(10))
    frame = both.consumer.receive(LONG)
    assert frame.__dlpack_device__() == CPU
    first, second = frame.__dlpack__(max_version=(1, 0)), frame.__dlpack__(max_version=(1, 3), dl_device=CPU)
    assert "dltensor_versioned" in repr(first) and first is not second
    with pytest.raises(BufferError, match="read-only"):
        frame.__dlpack__()
    with pytest.raises(BufferError, match="stream"):
        frame.__dlpack__(max_version=(1, 0), stream=1)
    with pytest.raises(BufferError, match=r"\(2, 0\)"):
        frame.__dlpack__(max_version=(1, 0), dl_device=(2, 0))
    assert '"dltensor"' in repr(frame.__dlpack__(copy=True))
    with pytest.raises(TypeError):
        frame.__dlpack__(None)
    assert not hasattr(frame, "__cuda_array_interface__")
    loan = both.producer.loan((5,), "f4")
    assert '"dltensor"' in repr(loan.__dlpack__())
    np.from_dlpack(loan)[:] = 3
    loan.publish()
    assert np.asarray(both.consumer.receive(LONG)).tolist() == [3] * 5


def test_capsules_free_what_they_hold(pair):
    both = pair(capacity=1)
    both.producer.send(bytes(100))
    frame = both.consumer.receive(LONG)
    capsules = [frame.__dlpack__(max_version=(1, 0)) for _ in range(3)]
    frame.release()
    with pytest.raises(lava.WouldBlockError):
        both.producer.loan(100, timeout=0)
    del capsules
    both.producer.loan(100, timeout=LONG).release()


def test_buffers_are_arrays(context):
    with lava.Buffer(context, (4, 5), "float32") as buffer:
        assert (buffer.shape, buffer.dtype, buffer.nbytes, buffer.memory) == ((4, 5), "float32", 80, "host")
        assert buffer.writable and buffer.reason and not buffer.shareable and buffer.device is None
        view = np.asarray(buffer)
        assert not view.any()
        view[1] = 2
        assert np.from_dlpack(buffer)[1, 1] == 2
        buffer.write(b"\1" * 4, offset=76)
        assert buffer.read(76) == b"\1" * 4 and buffer.read(0, 4) == bytes(4)
        with pytest.raises(lava.TooLargeError):
            buffer.read(77, 4)
        other = lava.Buffer(context, 80)
        other.copy_from(buffer)
        other.fill(9, offset=8, size=4)
        other.copy_from(other, offset=0, source_offset=8, size=4)
        assert other.read(0, 12) == b"\t" * 4 + bytes(4) + b"\t" * 4
    with pytest.raises(ValueError, match="closed"):
        buffer.read()
    assert view[1, 0] == 2, "a view keeps the memory"


def test_buffers_cross_processes_as_bytes_and_a_descriptor(context, child):
    import os
    import socket

    here, there = socket.socketpair()
    with lava.Buffer(context, (2, 3), "int32", shareable=True) as buffer, here, there:
        np.asarray(buffer)[...] = 5
        handle, fd = buffer.export()
        source = """
        import os, sys, socket, lava, numpy
        with socket.socket(fileno=0) as end, lava.Context() as context:
            handle, fds, _, _ = socket.recv_fds(end, 4096, 1)
            with lava.Buffer.from_handle(context, handle, fds[0], (2, 3), "int32") as buffer:
                os.close(fds[0])
                view = numpy.asarray(buffer)
                assert not buffer.writable and not view.flags.writeable and (view == 5).all(), view
                try:
                    buffer.write(b"1234")
                except PermissionError as error:
                    end.send(b"refused")
        """
        import subprocess
        import sys
        import textwrap

        process = subprocess.Popen([sys.executable, "-X", "dev", "-c", textwrap.dedent(source)], stdin=there)
        try:
            socket.send_fds(here, [handle], [fd])
            os.close(fd)
            here.settimeout(LONG)
            assert here.recv(100) == b"refused"
            assert process.wait(LONG) == 0
        finally:
            process.kill()
            process.wait()
