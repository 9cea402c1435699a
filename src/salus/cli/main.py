"""Entry point of the program ``salus``.

Nothing heavy is imported up here: whatever happens, Ctrl-C included, ends in one clear line and an exit status.
"""

from __future__ import annotations

import os
import signal
import sys

OK = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130
"""Exit statuses; the last one is what shells give a program that Ctrl-C ended."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    :param arguments: what stands after the program's name; default: the process's own.
    :returns: exit status: 0 done, 1 failed, 2 used wrongly, 130 interrupted.
    """
    given = sys.argv[1:] if arguments is None else arguments
    sys.unraisablehook = _deliver_later
    try:
        from salus.cli.program import run

        status = run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        from salus.cli.failures import report_interruption

        status = report_interruption("--json" in given)
    except BrokenPipeError:
        # Whoever read our output has gone; so that the interpreter does not complain while it ends:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILED
    return status


def _deliver_later(unraisable: sys.UnraisableHookArgs) -> None:
    """Ctrl-C inside a finaliser or a callback is ignored by the interpreter: press it again once that is over."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    import threading

    timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    raise SystemExit(main())
