"""The exceptions of lava. Each is a `lava.Error` and also the built-in exception that fits."""

import builtins


class Error(Exception):
    """Something failed.

    `status` is the number of the C interface (`LAVA_*`), `reason` says what failed and with which value, `hint` how to
    mend it, `os_error` is the `errno` of the system call that failed, `value` the number at fault or 0.
    """

    status: int = -400
    reason: str = ""
    hint: str = "report this as a bug of lava"
    os_error: int | None = None
    value: int = 0


class TimedOutError(Error, builtins.TimeoutError):
    """The time to wait is over, and nothing was done."""

    status = 2
    hint = "wait longer, or look whether the other end is alive"


class WouldBlockError(TimedOutError, builtins.BlockingIOError):
    """It would have had to wait, and was told not to."""

    status = 1
    hint = "give a timeout, or try again later"


class ClosedError(Error, builtins.EOFError):
    """The producer ended the channel, and everything is received."""

    status = 3
    hint = "iterate over the consumer, which ends here by itself"


class InvalidArgumentError(Error, builtins.ValueError):
    """An argument has a value that is not allowed, or the object is closed."""

    status = -1
    hint = "correct the value"


class UnsupportedError(Error, builtins.NotImplementedError):
    """This library or system does not offer what was asked."""

    status = -4
    hint = "`python -m lava info` shows what this machine offers"


class NotFoundError(Error, builtins.LookupError):
    """Nothing has this name."""

    status = -5
    hint = "`python -m lava ls` lists the live channels"


class AlreadyExistsError(Error, builtins.FileExistsError):
    """A live producer has this name already."""

    status = -6
    hint = "end the other producer, or take another name"


class AccessError(Error, builtins.PermissionError):
    """The operating system or the peer refuses this user, or the memory is read-only."""

    status = -7
    hint = "run both processes as one user; copy memory that is read-only"


class LimitError(Error, builtins.OSError):
    """A limit of the operating system is reached."""

    status = -8
    hint = "raise the limit, see `ulimit -a`"


class OutOfMemoryError(Error, builtins.MemoryError):
    """No memory."""

    status = -9
    hint = "use smaller or fewer frames"


class SystemCallError(Error, builtins.OSError):
    """A system call failed: see `os_error`."""

    status = -10
    hint = "see os_error"


class TooLargeError(Error, builtins.ValueError):
    """A frame or range is larger than what it must fit into."""

    status = -12
    hint = "make the producer with a larger max_frame_size"


class RequirementError(Error, builtins.RuntimeError):
    """What was required (memory, transport, copies) cannot be had here."""

    status = -13
    hint = "drop the requirement, or change what the reason names"


class FrameStateError(Error, builtins.BufferError):
    """The frame is in a state that forbids this."""

    status = -100
    hint = "a loan is sent once; a received frame is read-only"


class PeerLostError(Error, builtins.ConnectionResetError):
    """The peer died or went away without closing; what it had sent is received."""

    status = -200
    hint = "open the channel again when the producer is back"


class ProtocolError(Error, builtins.ConnectionError):
    """The peer broke the protocol; its connection is closed."""

    status = -201
    hint = "use one version of lava on both sides"


class RefusedError(Error, builtins.ConnectionRefusedError):
    """The peer is there and refused the connection."""

    status = -202
    hint = "the reason is the peer's"


class UnreachableError(Error, builtins.ConnectionError):
    """The peer is on another host or cannot be reached from here."""

    status = -203
    hint = "share the runtime directory, or use a transport that leads there"


class DeviceError(Error, builtins.RuntimeError):
    """No usable GPU, or the device failed."""

    status = -300
    hint = "`python -m lava info` shows the GPUs and what is missing"


class ForkedError(Error, builtins.RuntimeError):
    """The object belongs to the parent of this forked process."""

    status = -401
    hint = "make a lava.Context in this process, or start processes with the method 'spawn'"


class InternalError(Error, builtins.RuntimeError):
    """A fault inside lava."""

    status = -400


_CLASSES: dict[int, type[Error]] = {
    kind.status: kind for kind in Error.__subclasses__() + [WouldBlockError]
} | {-2: InvalidArgumentError, -3: InvalidArgumentError, -11: InvalidArgumentError}

for _kind in (Error, *_CLASSES.values()):
    _kind.__module__ = "lava"


def make(status: int, message: str, os_error: int | None, value: int) -> Error:
    """The exception of a status of the C interface. A message is `reason; hint`, or the reason alone."""
    kind = _CLASSES.get(status, InternalError)
    error = kind(message)
    reason, _, hint = message.partition("; ")
    error.status = status
    error.reason = reason
    error.hint = hint or kind.hint
    error.value = value
    if os_error is not None:
        error.os_error = os_error
        if isinstance(error, OSError):
            error.errno = os_error
    return error
