"""Which runs an experiment needs in a setting, and which of them a command asks for."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass

from bnlab.compose import (
    GROUPS,
    Axis,
    Card,
    Setting,
    build,
    card,
    check_key,
    default_value,
    leaves_by_default,
    parse_axes,
)
from bnlab.config import HEARD_BY, HEARD_BY_ALL, RunConfig, flatten, run_id
from bnlab.errors import BadInput

# Keys that every listing shows in columns of their own.
NOT_OVERRIDES = ("variant", "seed", "data", "scale")
# Keys that follow from a choice: set by themselves they would put a run under the address of another.
FOLLOWS_FROM = {"data.name": "data", "model.name": "model", "optim.name": "optim"}
DEFAULT_DATA, DEFAULT_SCALE = "digits", "laptop"


@dataclass(frozen=True)
class PlannedRun:
    """`overrides` are the axes, besides variant and seed, in which it differs from other runs of its plan."""

    config: RunConfig
    id: str
    overrides: dict[str, object]


@dataclass(frozen=True)
class Plan:
    """`runs` is what a command asks for, `complete` what the figures and claims of the setting read.

    `following` are sweep keys that no run's overrides name, because their values follow from those that are named.
    """

    experiment: str
    data: str
    scale: str
    runs: tuple[PlannedRun, ...]
    complete: tuple[PlannedRun, ...]
    following: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """Runs that differ only in their seed: the group choices and dotted values they are built from."""

    choices: dict[str, object]
    values: dict[str, object]
    seeds: tuple[int, ...]
    named: tuple[str, ...]  # keys that a sweep or the command line gives


def make_plan(experiment: str, words: list[str]) -> Plan:
    """The runs of `experiment` for `key=value` words in Hydra's grammar.

    `data=` and `scale=` choose the setting. Any other key whose values all occur in the setting's plan narrows it;
    other values override, that is they are put into every run. Errors: BadInput, before anything is created.
    """
    axes = parse_axes(words)
    for axis in axes:
        _check_free(axis)
    scale = _single(axes, "scale", DEFAULT_SCALE)
    data = _single(axes, "data", default_data(card(experiment), scale))
    setting = card(experiment).setting(data, scale)
    recipes = [r for sweep in setting.sweeps for r in _recipes(experiment, setting, sweep)]
    shown = _distinguishing(recipes)
    complete = _planned(recipes, shown)
    asked = recipes
    for axis in _merged(a for a in axes if a.key not in ("data", "scale")):
        asked = _apply(asked, axis)
        shown += [axis.key] if axis.key not in (*shown, *NOT_OVERRIDES) else []
    if not asked:
        raise BadInput(f"{' '.join(words)}: no run of the plan has all of these; see the plan with --dry-run")
    runs = complete if asked is recipes else _planned(asked, shown)
    return Plan(experiment, data, scale, runs, complete, _following(asked, shown))


def default_data(said: Card, scale: str) -> str:
    """The digits, where the experiment has a plan for them at this scale, else the data of its first such plan."""
    planned = [setting.data for setting in said.settings.values() if setting.scale == scale]
    return planned[0] if planned and DEFAULT_DATA not in planned else DEFAULT_DATA


def setting_plan(experiment: str, setting: Setting) -> Plan:
    return make_plan(experiment, [f"data={setting.data}", f"scale={setting.scale}"])


def count_runs(setting: Setting) -> int:
    """How many runs the sweeps of a setting name, without composing any."""
    return sum(math.prod(len(a.values) for a in parse_axes(sweep.split())) for sweep in setting.sweeps)


def _check_free(axis: Axis) -> None:
    """Errors: BadInput for a key that no run has, or that follows from another word."""
    check_key(axis.key)
    if axis.key == "experiment":
        raise BadInput(f"experiment={axis.values[0]}: not a key; the experiment is the first word after `bnlab run`")
    if axis.key == "tracker" and len(axis.values) > 1:
        several = "+".join(map(str, axis.values))
        raise BadInput(
            f"tracker={','.join(map(str, axis.values))}: not a choice to sweep over; write tracker={several}"
        )
    if axis.key == "norm.name":
        raise BadInput(f"norm.name={axis.values[0]}: follows from the variant; write variant=bn")
    if axis.key in FOLLOWS_FROM:
        values = ",".join(map(str, axis.values))
        raise BadInput(f"{axis.key}={values}: write {FOLLOWS_FROM[axis.key]}={values}")


def _single(axes: list[Axis], key: str, default: str) -> str:
    given = [value for axis in axes if axis.key == key for value in axis.values]
    if len(given) > 1:
        raise BadInput(f"{key}={','.join(map(str, given))}: one command runs one setting; give one {key} at a time")
    return str(given[0]) if given else default


def _recipes(experiment: str, setting: Setting, sweep: str) -> list[Recipe]:
    base = {axis.key: axis.values[0] for axis in parse_axes(setting.base.split())}
    axes = parse_axes(sweep.split())
    for axis in (*parse_axes(setting.base.split()), *axes):
        _check_free(axis)
    seeds = next((axis.values for axis in axes if axis.key == "seed"), (0,))
    rest = [axis for axis in axes if axis.key != "seed"]
    recipes = []
    for combination in itertools.product(*(axis.values for axis in rest)):
        swept = dict(zip((axis.key for axis in rest), combination))
        assigned = {**base, "data": setting.data, "scale": setting.scale, **swept}
        choices = {k: v for k, v in assigned.items() if k in GROUPS}
        values = {"experiment": experiment, **{k: v for k, v in assigned.items() if k not in GROUPS}}
        recipes.append(Recipe(choices, values, seeds, tuple(a.key for a in rest)))
    return recipes


def _distinguishing(recipes: list[Recipe]) -> list[str]:
    """The sweep keys that tell runs of one variant apart, in the order the plan names them.

    A key that follows from earlier ones (a schedule that goes with its learning rate, say) is left out.
    """
    named = dict.fromkeys(key for recipe in recipes for key in recipe.named if key not in NOT_OVERRIDES)
    kept: list[str] = []
    for key in named:
        if _kinds(recipes, [*kept, key]) > _kinds(recipes, kept):
            kept.append(key)
    return kept


def _following(recipes: list[Recipe], shown: list[str]) -> tuple[str, ...]:
    """The sweep keys that are not shown although the runs differ in them."""
    named = dict.fromkeys(key for recipe in recipes for key in recipe.named if key not in (*NOT_OVERRIDES, *shown))
    return tuple(key for key in named if len({repr(_value(recipe, key)) for recipe in recipes}) > 1)


def _kinds(recipes: list[Recipe], keys: list[str]) -> int:
    return len({(repr(r.choices["variant"]), *(repr(_value(r, key)) for key in keys)) for r in recipes})


def _value(recipe: Recipe, key: str) -> object:
    if key in GROUPS:
        return recipe.choices.get(key)
    if key in recipe.values:
        return recipe.values[key]
    return default_value(recipe.choices, key)


def _merged(axes) -> list[Axis]:
    """One axis per key: the last word of the command line wins."""
    return list({axis.key: axis for axis in axes}.values())


def _apply(recipes: list[Recipe], axis: Axis) -> list[Recipe]:
    if axis.key == "seed":
        return _apply_seeds(recipes, tuple(dict.fromkeys(map(_whole, axis.values))))
    planned = [_spelt(axis.key, _value(recipe, axis.key)) for recipe in recipes]
    asked = [_spelt(axis.key, value) for value in axis.values]
    if all(value in planned for value in asked):
        return [recipe for recipe, value in zip(recipes, planned) if value in asked]
    hearing = [_hears(recipe, axis.key) for recipe in recipes]
    if not any(hearing):
        raise _unheard(recipes[0], axis)
    return [
        _assign(recipe, axis.key, value) if hears else recipe
        for value in axis.values
        for recipe, hears in zip(recipes, hearing, strict=True)
    ]


def _hears(recipe: Recipe, key: str) -> bool:
    """Whether a key can change these runs: a procedure that does not look at it would only repeat them."""
    procedure = str(recipe.values.get("procedure", "train"))
    return procedure == "train" or key.split(".")[0] in (*HEARD_BY_ALL, *HEARD_BY.get(procedure, ()))


def _unheard(recipe: Recipe, axis: Axis) -> BadInput:
    procedure = str(recipe.values["procedure"])
    taken = ", ".join(("seed", "steps", *HEARD_BY.get(procedure, ())))
    value = f"{axis.key}={axis.values[0]}"
    return BadInput(f"{value}: {procedure} does not look at it, so nothing would change; it takes {taken}")


def _spelt(key: str, value: object) -> str:
    """Value and type in one: 1e2 is no 100 and 0 no false, but a key that takes any number takes a whole one."""
    any_number = type(value) is int and type(leaves_by_default().get(key)) is float
    return repr(float(value) if any_number else value)


def _apply_seeds(recipes: list[Recipe], seeds: tuple) -> list[Recipe]:
    if not all(any(seed in recipe.seeds for recipe in recipes) for seed in seeds):
        return [dataclasses.replace(recipe, seeds=seeds) for recipe in recipes]
    kept = [dataclasses.replace(r, seeds=tuple(s for s in seeds if s in r.seeds)) for r in recipes]
    return [recipe for recipe in kept if recipe.seeds]


def _assign(recipe: Recipe, key: str, value: object) -> Recipe:
    if key in GROUPS:
        return dataclasses.replace(recipe, choices={**recipe.choices, key: value})
    return dataclasses.replace(recipe, values={**recipe.values, key: value})


def _planned(recipes: list[Recipe], shown: list[str]) -> tuple[PlannedRun, ...]:
    """Every run once, in the order of the sweeps."""
    runs: dict[tuple[str, str], PlannedRun] = {}
    for recipe in recipes:
        first = build(recipe.choices, {**recipe.values, "seed": recipe.seeds[0]})
        stem = run_id(first).rpartition("-s")[0]
        leaves = flatten(first)
        overrides = {k: recipe.choices[k] if k in GROUPS else leaves[k] for k in shown}
        for seed in recipe.seeds:
            config = first if seed == first.seed else dataclasses.replace(first, seed=_whole(seed))
            runs.setdefault((config.variant, f"{stem}-s{seed}"), PlannedRun(config, f"{stem}-s{seed}", overrides))
    return tuple(runs.values())


def _whole(seed: object) -> int:
    if type(seed) is not int:
        raise BadInput(f"seed={seed}: must be a whole number")
    return seed
