"""How every command ends: with 0, or with one line that says why not."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

from hsae.errors import HsaeError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def exit_status(work: Callable[[], object], interrupted: str = "") -> int:
    """Do the work; 0, or 1 after an error a user can cause, 130 after Ctrl+C, each with one sentence on stderr.

    interrupted: what to say to one who broke the work off.
    """
    try:
        work()
    except HsaeError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in _FULL:
            raise
        print(f"{type(error).__name__}: {error}. Make room and run the same command again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nInterrupted. {interrupted}".rstrip(), file=sys.stderr)
        return 130
    return 0
