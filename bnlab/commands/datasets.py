"""`bnlab data`: what is there, and how it gets there."""

from __future__ import annotations

import argparse

from bnlab.commands.tables import table
from bnlab.commands.words import Parser

EXAMPLES = """examples:
  bnlab data list
  bnlab data fetch cifar10                 download through torchvision, checksums checked
  bnlab data import mnist ~/downloads      copy from a folder with its files, packed or unpacked
  bnlab data verify mnist                  check every file again

Data sets lie in BNLAB_DATA, else in ./data.
"""


def configure_data(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EXAMPLES
    parser.add_argument("action", choices=("list", "fetch", "import", "verify"))
    parser.add_argument("name", nargs="?", metavar="NAME", help="of a data set")
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="that has its files, for `import`")
    parser.set_defaults(act=data, parser=parser)


def data(arguments: argparse.Namespace) -> int:
    from bnlab.data import library

    action, name, folder = arguments.action, arguments.name, arguments.folder
    _check_words(arguments.parser, action, name, folder)
    if action == "list":
        rows = [(row["name"], row["state"], row["about"], row["next"]) for row in library.list_datasets()]
        print(table(("data set", "state", "what it is", "how to get it"), rows))
    elif action == "verify":
        rows = [(row["file"], row["check"], row["found"]) for row in library.verify(name)]
        print(table(("file", "check", "found"), rows) + f"\n{name} is intact")
    else:
        print("\n".join(library.fetch(name) if action == "fetch" else library.import_from(name, folder)))
    return 0


def _check_words(parser: Parser, action: str, name: str | None, folder: str | None) -> None:
    wanted = {"list": 0, "import": 2}.get(action, 1)
    given = sum(word is not None for word in (name, folder))
    if given != wanted:
        usage = " ".join([f"bnlab data {action}", "NAME", "FOLDER"][: wanted + 1])
        parser.error(f"{'too few' if given < wanted else 'too many'} words for {action}: write `{usage}`")
