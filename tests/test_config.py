"""A configuration's ranges, its keys, and ids that must never move."""

import dataclasses

import pytest

from bnlab.cadence import Cadence
from bnlab.config import (
    DataConfig,
    LpConfig,
    ModelConfig,
    NormConfig,
    OptimConfig,
    RenormConfig,
    RunConfig,
    flatten,
    from_dict,
    run_id,
    to_dict,
)
from bnlab.errors import BadInput

VGG = ModelConfig(name="vgg_d", width=0.125)
EXPONENTIAL = OptimConfig(name="adam", schedule="exponential")

# Literal ids: a change here means that every stored run would be trained again under another address.
PINNED = {
    RunConfig(): "44136fa3-s0",
    RunConfig(seed=7, device="auto", threads=2, tracker="wandb", checkpoint="10it"): "44136fa3-s7",
    RunConfig(experiment="ics_vgg", variant="bn", norm=NormConfig(name="batch"), lr=0.01): "65d37bc8-s0",
    RunConfig(data=DataConfig(name="cifar10", train_subset=5000), model=VGG): "a0ca5c41-s0",
    RunConfig(variant="ghost", norm=NormConfig(name="batch", ghost_size=4)): "aac2f0bf-s0",
    RunConfig(variant="l1", norm=NormConfig(name="lp", lp=LpConfig("l1"))): "932ad5e5-s0",
    RunConfig(variant="group", norm=NormConfig(name="group")): "71f1a00f-s0",
    RunConfig(variant="renorm", norm=NormConfig(name="renorm", renorm=RenormConfig(r_max=2.0))): "1c964a02-s0",
    RunConfig(data=DataConfig(batch_classes=4), norm=NormConfig(name="renorm")): "811e6e9b-s0",
    RunConfig(optim=EXPONENTIAL, model=ModelConfig(widths=(10, 20))): "c44d4462-s0",
}


@pytest.mark.parametrize("config", PINNED, ids=PINNED.values())
def test_run_ids_are_the_ones_already_on_disk(config):
    assert run_id(config) == PINNED[config]


def test_every_default_is_on_record():
    defaults = flatten(RunConfig())
    assert len(defaults) == 85
    assert (defaults["lr"], defaults["batch_size"]) == (0.1, 64)
    assert (defaults["data.batch_classes"], defaults["probe.curves.by_batch"]) == (0, "never")
    assert (defaults["norm.eps"], defaults["norm.momentum"]) == (1e-5, 0.1)
    assert (defaults["norm.noise.shift"], defaults["norm.noise.scale"]) == (0.5, 1.25)


def test_a_configuration_survives_json():
    config = RunConfig(model=ModelConfig(widths=(3, 4)), norm=NormConfig(name="noisy_batch"), seed=2)
    assert from_dict(to_dict(config)) == config


BAD = {
    "lr": [-1.0, 0.0, float("nan"), float("inf"), "fast", True],
    "batch_size": [0, -3, 1.5, "many"],
    "steps": [0, -1],
    "seed": [-1, "abc", 2**32],
    "threads": [0],
    "scale": ["huge"],
    "variant": [3],
    "checkpoint": ["often"],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in BAD.items() for v in values])
def test_a_bad_value_is_named_with_its_key(key, value):
    with pytest.raises(BadInput) as error:
        from_dict({key: value})
    assert str(error.value).startswith(f"{key}={value}") and len(str(error.value)) <= 240


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"lrr": 1}, "lrr"),
        ({"model": {"_target_": "os.system"}}, "model._target_"),
        ({"norm": {"noise": {"shfit": 1.0}}}, "norm.noise.shfit"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_one(values, key):
    with pytest.raises(BadInput, match="no such key"):
        from_dict(values)
    with pytest.raises(BadInput) as error:
        from_dict(values)
    assert str(error.value).startswith(key + ":")


def test_nested_bad_values_carry_the_dotted_key():
    for values, start in [
        ({"norm": {"eps": -1.0}}, "norm.eps=-1"),
        ({"optim": {"momentum": 1.0}}, "optim.momentum=1"),
        ({"model": {"widths": []}}, "model.widths=[]"),
        ({"probe": {"curves": {"cadence": "now"}}}, "probe.curves.cadence=now"),
        ({"model": 3}, "model=3"),
        ({"norm": {"lp": {"norm": "l3"}}}, "norm.lp.norm=l3"),
        ({"norm": {"group": {"groups": 0}}}, "norm.group.groups=0"),
        ({"norm": {"renorm": {"start": 600}}}, "norm.renorm.d_full=500"),
        ({"data": {"batch_classes": 11}}, "data.batch_classes=11"),
        ({"data": {"batch_classes": 5, "name": "synthetic"}}, "data.batch_classes=5"),
        ({"data": {"batch_classes": 3}}, "batch_size=64"),
        ({"probe": {"curves": {"by_batch": "now"}}}, "probe.curves.by_batch=now"),
    ]:
        with pytest.raises(BadInput) as error:
            from_dict(values)
        assert str(error.value).startswith(start)


def test_one_image_has_no_batch_statistics_in_dense_layers():
    with pytest.raises(BadInput, match="batch_size=1"):
        RunConfig(batch_size=1, norm=NormConfig(name="batch"))
    assert RunConfig(batch_size=1).batch_size == 1
    spatial = RunConfig(batch_size=1, norm=NormConfig(name="batch"), model=VGG, data=DataConfig(size=32))
    assert spatial.batch_size == 1


def test_what_a_net_cannot_do_is_refused_before_it_is_built():
    for words, start in [
        ({"model": {"name": "vgg_a"}}, "model=vgg_a"),
        ({"model": {"name": "vgg_a", "dropout": 0.5}, "data": {"size": 32}}, "model.dropout=0.5"),
        ({"probe": {"moments": {"layers": [2, 5]}}}, "probe.moments.layers=[2, 5]"),
        ({"model": {"dropout_layers": "first"}}, "model.dropout_layers=first"),
        ({"model": {"dropout_layers": "others"}}, "model.dropout_layers=others"),
        ({"model": {"dropout": 0.5, "dropout_layers": "others", "widths": [9]}}, "model.dropout_layers=others"),
        ({"model": {"name": "convnet", "dropout": 0.5, "dropout_layers": "others"}}, "model.dropout_layers=others"),
    ]:
        with pytest.raises(BadInput) as error:
            from_dict(words)
        assert str(error.value).startswith(start)


def test_where_a_run_happens_is_not_part_of_what_it_is():
    config = RunConfig()
    for change in ({"seed": 3}, {"device": "auto"}, {"threads": 2}, {"tracker": "wandb"}, {"checkpoint": "5it"}):
        moved = dataclasses.replace(config, **change)
        assert run_id(moved).split("-s")[0] == run_id(config).split("-s")[0]
    assert run_id(dataclasses.replace(config, lr=0.2)) != run_id(config)


def test_cadences_name_their_steps():
    assert Cadence.parse("20it").steps(61, 10) == {0, 20, 40, 60}
    assert Cadence.parse("1ep").steps(25, 10) == {0, 10, 20}
    assert Cadence.parse("@1,2,99").steps(50, 10) == {1, 2}
    assert Cadence.parse("never").steps(50, 10) == frozenset()
    assert Cadence.parse("40it+@1,2").steps(50, 10) == {0, 1, 2, 40}
    spaced = sorted(Cadence.parse("log100").steps(10_001, 600))
    assert spaced[0] == 0 and spaced[-1] == 10_000 and 70 <= len(spaced) <= 101
    ratios = [b / a for a, b in zip(spaced[40:], spaced[41:])]
    assert max(ratios) < 1.2
    for bad in ("", "20", "it", "0it", "log", "log0", "@", "@1,x", "20it+"):
        with pytest.raises(BadInput):
            Cadence.parse(bad)


def test_names_from_elsewhere_are_known():
    from bnlab.config import ELSEWHERE_CALLED, unknown_key

    assert set(ELSEWHERE_CALLED.values()) <= set(flatten(RunConfig())) and not set(ELSEWHERE_CALLED) & set(
        flatten(RunConfig())
    )
    assert "called lr here" in str(unknown_key("learning_rate"))
