import os
from collections.abc import Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, Protocol, Self, SupportsIndex, final, type_check_only

from typing_extensions import Buffer as _Exporter

__all__ = [
    "Buffer",
    "Consumer",
    "Context",
    "Frame",
    "Location",
    "Producer",
    "ScopeReport",
    "__version__",
    "run",
]

__version__: str

type _Shape = SupportsIndex | Sequence[SupportsIndex]
type _Memory = Literal["auto", "host", "standard", "numa", "huge", "pinned", "device"]
type _Transport = Literal["shm", "vulkan", "staged", "peer", "mpi", "zero-copy"]

@type_check_only
class _DLPack(Protocol):
    def __dlpack__(self, *, stream: Any = ...) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

@type_check_only
class _Cuda(Protocol):
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...

@type_check_only
class _Stream(Protocol):
    def __cuda_stream__(self) -> tuple[int, int]: ...

@type_check_only
class _Communicator(Protocol):
    def py2f(self) -> int: ...

type _Array = _Exporter | _DLPack | _Cuda

def run(arguments: Sequence[str], program: Sequence[str]) -> int: ...

@final
class Context:
    """All state of one user of the library: settings, log, service thread. There is no global state.

    `runtime_directory`: where processes find each other; else `$LAVA_RUNTIME_DIR`, `$XDG_RUNTIME_DIR/lava` or
    `/tmp/lava-<uid>`. `spin`: seconds that a wait spins before it sleeps. `devices`: which GPUs may be used, `auto`, `off`
    or `all` (also those that are the CPU). `scope`: takes every peer to be `local` or `remote`, for tests. `log`: `off`,
    `error`, `warning`, `info` or `debug`; by default the level of `logging.getLogger("lava")`, where the lines go. `mpi`: how
    other hosts are reached, `auto`, `off`, `openmpi`, `mpich`, or a communicator of mpi4py that has the peers.

    Any thread may use it. Its end leaves producers, consumers, buffers and frames valid.
    """

    def __new__(
        cls,
        runtime_directory: str | os.PathLike[str] | None = None,
        *,
        scope: Literal["local", "remote"] | None = None,
        spin: float | None = None,
        devices: Literal["auto", "off", "all"] | None = None,
        log: Literal["off", "error", "warn", "warning", "info", "debug"] | None = None,
        mpi: Literal["auto", "off", "openmpi", "mpich"] | _Communicator | None = None,
    ) -> Self: ...
    @property
    def closed(self) -> bool: ...
    @property
    def location(self) -> Location:
        """Where this process is."""
    def detect_scope(self, a: Location, b: Location | None = None) -> ScopeReport:
        """Whether two processes can share memory, and the evidence; without `b`: this process and `a`."""
    def describe(self) -> dict[str, Any]:
        """Settings with their origin, location, runtime directory, channels."""
    def list_channels(self, timeout: float = 1.0) -> list[dict[str, Any]]:
        """The live channels in the runtime directory, with their counters."""
    def devices(self) -> list[dict[str, Any]]:
        """The GPUs of this machine, best first; `unusable` says why one cannot be used, or is None."""
    def peers(self, timeout: float | None = None) -> list[Location]:
        """Where each rank of the MPI job is, in the order of the ranks; empty without a job."""
    def progress(self, timeout: float | None = 0.0) -> bool:
        """Moves frames from and to other hosts, where MPI was initialised below THREAD_MULTIPLE; false: nothing moved."""
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None, trace: TracebackType | None = None, /
    ) -> None: ...

@final
class Producer:
    """The writing end of a channel.

    `max_frame_size`: bytes of the largest frame, 1 MiB by default. `capacity`: slots, 8 by default. `queue_length`: frames
    that wait for each consumer. `policy`: what happens when that is full: `block`, `drop_newest`, `drop_oldest`.
    `memory`: where frames lie; `device`: UUID of the GPU; `fallback`: what else to try; `require_memory`: no fallback.
    `require`: the transports that consumers may have. `commit`: commit all pages at once.

    Threads may share a producer.
    """

    def __new__(
        cls,
        context: Context,
        name: str,
        *,
        max_frame_size: int | None = None,
        capacity: int = 0,
        queue_length: int = 0,
        policy: Literal["block", "drop_newest", "drop_oldest"] = "block",
        memory: _Memory = "auto",
        fallback: Sequence[_Memory] | None = None,
        require_memory: bool = False,
        require: _Transport | Iterable[_Transport] | None = None,
        device: object = None,
        numa_node: int | None = None,
        commit: bool = False,
        timestamps: bool = True,
        max_consumers: int = 0,
        alignment: int = 0,
    ) -> Self: ...
    @property
    def name(self) -> str: ...
    @property
    def closed(self) -> bool: ...
    @property
    def consumers(self) -> int:
        """How many consumers are connected."""
    def wait_consumers(self, count: int = 1, timeout: float | None = None) -> None:
        """Waits until so many consumers are connected."""
    def wait_released(self, buffer: Buffer | None = None, timeout: float | None = None) -> None:
        """Waits until no consumer has, or is still to receive, a frame of `buffer`, or any frame."""
    def loan(self, shape: _Shape, dtype: object = None, *, timeout: float | None = None) -> Frame:
        """A frame to be written in place. As a context manager it is sent at the end of the block, or given back if the
        block raises; `timeout` holds for both. A number without a dtype is so many plain bytes. Its bytes are at first
        whatever an earlier frame left there."""
    def loan_many(self, count: int, shape: _Shape, dtype: object = None, *, timeout: float | None = None) -> list[Frame]:
        """Up to `count` loans; waits for the first only."""
    def send(self, object: Frame | Buffer | _Array, *, tag: int = 0, timeout: float | None = None) -> int:
        """Sends a loan or a `lava.Buffer` in place, or copies any array: buffer protocol, DLPack, CUDA array interface.

        Returns how many copies it made: 0 in place (or when a drop policy dropped the frame), 1 for an array, 2 for a
        strided one that goes to a GPU."""
    def send_many(self, objects: Sequence[Frame | Buffer | _Array], *, timeout: float | None = None) -> int:
        """Sends loans, or copies of arrays, in order and with one wake-up. Returns how many were sent; fewer than all if the
        time was over."""
    def describe(self) -> dict[str, Any]:
        """The channel and its connections: transports, reasons, rejections, counters."""
    def close(self) -> None:
        """Ends the channel. Consumers still receive what was sent."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None, trace: TracebackType | None = None, /
    ) -> None: ...

@final
class Consumer:
    """The reading end of a channel. It gets every frame that is sent after it was opened.

    Iterating waits for each frame and ends when the producer ends the channel; `async for` does so in the running event
    loop. Threads may share a consumer: each frame goes to one of them.

    `timeout`: seconds to wait for the producer to come, ten by default. `require`: the transports that will do, or
    `zero-copy`; `max_copies`: most copies on the way. `memory`: `device` for frames on a GPU (of UUID `device`), `host` for
    frames that the CPU can reach. `producer`: where the producer is.
    """

    def __new__(
        cls,
        context: Context,
        name: str,
        *,
        timeout: float | None = None,
        require: _Transport | Iterable[_Transport] | None = None,
        max_copies: int | None = None,
        memory: _Memory = "auto",
        device: object = None,
        producer: Location | None = None,
    ) -> Self: ...
    @property
    def name(self) -> str: ...
    @property
    def closed(self) -> bool: ...
    def receive(self, timeout: float | None = None) -> Frame:
        """The next frame. Raises `ClosedError` at the end of the channel, `PeerLostError` if the producer died."""
    def try_receive(self) -> Frame | None:
        """The next frame if it is there."""
    def receive_many(self, most: int, timeout: float | None = None) -> list[Frame]:
        """Up to `most` frames that are there; waits for the first only."""
    def fileno(self) -> int:
        """A descriptor for select, poll or an event loop: readable when a frame may be there or the channel has ended.
        Then call `try_receive` until it gives None. Never read from it or close it."""
    def receive_async(self) -> Coroutine[Any, Any, Frame]:
        """The next frame, waiting for it in the running event loop. Cancelling it loses no frame."""
    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Coroutine[Any, Any, Frame]: ...
    def _wake(self) -> None: ...
    def describe(self) -> dict[str, Any]:
        """The connection: transport, copies, reason, evidence, rejections, counters."""
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None, trace: TracebackType | None = None, /
    ) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Frame: ...

@final
class Frame:
    """A loan, to be written and sent, or a received frame, to be read.

    `numpy.asarray(frame)` and `memoryview(frame)` are views without a copy, read-only for received frames;
    `torch.from_dlpack(frame)` too, also on a GPU. A view keeps the memory: the slot goes back to the producer when the frame
    is released (or dropped) and its last view is gone. Do not write to a view of a loan after it was sent.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]:
        """In bytes."""
    @property
    def dtype(self) -> str: ...
    @property
    def byte_offset(self) -> int:
        """Where the first element is in the payload."""
    @property
    def has_tensor(self) -> bool:
        """Whether shape and dtype travel with it; else it is plain bytes."""
    @property
    def nbytes(self) -> int:
        """Bytes of the payload."""
    @property
    def capacity(self) -> int:
        """Bytes that a loan may grow to."""
    @property
    def sequence(self) -> int:
        """Number in the channel, from 0; a gap tells of frames that were dropped."""
    timestamp_ns: int
    """Nanoseconds of `time.monotonic_ns()` at the send, or what the producer set."""
    tag: int
    """The producer's own number."""
    @property
    def memory(self) -> str: ...
    @property
    def transport(self) -> str | None: ...
    @property
    def inline(self) -> bool:
        """Whether the payload came inside the descriptor."""
    @property
    def writable(self) -> bool:
        """Whether it is a loan that was not sent yet."""
    @property
    def released(self) -> bool:
        """Whether it was sent, released or discarded."""
    @property
    def raw(self) -> _Exporter:
        """The payload's bytes by the buffer protocol, whatever the dtype."""
    def resize(self, nbytes: int) -> None:
        """Changes how many bytes of a loan will be sent."""
    def set_tensor(
        self,
        shape: _Shape | None = None,
        dtype: object = None,
        *,
        strides: Sequence[int] | None = None,
        byte_offset: int = 0,
    ) -> None:
        """Describes a loan's payload as an array, with strides in bytes; without a shape: as plain bytes."""
    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """A copy of the bytes, also out of a GPU's memory."""
    def tobytes(self) -> bytes: ...
    def write(self, data: _Exporter, offset: int = 0) -> None:
        """Copies bytes into a loan, also into a GPU's memory."""
    def wait_ready(self, timeout: float | None = None) -> None:
        """Waits until the GPU work that fills a received frame is done."""
    def publish(self, *, timeout: float | None = None, stream: int | _Stream | None = None) -> None:
        """Sends a loan. `stream`: the CUDA stream that writes it, if DLPack was not told."""
    def release(self, *, stream: int | _Stream | None = None) -> None:
        """Gives a received frame back as soon as no view of it is left, or a loan, unsent. `stream`: the CUDA stream that
        reads it, if DLPack was not told."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None, trace: TracebackType | None = None, /
    ) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, buffer: memoryview, /) -> None: ...
    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any: ...

@final
class Buffer:
    """One allocation, as an array. `producer.send(buffer)` sends it without a copy if it is `shareable`; do not change it
    before `producer.wait_released(buffer)`.

    `memory`: `host` (ordinary pages), `numa`, `huge`, `pinned`, `device` (a GPU's, of UUID `device`) or `auto`; `fallback`:
    what else to try; `require`: no fallback. `peer`: whom it is for, a hint.
    """

    def __new__(
        cls,
        context: Context,
        shape: _Shape,
        dtype: object = None,
        *,
        memory: _Memory = "auto",
        fallback: Sequence[_Memory] | None = None,
        require: bool = False,
        shareable: bool = False,
        writable_by_importers: bool = False,
        commit: bool = False,
        alignment: int = 0,
        numa_node: int | None = None,
        device: object = None,
        host_visible: bool = False,
        uninitialized: bool = False,
        peer: Location | None = None,
    ) -> Self: ...
    @classmethod
    def from_handle(
        cls, context: Context, handle: bytes, fd: int, shape: _Shape | None = None, dtype: object = None
    ) -> Buffer:
        """A buffer of what `export` gave, usually in another process. The descriptor stays the caller's."""
    def export(self) -> tuple[bytes, int]:
        """A handle and a descriptor, which is the caller's to close: send both over a Unix socket (`socket.send_fds`)."""
    @property
    def nbytes(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def memory(self) -> str: ...
    @property
    def reason(self) -> str:
        """Why it is that memory, and what was tried before."""
    @property
    def device(self) -> str | None:
        """UUID of the GPU whose memory it is."""
    @property
    def shareable(self) -> bool: ...
    @property
    def writable(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    def read(self, offset: int = 0, size: int | None = None) -> bytes: ...
    def write(self, data: _Exporter, offset: int = 0) -> None: ...
    def copy_from(self, source: Buffer, *, offset: int = 0, source_offset: int = 0, size: int | None = None) -> None: ...
    def fill(self, value: int, *, offset: int = 0, size: int | None = None) -> None: ...
    def close(self) -> None:
        """Frees the memory as soon as no view and no frame of it is left."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None, trace: TracebackType | None = None, /
    ) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __release_buffer__(self, buffer: memoryview, /) -> None: ...
    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any: ...

@final
class Location:
    """Who and where a process is. `str()` gives it as text for other processes, `Location(text)` reads that."""

    def __new__(cls, text: str) -> Self: ...
    @property
    def process(self) -> int: ...
    @property
    def user(self) -> int: ...
    @property
    def rank(self) -> int | None: ...
    @property
    def host(self) -> str: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[str]: ...

@final
class ScopeReport:
    """Whether two processes can share memory, and why."""

    @property
    def scope(self) -> str: ...
    @property
    def decided_by(self) -> str | None: ...
    @property
    def agrees(self) -> list[str]: ...
    @property
    def differs(self) -> list[str]: ...
    @property
    def text(self) -> str: ...
