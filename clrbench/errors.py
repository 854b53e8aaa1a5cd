"""The one tree of errors; `cli` alone turns them into exit codes."""


class ClrbenchError(Exception):
    """Something went wrong that the user can read about and act on.

    Every message says where it happened, what was got, what is allowed and what to do next.
    """


class SpecError(ClrbenchError):
    """The spec, or an option of the command, asks for something that is not allowed (exit code 2).

    Args:
        message: What was got, what is allowed and what to do next.
        key: The key of the spec that it is about, from the top; `SpecFile.locating` puts its file and line in front.
    """

    def __init__(self, message: str, key: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.key = key


class ScheduleError(SpecError):
    """A schedule was asked for with an argument that is out of range (exit code 2)."""


class DataError(ClrbenchError):
    """A data set is missing, unreadable or not what it claims to be (exit code 1)."""


class MisfitError(SpecError, DataError):
    """The data cannot be used as the spec says, which its sizes and types show before anything is read (exit code 2)."""


class BackendError(ClrbenchError):
    """A framework is missing, has no such device, or failed while training (exit code 1)."""


class OutputError(ClrbenchError):
    """The answer cannot be printed (exit code 1)."""


class ResultsError(ClrbenchError):
    """What lies in the results folder cannot be read, written or used (exit code 1)."""
