"""Everything misr raises on purpose.

    MisrError
    ├── InputError      what came in cannot be used: a file, a frame, an argument
    │   └── DecodeError the stream broke in the middle; knows the time
    ├── OutputError     what was asked for cannot be written: codec, container, disk
    ├── ModelError      a model directory, a card or its weights are wrong, or do not fit the job
    └── WorkerError     a worker died, or workers cannot be had

Messages are one sentence for people: what, which, what now.
"""

from fractions import Fraction
from typing import Any


class MisrError(Exception):
    """Base of all errors a user can act on; the command line prints it as one line."""


class InputError(MisrError):
    """The input cannot be used as it is."""


class DecodeError(InputError):
    """Decoding failed at `time` seconds into the clip."""

    def __init__(self, message: str, *, time: Fraction | None = None) -> None:
        super().__init__(message)
        self.time = time

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (str(self), self.time)


class OutputError(MisrError):
    """The output cannot be written as asked."""


class ModelError(MisrError):
    """A model cannot be found, read or used for this job."""


class WorkerError(MisrError):
    """A worker process or a machine of a cluster died, or none can be had."""


def restored(message: str, time: Fraction | None) -> DecodeError:
    """A DecodeError that another process raised."""
    return DecodeError(message, time=time)
