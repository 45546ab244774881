"""One run as plain data: what a process elsewhere is given to do, and what it says at the end."""

from __future__ import annotations

from pathlib import Path

from bnlab.errors import BnlabError

# The processes of the local executor share a pipe, which takes 4096 bytes in one piece; JSON needs up to 12 for a
# character.
LONGEST_ERROR = 300


def perform(request: dict, leave_mirrors: bool = False) -> dict:
    """Make the run of a `Task.request()`; its state, and in one line with an exit code what went wrong.

    `leave_mirrors` where a sweep looks after them; else the run's end waits for them.
    """
    from bnlab.config import from_dict
    from bnlab.running import run_one

    directory = Path(request["directory"])
    try:
        state = run_one(
            from_dict(request["config"]),
            directory,
            request["overrides"],
            rerun=request["rerun"],
            leave_mirrors=leave_mirrors,
        )
    except BnlabError as error:
        return {"state": "failed", "error": one_line(error), "code": error.code}
    except BaseException as error:
        line = "memory ran out; give it fewer --jobs" if _lacks_memory(error) else one_line(error)
        return {"state": "failed", "error": line, "code": 1}
    return {"state": state, "error": "", "code": 0}


def _lacks_memory(error: BaseException) -> bool:
    """Python says so by its own type, torch on a GPU by another, and on a CPU only in words."""
    torch_says = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or torch_says


def one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text if isinstance(error, BnlabError) else f"{type(error).__name__}: {text}")[:LONGEST_ERROR]
