"""One run as plain data: what a process elsewhere is given to do, and what it says at the end."""

from __future__ import annotations

from pathlib import Path

from bnlab.errors import BnlabError

# The processes of the local executor share a pipe, and a report goes through it in one piece.
LONGEST_ERROR = 1000


def perform(request: dict) -> dict:
    """Make the run of a `Task.request()`; its state, and in one line with an exit code what went wrong."""
    from bnlab.config import from_dict
    from bnlab.running import run_one

    directory = Path(request["directory"])
    try:
        state = run_one(from_dict(request["config"]), directory, request["overrides"], rerun=request["rerun"])
    except BnlabError as error:
        return {"state": "failed", "error": one_line(error), "code": error.code}
    except MemoryError:
        return {"state": "failed", "error": "memory ran out", "code": 1}
    except BaseException as error:
        return {"state": "failed", "error": one_line(error), "code": 1}
    return {"state": state, "error": "", "code": 0}


def one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text if isinstance(error, BnlabError) else f"{type(error).__name__}: {text}")[:LONGEST_ERROR]
