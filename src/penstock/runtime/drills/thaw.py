"""A dead man's switch: continues frozen processes as soon as whoever started it is gone.

    python thaw.py PID … ─ waits until its standard input is closed ─▶ SIGCONT to each

Run as a file, so that it starts at once and imports nothing that could fail. SIGCONT does nothing
to a process that is not stopped.
"""

import contextlib
import os
import signal
import sys

if __name__ == "__main__":
    sys.stdin.read()
    for pid in map(int, sys.argv[1:]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
