"""The `bnlab` command, also as `python -m bnlab`: hears Ctrl-C from its first line on."""

import os
import signal
import sys

INTERRUPTED = 130  # as in bnlab.errors; nothing is imported before Ctrl-C is heard


def main() -> int:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else whoever started us has it ignored
        signal.signal(signal.SIGINT, _end)
    from bnlab.cli import main as run_command

    return run_command()


def _end(number: int, frame: object) -> None:
    """Before the command has begun and after it has ended: the libraries being loaded then cannot be interrupted."""
    os.write(2, b"bnlab: stopped by Ctrl-C\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
