"""Frames of memory, CPU or GPU, between processes without copying.

    import lava, numpy as np

    with lava.Context() as context, lava.Producer(context, "camera") as producer:
        with producer.loan((480, 640, 3), "uint8") as frame:  # in memory that the receivers map
            np.asarray(frame)[...] = picture                  # sent at the end of the block

    with lava.Context() as context, lava.Consumer(context, "camera") as consumer:
        for frame in consumer:
            print(np.asarray(frame).mean())                   # the very same memory

Times are in seconds; a timeout of `None` waits for ever, one of 0 does not wait.
"""

from __future__ import annotations

from . import _lava
from ._errors import (
    AccessError,
    AlreadyExistsError,
    ClosedError,
    DeviceError,
    Error,
    ForkedError,
    FrameStateError,
    InternalError,
    InvalidArgumentError,
    LimitError,
    NotFoundError,
    OutOfMemoryError,
    PeerLostError,
    ProtocolError,
    RefusedError,
    RequirementError,
    SystemCallError,
    TimedOutError,
    TooLargeError,
    UnreachableError,
    UnsupportedError,
    WouldBlockError,
)
from ._lava import Buffer, Context, Frame, Location, Producer, ScopeReport, __version__

# For type checkers, which know the name; importing it from typing would take longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio

__all__ = [
    "AccessError",
    "AlreadyExistsError",
    "Buffer",
    "ClosedError",
    "Consumer",
    "Context",
    "DeviceError",
    "Error",
    "ForkedError",
    "Frame",
    "FrameStateError",
    "InternalError",
    "InvalidArgumentError",
    "LimitError",
    "Location",
    "NotFoundError",
    "OutOfMemoryError",
    "PeerLostError",
    "Producer",
    "ProtocolError",
    "RefusedError",
    "RequirementError",
    "ScopeReport",
    "SystemCallError",
    "TimedOutError",
    "TooLargeError",
    "UnreachableError",
    "UnsupportedError",
    "WouldBlockError",
    "__version__",
]


class Consumer(_lava.Consumer):
    """The reading end of a channel. It gets every frame that is sent after it was opened.

    Iterating waits for each frame and ends when the producer ends the channel; `async for` does so in the running event
    loop. Threads may share a consumer: each frame goes to one of them.
    """

    _loop: asyncio.AbstractEventLoop | None = None
    """The event loop that watches the descriptor."""
    _waiters: list[asyncio.Future[None]] | None = None

    async def receive_async(self) -> Frame:
        """The next frame, waiting for it in the running event loop. Cancelling it loses no frame."""
        while (frame := self._poll()) is None:
            await self._readable()
        return frame

    def __aiter__(self) -> Consumer:
        return self

    async def __anext__(self) -> Frame:
        try:
            while (frame := self._poll()) is None:
                await self._readable()
        except ClosedError:
            self._unwatch()
            raise StopAsyncIteration from None
        return frame

    def close(self) -> None:
        """Closes this end. Frames that were received stay valid."""
        self._unwatch()
        super().close()

    def _readable(self) -> asyncio.Future[None]:
        """Done when a receive may have an answer."""
        from asyncio import get_running_loop

        loop = get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        if self._waiters is None:
            self._waiters = []
        if self._loop is not loop:
            self._unwatch()
            loop.add_reader(self.fileno(), self._wake)
            self._loop = loop
            # What came before the descriptor was there does not make it readable.
            if self._fetch():
                waiter.set_result(None)
                return waiter
        self._waiters.append(waiter)
        return waiter

    def _wake(self) -> None:
        """The descriptor is readable."""
        waiters = self._waiters or []
        while waiters and waiters[0].done():
            waiters.pop(0)
        if not waiters:
            # Nobody waits, and a readable descriptor would keep the loop busy.
            self._unwatch()
        elif self._fetch():
            waiters.pop(0).set_result(None)

    def _unwatch(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self.fileno())
            for waiter in self._waiters or []:
                if not waiter.done():
                    waiter.set_result(None)
            self._waiters = None
