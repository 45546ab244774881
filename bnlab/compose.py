"""From YAML files and `key=value` words to plain values: the one place that uses Hydra."""

from __future__ import annotations

import copy
import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

from bnlab.assets import config_files, configs_dir, extensions_dir
from bnlab.config import SCALES, LauncherConfig, RunConfig, flatten, from_dict, unknown_key
from bnlab.errors import BadInput
from bnlab.ranges import nearest

GROUPS = ("data", "scale", "model", "optim", "variant")
MOST_VALUES = 1_000_000  # of one word: more are a slip of the pen, and would fill the memory


@dataclass(frozen=True)
class Setting:
    """A data set and scale an experiment is run at; `minutes` is for two cores, 0 where it was not measured."""

    data: str
    scale: str
    minutes: float
    base: str
    sweeps: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.data}-{self.scale}"


@dataclass(frozen=True)
class Card:
    """What an experiment's YAML says of it."""

    name: str
    question: str
    source: str
    claims: tuple[str, ...]
    settings: dict[str, Setting]

    def setting(self, data: str, scale: str) -> Setting:
        """Errors: BadInput when the experiment has no plan for this data set and scale."""
        if f"{data}-{scale}" not in self.settings:
            known = [f"data={s.data} scale={s.scale}" for s in self.settings.values()]
            close = self._nearest(data, scale)
            raise BadInput(f"{self.name}: no plan for data={data} scale={scale}{close}; there are: {'; '.join(known)}")
        return self.settings[f"{data}-{scale}"]

    def _nearest(self, data: str, scale: str) -> str:
        """The name that comes nearest to the one of the two that no plan has."""
        for word, known in ((data, {s.data for s in self.settings.values()}), (scale, SCALES)):
            if word not in known:
                return nearest(word, sorted(known))
        return ""


@dataclass(frozen=True)
class Axis:
    """One word of the command line or of a plan: a key and the values it takes."""

    key: str
    values: tuple[object, ...]


def experiment_names() -> list[str]:
    return list(config_files("experiment"))


@functools.cache
def card(name: str) -> Card:
    """Errors: BadInput with the nearest name when there is no such experiment."""
    if name not in experiment_names():
        raise BadInput(f"{name}: no such experiment{nearest(name, experiment_names())}; `bnlab list` shows all")
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C, where PyYAML was built with it
    content = yaml.load(config_files("experiment")[name].read_text(), loader)
    settings = {key: _setting(key, value) for key, value in content["settings"].items()}
    return Card(name, content["question"], content["source"], tuple(content["claims"]), settings)


def _setting(key: str, value: dict) -> Setting:
    data, _, scale = key.rpartition("-")
    sweeps = tuple(" ".join(sweep.split()) for sweep in value["sweeps"])
    return Setting(data, scale, float(value.get("minutes", 0)), " ".join(value.get("base", "").split()), sweeps)


def parse_axes(words: list[str]) -> list[Axis]:
    """Hydra's override grammar (`lr=0.1,0.2`, `seed=range(5)`, lists, quotes), each word as an axis.

    Errors: BadInput, naming the word.
    """
    return [_axis(word) for word in words]


@functools.cache
def _parser():
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create()


@functools.cache  # plans say most of their words many times
def _axis(word: str) -> Axis:
    from hydra.core.override_parser.types import IntervalSweep, OverrideType
    from hydra.errors import HydraException

    if "=" not in word:
        raise BadInput(f"{word}: not a key=value word; write for example lr=0.1 or seed=range(5)")
    try:
        override = _parser().parse_override(word)
        if override.type is OverrideType.DEL or override.package is not None:
            raise BadInput(f"{word}: keys can be set, not deleted or moved; write key=value")
        key = override.key_or_group
        if isinstance(override.value(), IntervalSweep):
            raise BadInput(f"{word}: an interval has no finite list of values; write {key}=0.1,0.2 or {key}=range(5)")
        if not override.is_sweep_override():
            return Axis(key, (_plain(override.value()),))
        values = tuple(_plain(value) for value in itertools.islice(override.sweep_iterator(), MOST_VALUES + 1))
    except (HydraException, ValueError, ArithmeticError) as error:
        reason = str(error).splitlines()[0][:120]
        raise BadInput(f"{word}: cannot be read ({reason}); put quotes around special characters") from error
    if not 0 < len(values) <= MOST_VALUES:
        count = f"more than {MOST_VALUES:,} values" if values else "no value"
        raise BadInput(f"{word}: names {count}; write for example {key}=0.1,0.2 or {key}=range(5)")
    return Axis(key, values)


def _plain(value: object) -> object:
    from hydra.core.override_parser.types import QuotedString

    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, int):
        float(value)  # OverflowError, before a key that takes any number meets it
    return value


def options(group: str) -> list[str]:
    return list(config_files(group))


def check_key(key: str) -> None:
    """Errors: BadInput when no configuration has this key."""
    if key not in GROUPS and key not in leaves_by_default():
        raise unknown_key(key)


@functools.cache
def leaves_by_default() -> dict[str, object]:
    """Every dotted key with the value it has where nothing is said."""
    return flatten(RunConfig())


def default_value(choices: dict[str, object], key: str) -> object:
    """The value of a dotted key that these group choices give, before any key is set."""
    place: object = _composed(_sorted(choices))
    for part in key.split("."):
        if not isinstance(place, dict) or part not in place:
            return leaves_by_default()[key]
        place = place[part]
    return place


def build(choices: dict[str, object], values: dict[str, object]) -> RunConfig:
    """The run that these group choices and dotted values make. Errors: BadInput, naming the key."""
    nested = copy.deepcopy(_composed(_sorted(choices)))
    for key, value in values.items():
        if isinstance(leaves_by_default().get(key), list) and not isinstance(value, (list, tuple)):
            raise BadInput(f"{key}={value}: must be a list; write {key}=[{value}]")
        *parents, leaf = key.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = value
    return from_dict(nested)


def split_launcher(words: list[str]) -> tuple[LauncherConfig, list[str]]:
    """The `launcher=` and `launcher.key=` words as a configuration, and the words that are left, about the runs.

    A launcher's file lists the keys it has a use for. Errors: BadInput.
    """
    chosen = [word for word in words if word.split("=")[0].split(".")[0] == "launcher"]
    values: dict[str, object] = {}
    for axis in parse_axes(chosen):
        if len(axis.values) > 1:
            raise BadInput(f"{axis.key}: one command uses one launcher; give it one value")
        values[axis.key] = axis.values[0]
    name = str(values.pop("launcher", "local"))
    if name not in options("launcher"):
        known = ", ".join(options("launcher"))
        raise BadInput(f"launcher={name}: no such choice{nearest(name, options('launcher'))}; there are {known}")
    if "launcher.name" in values:
        raise BadInput(f"launcher.name={values['launcher.name']}: write launcher={values['launcher.name']}")
    content = _launcher_file(name)
    for key, value in values.items():
        users = [other for other in options("launcher") if key.removeprefix("launcher.") in _launcher_file(other)]
        if users and name not in users:
            instead = " or ".join(f"launcher={other}" for other in users)
            raise BadInput(f"{key}={value}: launcher={name} has no use for it; leave it out, or write {instead}")
    content |= {key.removeprefix("launcher."): value for key, value in values.items()}
    return from_dict(content, LauncherConfig, "launcher."), [word for word in words if word not in chosen]


def _launcher_file(name: str) -> dict:
    import yaml

    return yaml.safe_load((configs_dir() / "launcher" / f"{name}.yaml").read_text())


def _sorted(choices: dict[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((group, str(choice)) for group, choice in choices.items()))


@functools.cache
def _composed(choices: tuple[tuple[str, str], ...]) -> dict:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    for group, choice in choices:
        if choice not in options(group):
            known = ", ".join(options(group))
            raise BadInput(f"{group}={choice}: no such choice{nearest(choice, options(group))}; there are {known}")
    added = extensions_dir()
    overrides = [f"{group}={choice}" for group, choice in choices]
    overrides += [f"hydra.searchpath=['file://{added}']"] if added else []
    with initialize_config_dir(version_base=None, config_dir=str(Path(configs_dir()).resolve())):
        return OmegaConf.to_container(compose("base", overrides=overrides), resolve=True)
