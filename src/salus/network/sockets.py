"""Transport between processes of one machine: length-prefixed frames over Unix-domain sockets.

Frame: 4 bytes big-endian length, then a canonical :class:`Call`, answered by a frame with an answer or a refusal.
One connection carries one call after the other; a party serves each connection on a thread of its own and handles
one call at a time.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from pathlib import Path
from typing import Final

from salus.errors import CodecError, TransportError
from salus.files import PRIVATE_FILE
from salus.network.answers import Call, open_answer, serve_call
from salus.transport import MAX_CALL_BYTES, Service

_FRAME_BYTES_MAX: Final = MAX_CALL_BYTES + 4096
_LENGTH = struct.Struct(">I")


def _receive(connection: socket.socket, count: int) -> bytes | None:
    """Exactly ``count`` bytes, or None if the peer closed before the first."""
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(min(count - len(parts), 1 << 20))
        if not part:
            if not parts:
                return None
            raise TransportError("the connection ended inside a frame")
        parts += part
    return bytes(parts)


def receive_frame(connection: socket.socket) -> bytes | None:
    """One frame, or None at the end of the connection.

    :raises TransportError: for a frame over the bound or cut short.
    """
    head = _receive(connection, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > _FRAME_BYTES_MAX:
        raise TransportError(f"a frame of {length} bytes is over the bound of {_FRAME_BYTES_MAX}")
    return _receive(connection, length) if length else b""


def send_frame(connection: socket.socket, data: bytes) -> None:
    """Write one frame."""
    connection.sendall(_LENGTH.pack(len(data)) + data)


class SocketServer:
    """Serves one party on one socket path until :meth:`close`."""

    def __init__(self, service: Service, path: Path) -> None:
        self._service = service
        self._path = path
        self._one_call = threading.Lock()
        path.unlink(missing_ok=True)  # of a process that was killed: the party's own lock keeps two of it apart
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(PRIVATE_FILE)  # before anyone can connect: whoever reaches a person's or the operator's socket commands it
        self._listener.listen(128)
        self._thread = threading.Thread(target=self._accept, name=f"serve-{path.name}", daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(TransportError, CodecError, OSError):
            while (frame := receive_frame(connection)) is not None:
                call = Call.decode(frame)
                with self._one_call:
                    answer = serve_call(self._service, call.method, call.body)
                send_frame(connection, answer)

    def close(self) -> None:
        """Stop accepting and remove the socket."""
        self._listener.close()
        self._path.unlink(missing_ok=True)


class SocketTransport:
    """Reaches parties whose sockets lie in one directory; a broken connection is opened again at the next call.

    :param directory: where the sockets are, ``<party with '/' as '_'>.sock``.
    :param timeout_s: longest wait for one answer.
    """

    def __init__(self, directory: Path, timeout_s: float = 30.0) -> None:
        self._directory = directory
        self._timeout_s = timeout_s
        self._local = threading.local()

    def call(self, party: str, method: str, body: bytes) -> bytes:
        """See :class:`salus.transport.Transport`."""
        connections: dict[str, socket.socket] = self._local.__dict__.setdefault("connections", {})
        try:
            known = connections.get(party)
            if known is not None and _ended(known):
                self._drop(connections, party)
            connection = connections.get(party) or self._connect(party)
            connections[party] = connection
            send_frame(connection, Call(method, body).encode())
            answer = receive_frame(connection)
        except (OSError, TransportError) as error:
            self._drop(connections, party)
            raise TransportError(f"{party} does not answer {method}: {error}; is it running?") from None
        if answer is None:
            self._drop(connections, party)
            raise TransportError(f"{party} closed the connection during {method}; try again")
        return open_answer(party, method, answer)

    def _connect(self, party: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self._timeout_s)
        connection.connect(str(socket_path(self._directory, party)))
        return connection

    @staticmethod
    def _drop(connections: dict[str, socket.socket], party: str) -> None:
        connection = connections.pop(party, None)
        if connection is not None:
            connection.close()


def _ended(connection: socket.socket) -> bool:
    """Whether an idle connection can be read: then its party has closed it, for nothing was asked."""
    return is_readable(connection.fileno(), 0)


def is_readable(descriptor: int, timeout_s: float) -> bool:
    """Whether a file descriptor has something to read, or has ended, within ``timeout_s``; of any number, unlike ``select``."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(timeout_s * 1000))


def socket_path(directory: Path, party: str) -> Path:
    """Where the socket of ``party`` lies."""
    return directory / f"{party.replace('/', '_')}.sock"
