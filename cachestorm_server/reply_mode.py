"""Which replies a client gets: what CLIENT REPLY has said. Sans-IO; known to the session.

reply mode   this reply   after the next command
----------   ----------   ----------------------
ON           sent         ON
OFF          dropped      OFF
SKIP_NEXT    dropped      SKIP
SKIP         dropped      ON
"""

from __future__ import annotations

from typing import Final

REPLIES_ON: Final = 0
REPLIES_OFF: Final = 1
REPLIES_SKIP_NEXT: Final = 2
REPLIES_SKIP: Final = 3

# the mode after a command that was answered in each of them
AFTER: Final = (REPLIES_ON, REPLIES_OFF, REPLIES_SKIP, REPLIES_ON)
