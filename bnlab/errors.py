"""Errors a user can cause: one line of text and the exit code of the command that meets it."""

BAD_INPUT = 2
RUNS_FAILED = 3
INCOMPLETE = 4
INTEGRITY = 5
ENVIRONMENT = 6
PREEMPTED = 75
INTERRUPTED = 130


class BnlabError(Exception):
    """Shown as one line on stderr; `code` becomes the exit code of the command."""

    code = 1


class BadInput(BnlabError):
    """The command line or a configuration is wrong."""

    code = BAD_INPUT


class Incomplete(BnlabError):
    """A figure, a claim or a check has not enough to work on, or there is no results folder."""

    code = INCOMPLETE


class IntegrityError(BnlabError):
    """Data are absent, or data or results damaged or not what they say they are."""

    code = INTEGRITY


class EnvironmentFault(BnlabError):
    """Disk, permission, memory or a missing program."""

    code = ENVIRONMENT


def fit_line(text: str, longest: int = 240) -> str:
    """At most `longest` characters, none of them a control character; too long a middle is left out."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    if len(line) <= longest:
        return line
    half = (longest - 5) // 2
    return f"{line[:half]} ... {line[-half:]}"
