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

from ._lava import Buffer, Consumer, Context, Frame, Location, Producer, ScopeReport, __version__

# For type checkers, which know the name; importing it from typing would take longer than everything else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
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
else:

    def __getattr__(name):
        """The exceptions: making them takes as long as the rest of the import, and most programs need none."""
        if name not in __all__:
            raise AttributeError(f"module 'lava' has no attribute {name!r}")
        from . import _errors

        value = globals()[name] = getattr(_errors, name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})


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
