"""A configuration as plain values: flat with dotted keys, or nested as in JSON."""

from __future__ import annotations

import dataclasses
import json

from bnlab.config.run import RunConfig
from bnlab.extensions import added


def flatten(config: object, prefix: str = "") -> dict[str, object]:
    """Dotted key -> value of every leaf; tuples become lists, as in JSON."""
    leaves: dict[str, object] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            leaves.update(flatten(value, f"{prefix}{f.name}."))
        else:
            leaves[prefix + f.name] = list(value) if isinstance(value, tuple) else value
    return leaves


def to_dict(config: RunConfig) -> dict:
    """The nested form, ready for JSON; of extensions only what the run uses, so that it is read where they are not."""
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    for kind, key, used in (
        ("norms", "norm", [config.norm.name]),
        ("models", "model", [config.model.name]),
        ("probes", "probe", config.probe.names),
    ):
        for name, fields in added(kind).items():
            if name not in used and getattr(getattr(config, key), name) == fields():
                del values[key][name]
    return values
