"""Starts parties as operating-system processes at once: a process that has imported them forks one for each.

An interpreter needs a second to import what a party needs; a fork of one that has done so needs milliseconds. A party so started
is a process like any other: it shares no memory with anyone that either could write to, and its own exit ends it.

The launcher takes orders over the socket that it was started with: JSON, with the party's standard streams as descriptors.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO, Final

from salus.errors import SalusError, StorageError
from salus.network.sockets import is_readable

ORDER_BYTES_MAX: Final = 65_536
"""Of one order: arguments of a command line."""
LAUNCH_S: Final = 60.0
"""How long the launcher may take to answer an order; it imports everything before its first."""
_POLL_S: Final = 0.005


class PartyProcess:
    """One party that was started.

    :ivar pid: of its process. :ivar stdin: closing it asks the party to end. :ivar stdout: what it says.
    """

    def __init__(self, launcher: Launcher, pid: int, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._launcher = launcher
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self._ended = False

    def kill(self) -> None:
        """Kill it on the spot."""
        if not self._ended:  # else the number may be another process's
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout_s: float = LAUNCH_S) -> bool:
        """Wait until it has ended, with everything that it held; whether it has."""
        self._ended = self._ended or self._launcher.ended(self.pid, timeout_s)
        return self._ended

    def read_line(self, timeout_s: float) -> bytes:
        """The next line that it says; what there is of one when it ends, or takes longer."""
        line, deadline = b"", time.monotonic() + timeout_s
        while not line.endswith(b"\n"):
            ready = is_readable(self.stdout.fileno(), max(deadline - time.monotonic(), 0))
            part = os.read(self.stdout.fileno(), 1) if ready else b""
            if not part:
                break
            line += part
        return line

    def end(self, patience_s: float) -> None:
        """Ask it to end, kill it if it does not, and close its streams."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        if not self.wait(patience_s):
            self.kill()
            self.wait()
        self.stdout.close()


class Launcher:
    """The side of whoever starts parties.

    :param module: imported by the launcher before anything is started; its ``main(arguments)`` is what a party runs.
    """

    def __init__(self, module: str, environment: dict[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(LAUNCH_S)
        command = [sys.executable, "-m", "salus.network.launcher", str(theirs.fileno()), module]
        with theirs:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, pass_fds=[theirs.fileno()])  # noqa: S603 - our own module

    def start(self, arguments: list[str], log: Path) -> PartyProcess:
        """Start a party.

        :param log: takes its standard error. :raises StorageError: there is no room for the order, or no file for the log.
        """
        to_read, to_write = os.pipe(), os.pipe()
        try:
            with log.open("wb") as stderr:
                pid = self._order({"arguments": arguments}, [to_read[0], to_write[1], stderr.fileno()])["pid"]
        except OSError as error:
            os.close(to_read[1])
            os.close(to_write[0])
            raise StorageError(f"{log}: {error.strerror}; the party was not started") from None
        finally:
            os.close(to_read[0])
            os.close(to_write[1])
        return PartyProcess(self, pid, os.fdopen(to_read[1], "wb", 0), os.fdopen(to_write[0], "rb", 0))

    def ended(self, pid: int, timeout_s: float) -> bool:
        """Wait for the end of a party; whether it came."""
        deadline = time.monotonic() + timeout_s
        while not self._order({"ended": pid}, [])["ended"]:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def close(self) -> None:
        """End the launcher; parties that still run are not its own business."""
        self._socket.close()
        self._process.wait(LAUNCH_S)

    def _order(self, order: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        socket.send_fds(self._socket, [json.dumps(order).encode() + b"\n"], descriptors)
        answer = b""
        while not answer.endswith(b"\n"):
            part = self._socket.recv(ORDER_BYTES_MAX)
            if not part:
                raise SalusError("the process that starts parties has ended")
            answer += part
        decoded: dict[str, Any] = json.loads(answer)
        return decoded


def _serve(orders: socket.socket, module: str) -> int | None:
    """Answer orders until there are no more; in a fork, the exit status of the party that it became."""
    party = __import__(module, fromlist=["main"])
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES_MAX, 3)
        if not data:
            return None
        order = json.loads(data)
        answer: dict[str, Any]
        if "ended" in order:
            answer = {"ended": _reaped(order["ended"])}
        else:
            pid = os.fork()
            if not pid:
                orders.close()
                for number, descriptor in enumerate(descriptors):
                    os.dup2(descriptor, number)
                    os.close(descriptor)
                status: int = party.main(order["arguments"])
                return status
            for descriptor in descriptors:
                os.close(descriptor)
            answer = {"pid": pid}
        orders.sendall(json.dumps(answer).encode() + b"\n")


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # it was reaped before
        return True


def _main(descriptor: str, module: str) -> int:
    with socket.socket(fileno=int(descriptor)) as orders:
        status = _serve(orders, module)
    if status is None:
        return 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a fork: what the launcher would do at its exit is not this process's


if __name__ == "__main__":
    raise SystemExit(_main(*sys.argv[1:]))
