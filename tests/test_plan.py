"""From YAML and words to runs: narrowing, overriding, and what the command line may say."""

import pytest

from bnlab.compose import card, experiment_names, parse_axes
from bnlab.config import RunConfig
from bnlab.errors import BadInput
from bnlab.sweeping.plan import count_runs, make_plan, setting_plan

EXPERIMENTS = experiment_names()


def _all_settings():
    return [(name, setting) for name in EXPERIMENTS for setting in card(name).settings.values()]


@pytest.mark.parametrize(("name", "setting"), _all_settings(), ids=lambda x: x if isinstance(x, str) else x.name)
def test_every_shipped_plan_builds_and_its_runs_are_distinct(name, setting):
    plan = setting_plan(name, setting)
    addresses = [(run.config.variant, run.id) for run in plan.complete]
    assert len(set(addresses)) == len(addresses) == len(plan.runs) > 0
    assert all(run.config.experiment == name and run.config.scale == setting.scale for run in plan.complete)
    assert all(run.config.data.name == setting.data for run in plan.complete)
    assert count_runs(setting) >= len(addresses)  # a run that two sweeps name is planned once


def test_words_that_the_plan_holds_narrow_it():
    whole = make_plan("ics_vgg", [])
    narrow = make_plan("ics_vgg", ["variant=bn,plain", "seed=0,2"])
    assert [r.id for r in narrow.complete] == [r.id for r in whole.complete]
    kept = {(r.config.variant, r.id) for r in narrow.runs}
    assert kept < {(r.config.variant, r.id) for r in whole.runs}
    assert {(r.config.variant, r.config.seed) for r in narrow.runs} == {(v, s) for v in ("bn", "plain") for s in (0, 2)}


def test_a_value_of_another_type_is_not_the_planned_one():
    held = make_plan("activation_histograms", ["variant=bn", "model=mlp", "batch_size=100"]).runs
    assert held and {type(r.config.batch_size) for r in held} == {int}
    words = ("batch_size=1e2", "norm.scale=0", "seed=0.0", "seed=true", "seed=0,false", "model.bias_init=false")
    for word in words:
        with pytest.raises(BadInput, match=f"{word.partition('=')[0]}="):
            make_plan("activation_histograms", [word])
    whole = make_plan("activation_histograms", ["model.bias_init=0"])
    assert whole.runs == make_plan("activation_histograms", ["model.bias_init=0.0"]).runs
    assert {r.id for r in whole.runs} < {r.id for r in whole.complete}


def test_other_values_override_and_get_ids_of_their_own():
    plan = make_plan("ics_vgg", ["lr=0.05", "variant=bn", "seed=range(7)", "model=vgg_d"])
    assert {r.config.lr for r in plan.runs} == {0.05} and {r.config.model.name for r in plan.runs} == {"vgg_d"}
    assert [r.config.seed for r in plan.runs] == list(range(7))
    assert not {r.id for r in plan.runs} & {r.id for r in plan.complete}
    assert plan.runs[0].overrides == {"lr": 0.05, "model": "vgg_d"}


def test_group_files_set_what_the_dataclass_defines():
    runs = {r.config.variant: r.config for r in make_plan("ics_vgg", ["seed=0"]).runs}
    assert {v: c.norm.name for v, c in runs.items()} == {
        "plain": "none",
        "bn": "batch",
        "bn_noise": "noisy_batch",
        "plain_noise": "noise",
    }
    assert all(isinstance(c, RunConfig) for c in runs.values())


def test_hydra_grammar_of_the_command_line():
    words = ["lr=0.1,1e-3", "seed=range(0,6,2)", "+steps=5", "model.widths=[3,4]"]
    values = {axis.key: axis.values for axis in parse_axes(words)}
    assert values == {"lr": (0.1, 1e-3), "seed": (0, 2, 4), "steps": (5,), "model.widths": ([3, 4],)}
    assert parse_axes(["probe.curves.cadence='20it+@1,2'"])[0].values == ("20it+@1,2",)


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("lrr=1", "did you mean 'lr'"),
        ("+lrr=1", "did you mean 'lr'"),
        ("lr", "key=value"),
        ("~lr", "key=value"),
        ("~lr=0.1", "not deleted"),
        ("lr=interval(0,1)", "interval"),
        ("lr=-1", "lr=-1"),
        ("lr=nan", "lr=nan"),
        ("lr=1e400", "lr=inf"),
        ("batch_size=0", "batch_size=0"),
        ("seed=abc", "seed=abc"),
        ("seed=-1", "seed=-1"),
        ("seed=1.5", "seed=1.5"),
        ("variant=bm", "did you mean 'bn'"),
        ("data=cifar100", "cifar10"),
        ("data=digits,mnist", "one setting"),
        ("model._target_=os.system", "no such key"),
        ("model=[1,2", "cannot be read"),
        ("steps=0", "steps=0"),
        ("data=cifar", "did you mean 'cifar10'"),
        ("scale=laptob", "did you mean 'laptop'"),
        ("scale=huge", "no plan for data=digits scale=huge; there are: data="),
        ("probe.names=curves", "write probe.names=[curves]"),
        ("experiment=foo", "not a key"),
        ("data.name=cifar10", "write data=cifar10"),
        ("model.name=mlp,vgg_d", "write model=mlp,vgg_d"),
        ("optim.name=adam", "write optim=adam"),
        ("+norm.name=batch", "write variant=bn"),
        ("seed=range(1,5,0)", "cannot be read"),
        ("lr=range(0.0,nan)", "cannot be read"),
        ("seed=range(0)", "names no value"),
        ("seed=range(10000000000)", "more than 1,000,000"),
    ],
)
def test_bad_words_are_one_line_that_names_them(word, part):
    with pytest.raises(BadInput) as error:
        make_plan("ics_vgg", [word])
    text = str(error.value)
    assert part in text and "\n" not in text and len(text) <= 240


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_number_too_long_to_be_one_is_bad_input(digits):
    with pytest.raises(BadInput, match="cannot be read"):
        make_plan("ics_vgg", ["lr=" + "9" * digits])


def test_an_unknown_experiment_is_named_with_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'ics_vgg'"):
        make_plan("ics_vg", [])


@pytest.mark.parametrize("word", ["variant=group", "lr=0.5", "optim.momentum=0.5", "model=vgg_a"])
def test_a_key_that_a_procedure_does_not_look_at_is_refused(word):
    with pytest.raises(BadInput, match="identities does not look at it"):
        make_plan("exact_identities", [word])


def test_a_key_that_one_of_the_procedures_of_a_plan_looks_at_leaves_the_others_as_they_are():
    planned = make_plan("regularisation", ["scale=smoke", "lr=0.2,0.3"]).runs
    assert {run.config.lr for run in planned if run.config.procedure == "train"} == {0.2, 0.3}
    (deaf,) = {run.config.lr for run in planned if run.config.procedure != "train"}
    assert deaf == 0.5 and len({(run.config.variant, run.id) for run in planned}) == len(planned)


def test_a_procedure_takes_what_it_looks_at():
    (run,) = make_plan("exact_identities", ["steps=50", "seed=7", "variant=bn"]).runs
    assert (run.config.steps, run.config.seed) == (50, 7)
    assert make_plan("learning_rates", ["scale=smoke", "model.widths=[8,8]"]).runs
