"""Becomes another user, then another program: ``python -m penstock.runtime.as_user nobody prog …``.

    root ─groups, group, user given up─▶ exec program

For what refuses to run as root. The process stays the same one, so whoever started it still holds
its pid; nothing is ever taken back.
"""

from __future__ import annotations

import os
import pwd
import sys

__all__ = ["main"]


def main() -> None:
    """Run the program that the arguments name, as the user they name."""
    user, *command = sys.argv[1:]
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.chdir("/")
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
