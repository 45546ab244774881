"""Stored runs as data frames, small enough for the measurements of a hundred thousand runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bnlab.config import flatten, from_dict

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def runs_frame(entries: list[dict]) -> pd.DataFrame:
    """A row per run, indexed by `variant/id`, with a column per dotted configuration key."""
    import pandas as pd

    rows = []
    for entry in entries:
        status = entry["status"]
        rows.append(
            {
                **flatten(from_dict(entry["config"])),
                "run": f"{entry['variant']}/{entry['id']}",
                "state": status["state"],
                "steps_done": status["step"],
                "diverged_at": float("nan") if status["diverged_at"] is None else float(status["diverged_at"]),
                "seconds": status["seconds"],
            }
        )
    return pd.DataFrame(rows).set_index("run")


def rows_frame(table: pa.Table, runs: list[str]) -> pd.DataFrame:
    """Measurements in the order of `runs`, so that a picture does not depend on where its numbers lay.

    Runs and metrics are categories: a million rows are then selected in milliseconds. Counts stay with Arrow, which
    needs a byte for each; as objects of their own they would take three times as much.
    """
    import pandas as pd

    columns = {
        "run": _categorical(table["run"], runs),
        "metric": _categorical(table["metric"], None),
        **{name: _values(table[name]) for name in table.column_names if name not in ("run", "metric")},
    }
    frame = pd.DataFrame(columns, copy=False)
    key = frame["run"].cat.codes.to_numpy(np.int64) * len(frame["metric"].cat.categories)
    key = (key + frame["metric"].cat.codes) * (int(frame["step"].max() if len(frame) else 0) + 1) + frame["step"]
    if (np.diff(key) >= 0).all():
        return frame  # as runs and packs are written
    return frame.iloc[np.argsort(key, kind="stable")].reset_index(drop=True)


def _categorical(column: pa.ChunkedArray, categories: list[str] | None) -> pd.Categorical:
    import pandas as pd

    encoded = column.dictionary_encode().unify_dictionaries()
    words = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
    order = sorted(words) if categories is None else categories
    place = {word: k for k, word in enumerate(order)}
    codes = np.array([place.get(word, -1) for word in words], dtype=np.int32)
    indices = [chunk.indices.to_numpy() for chunk in encoded.chunks] or [np.array([], np.int32)]
    return pd.Categorical.from_codes(codes[np.concatenate(indices)] if words else [], order)


def _values(column: pa.ChunkedArray):
    import pandas as pd
    import pyarrow as pa

    if pa.types.is_fixed_size_list(column.type):
        return pd.arrays.ArrowExtensionArray(pa.chunked_array([column.combine_chunks()]))
    return column.to_numpy()
