"""A finished figure and how it is written: PDF, PNG, SVG and the plotted numbers, the same bytes every time."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bnlab.plots.names import DATA_NAMES, MODEL_NAMES
from bnlab.plots.style import paper_style
from bnlab.store import make_folder, write_changed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from bnlab.store import Runs

DOTS_PER_INCH = 200
# No date, so that the same picture has the same bytes tomorrow.
KINDS = ("pdf", "png", "svg", "csv")
METADATA = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
CHARACTERS_PER_INCH = 22  # of the small print below a figure


@dataclass(frozen=True)
class Drawing:
    """`numbers` are the plotted values, a row per point; `caption` is one paragraph of plain text."""

    figure: Figure
    numbers: pd.DataFrame
    caption: str


def save(drawing: Drawing, folder: Path, name: str, kinds: Sequence[str] = KINDS) -> list[Path]:
    """Write `name`.pdf, .png, .svg and .csv into `folder`, each aside and renamed. Errors: EnvironmentFault."""
    make_folder(folder)
    settle(drawing.figure)
    files = {folder / f"{name}.{kind}": _content(drawing, kind) for kind in kinds}
    for path, content in files.items():
        write_changed(path, content)
    return list(files)


def _content(drawing: Drawing, kind: str) -> bytes:
    if kind != "csv":
        return _picture(drawing, kind)
    return drawing.numbers.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()


def settle(figure: Figure) -> None:
    """Lay the figure out once, so that every format has the same layout."""
    with paper_style():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def _picture(drawing: Drawing, kind: str) -> bytes:
    buffer = io.BytesIO()
    with paper_style():
        drawing.figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=METADATA[kind])
    return buffer.getvalue()


def setting_words(runs: Runs) -> str:
    """Data, net, batch size, steps, rates of the selected runs, for captions: values that differ are left out."""
    if not runs.n:
        return f"{runs.data}-{runs.scale}"
    row = runs.table.iloc[0]
    if row["procedure"] != "train":
        seeds = f"each of {runs.n} seeds" if runs.n > 1 else "one seed"
        return f"{runs.data}-{runs.scale}, {row['procedure']}, {row['steps']:,} cases of {seeds}"
    same = {key for key in _SHOWN if runs.table[key].nunique() == 1}
    words = [f"{runs.data}-{runs.scale}", _data_words(row), _model_words(row) if "model.name" in same else ""]
    words += [text.format(row[key]) for key, text in _TEXTS.items() if key in same]
    return ", ".join(word for word in words if word)


_TEXTS = {"batch_size": "batch {}", "steps": "{:,} steps", "lr": "lr {:g}", "optim.weight_decay": "weight decay {:g}"}
_SHOWN = ("model.name", *_TEXTS)


def _data_words(row) -> str:
    name = DATA_NAMES.get(row["data.name"], row["data.name"])
    size = f" at {row['data.size']} × {row['data.size']}" if row["data.size"] else ""
    subset = f", {row['data.train_subset']:,} training images" if row["data.train_subset"] else ""
    return name + size + subset


def _model_words(row) -> str:
    name = MODEL_NAMES.get(row["model.name"], row["model.name"])
    return f"{name} of width {row['model.width']:g}" if row["model.name"].startswith("vgg") else name


def seeds_words(counts: dict[str, int], planned: int) -> str:
    """`n = 5 of 5 seeds`, or the count of every arm where they differ."""
    if len(set(counts.values())) <= 1:
        return f"n = {next(iter(counts.values()), 0)} of {planned} seeds"
    each = ", ".join(f"{name} {n}" for name, n in counts.items())
    return f"n of {planned} seeds: {each}"


def cells_words(cells: Mapping[str, tuple[dict[str, int], int]]) -> str:
    """`seeds_words` of every cell (name -> counts and planned seeds), with its name where there are several."""
    return "; ".join(
        seeds_words(counts, planned) + (f" ({name})" if len(cells) > 1 else "")
        for name, (counts, planned) in cells.items()
    )


def small_print(figure: Figure, text: str) -> None:
    """What a reader must know to read the figure, in small type below its panels, within its width."""
    width = int(figure.get_size_inches()[0] * CHARACTERS_PER_INCH)
    kept = text.replace(" = ", "\u00a0=\u00a0").replace(" %", "\u00a0%")
    figure.supxlabel("\n".join(textwrap.wrap(kept, width)), fontsize=6, color="#444444")


def finish(figure: Figure, numbers: list[pd.DataFrame], runs: Runs, words: str) -> Drawing:
    """Close a figure: the setting of `runs` and `words` (n, interval, contents) stand under it and in its caption."""
    import pandas as pd

    caption = f"{setting_words(runs)}. {words}"
    small_print(figure, caption)
    return Drawing(figure, pd.concat(numbers, ignore_index=True), caption)
