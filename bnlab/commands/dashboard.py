"""`bnlab dashboard`: the pages of a results folder, in a browser."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import signal
from collections.abc import Iterator

from bnlab.commands.words import add_results, need_results
from bnlab.errors import EnvironmentFault
from bnlab.paths import results_root

PORT = 8642
NEEDED = ("starlette", "uvicorn", "jinja2")
EXAMPLES = """examples:
  bnlab dashboard                    pages of ./results, at the address that it prints
  bnlab dashboard --open             the same, and opens a browser
  bnlab dashboard --results runs/a --port 0
"""


def configure_dashboard(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0 takes any that is free")
    parser.add_argument("--open", action="store_true", help="open the pages in a browser")
    add_results(parser)
    parser.set_defaults(act=dashboard)


def dashboard(arguments: argparse.Namespace) -> int:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentFault(f"the dashboard needs {', '.join(missing)}; type `pip install 'bnlab[dashboard]'`")
    from bnlab.pages.serve import serve

    root = results_root(arguments.results)
    need_results(root)
    with ended_by_a_signal():
        serve(root, arguments.port, arguments.open)
    return 0


@contextlib.contextmanager
def ended_by_a_signal() -> Iterator[None]:
    """Ctrl-C and SIGTERM are how a server ends, and nothing is lost by either."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        print()
    finally:
        signal.signal(signal.SIGTERM, before)
