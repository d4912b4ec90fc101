"""What can go wrong between a client and a backend.

    ElevatorProtocolError
    ├── ProtocolError           the other side sent something that is not the protocol
    │   └── VersionMismatch     ... because it speaks another major version
    ├── ConnectionFileError     there is no usable connection file
    │   └── NoBackend           ... because no backend runs
    └── ExposedFile             others can read a file that holds a secret

Every message is one sentence that a person can act on.
"""


class ElevatorProtocolError(Exception):
    """Base of all errors of this package."""


class ProtocolError(ElevatorProtocolError):
    """A message is malformed, too large or unknown.

    `job` names the job that a malformed Generate was about, or is None. `request_id`: of the request, if that much can
    be read.
    """

    def __init__(self, message: str, job: str | None = None, request_id: str = "") -> None:
        super().__init__(message)
        self.job = job
        self.request_id = request_id


class VersionMismatch(ProtocolError):
    """The other side speaks another major version of the protocol.

    `theirs` is the major version that it sent, `ours` is the one of this side. The sentence names the sides, since
    the backend's is read by the client's user.
    """

    def __init__(self, theirs: int, ours: int, *, them: str = "client", us: str = "backend") -> None:
        older = us if theirs > ours else them
        super().__init__(
            f"The {them} speaks protocol version {theirs} and the {us} {ours}: "
            f"update the {older}, so that both come from the same release."
        )
        self.theirs = theirs
        self.ours = ours


class ConnectionFileError(ElevatorProtocolError):
    """The connection file cannot be read, is damaged, or is readable by other users."""


class NoBackend(ConnectionFileError):
    """No connection file exists, or the process that wrote it has ended."""


class ExposedFile(ElevatorProtocolError):
    """Other users can read a file that holds a secret."""
