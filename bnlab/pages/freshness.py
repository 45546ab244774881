"""Whether verdicts and figures were made before the runs that they speak of ended, by the times of their files."""

from __future__ import annotations

from collections.abc import Sequence

from bnlab.pages.index import Entry, SettingFiles
from bnlab.pages.site import Site
from bnlab.store import FINISHED

# A checkout writes a pack and its verdicts within seconds of each other, in any order.
SECONDS_BETWEEN_FILES = {"runs": 2.0, "pack": 60.0}
WORDS = {"claims": "verdicts", "figures": "figures"}


def outdated(site: Site, files: SettingFiles, entries: Sequence[Entry]) -> list[dict]:
    """What is older than some finished runs of its setting: what it is, how many those are, what makes it again."""
    if not site.dated:
        return []
    made = {"claims": files.judged, "figures": files.drawn}
    newer = {command: _newer(files, entries, at) for command, at in made.items()}
    return [
        {"what": WORDS[command], "runs": count, "command": command_for(command, files.experiment, files.name)}
        for command, count in newer.items()
        if count and site.card(files.experiment)
    ]


def command_for(command: str, experiment: str, setting: str) -> str:
    data, _, scale = setting.rpartition("-")
    return f"bnlab {command} {experiment} data={data} scale={scale}"


def _newer(files: SettingFiles, entries: Sequence[Entry], made: float) -> int:
    """Finished runs newer than this time: directories, or the pack where it is what the verdicts were read from."""
    finished = [entry for entry in entries if entry.run.status.state in FINISHED]
    own = [entry for entry in finished if entry.directory is not None]
    if own:
        return sum(entry.changed > made + SECONDS_BETWEEN_FILES["runs"] for entry in own)
    if not any(row.get("from") == "pack" for row in files.claims):
        return 0
    return sum(entry.changed > made + SECONDS_BETWEEN_FILES["pack"] for entry in finished)
