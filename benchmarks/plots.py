"""Two pictures of one run: how fast each engine is, and how ours grows with its input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from results import Result, largest, number, sizes, slope

_OURS, _THEIRS, _LIMIT = "#1f5f8b", "#b8b8b8", "#e3c16f"
#: Values further apart than this are drawn on a logarithmic axis.
_DECADES = 30
_SHOWN = {
    "scan": "scan, MB/s",
    "token": "token, M values/s",
    "decode": "COPY BINARY → Arrow, MB/s",
    "end-to-end": "a million rows end to end, s (less is better)",
}


def throughput(results: Sequence[Result], path: Path) -> None:
    """A panel a measure, a bar an engine; logarithmic where the values lie far apart."""
    panels = []
    for measure, title in _SHOWN.items():
        mine = [one for one in results if one.measure == measure]
        if measure == "scan":
            mine += [one for one in results if one.measure == "copy"]
        units = {one.unit for one in mine}
        if mine:
            unit = sorted(units)[0] if len(units) == 1 else title.split(", ")[1].split(" (")[0]
            panels.append((title, [one for one in largest(mine) if one.unit == unit]))
    if not panels:
        return
    heights = [len(bars) + 1 for _, bars in panels]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(9, 0.34 * sum(heights) + 0.6 * len(panels)), squeeze=False,
        gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for axis, (title, bars) in zip(axes[:, 0], panels, strict=True):
        bars = bars[::-1]
        colours = [_OURS if one.ours else _LIMIT if one.limit else _THEIRS for one in bars]
        drawn = axis.barh([one.engine for one in bars], [one.value for one in bars], color=colours)
        axis.bar_label(drawn, [number(one.value) for one in bars], padding=3, fontsize=8)
        values = [one.value for one in bars]
        if max(values) > _DECADES * min(values):
            axis.set_xscale("log")
        axis.set_title(title, loc="left", fontsize=10)
        axis.tick_params(labelsize=8)
        axis.margins(x=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def growth(results: Sequence[Result], path: Path) -> None:
    """A line an engine of ours: seconds over size, both logarithmic, the slope in the legend."""
    figure, axis = plt.subplots(figsize=(10, 5.5))
    drawn = False
    for measure in dict.fromkeys(one.measure for one in results):
        for engine, points in sizes([one for one in results if one.measure == measure]).items():
            if len(points) < 2:
                continue
            what = engine.removeprefix("maskgate").strip(", ")
            label = f"{measure}{': ' + what if what else ''} (slope {slope(points):.2f})"
            axis.plot(*zip(*points, strict=True), marker="o", markersize=4, label=label)
            drawn = True
    if not drawn:
        plt.close(figure)
        return
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("rows, values, records or tables")
    axis.set_ylabel("seconds")
    axis.grid(visible=True, which="major", alpha=0.3)
    axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    axis.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    # Without the software's name and date: the same run gives the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    print(f"plotted: {path.name}")
