"""What `gate.py` found, as tables and as a picture."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

Results = Mapping[str, Mapping[str, Any]]


def table(results: Results, missed: Sequence[str], lives: int) -> str:
    parts = [
        f"# The gate over {lives:,} lives of a panel",
        "\n".join(["Criteria missed:", *(f"- {one}" for one in missed)]) if missed else "All criteria are met.",
        *(_lives(results), _stream(results), _power(results), _families(results), _noninferiority(results)),
    ]
    return "\n\n".join(parts) + "\n"


def _lives(results: Results) -> str:
    rows = []
    for kind in ("fixed", "anytime"):
        for share in _values(results, "lives", 2):
            row = [kind, f"{100 * float(share):g} %"]
            for stream, tasks in (("fresh", 130), ("undecided", 130), ("last", 130), ("undecided", 400)):
                one = results[f"lives/{kind}/{share}/{stream}/{tasks}"]
                row.append(f"{100 * one['fooled'] / one['lives']:.2f} (≤ {100 * one['upper']:.2f})")
            row.append(f"{results[f'lives/{kind}/{share}/fresh/130']['tasks']:.0f}")
            rows.append(row)
    head = [
        "gate",
        "tasks that differ",
        "from the release",
        "from the undecided",
        "from the last",
        "same, 400 tasks",
        "",
    ]
    head[-1] = "tasks played"
    title = "## Lives with a false promotion, %\n\nIn brackets the 99 % upper bound. 20 uses, a panel of 130 tasks.\n\n"
    return title + _markdown(head, rows)


def _stream(results: Results) -> str:
    rows = [
        [
            name,
            f"{100 * one['fooled'] / one['lives']:.1f}",
            f"{one['promotions']:.1f}",
            f"{100 * one['final']:.1f} ({100 * one['final_low']:.1f} to {100 * one['final_high']:.1f})",
            f"{one['tasks']:.0f}",
        ]
        for name, one in ((name, results[f"stream/{name}"]) for name in ("everything", "ahead", "fixed", "anytime"))
    ]
    head = ["promoted", "lives with a false promotion, %", "promotions", "success at the end, %", "tasks played"]
    text = (
        "## A stream of candidates\n\nHalf are no better, 30 % cost 5 points, 20 % bring 10. 20 uses of 200 tasks; "
        "success begins at 50 %.\n\n"
    )
    return text + _markdown(head, rows)


def _power(results: Results) -> str:
    rows = []
    for share in _values(results, "power", 2):
        for effect in _values(results, "power", 3):
            for kind in ("fixed", "anytime"):
                row = [f"{100 * float(share):g} %", f"+{100 * float(effect):g}", kind]
                for size in sorted(_values(results, "power", 4), key=int):
                    one = results.get(f"power/{kind}/{share}/{effect}/{size}")
                    row.append("" if one is None else f"{100 * one['share']:.1f} · {one['rollouts']:,.0f}")
                if any(row[3:]):
                    rows.append(row)
    head = [
        "tasks that differ",
        "points",
        "gate",
        *(f"{n} tasks" for n in sorted(_values(results, "power", 4), key=int)),
    ]
    return "## Power of one use, %, and mean rollouts (both releases)\n\n" + _markdown(head, rows)


def _families(results: Results) -> str:
    rows = []
    for kind in ("fixed", "anytime"):
        for share in _values(results, "families", 1):
            row = [kind, f"{100 * float(share):g} %"]
            for null in ("symmetric", "skewed"):
                one = results[f"families/{share}/{null}"][kind]
                row.append(f"{100 * one['fooled'] / one['lives']:.2f} (≤ {100 * one['upper']:.2f})")
            rows.append(row)
    lives = _markdown(["gate", "differs", "families gain or lose alike", "a rare one loses much"], rows)
    rows = []
    for effect in _values(results, "family power", 2):
        for kind in ("fixed", "anytime"):
            found = [
                results[f"family power/{kind}/{effect}/{n}"]
                for n in sorted(_values(results, "family power", 3), key=int)
            ]
            cells = [f"{100 * one['share']:.1f} · {one['families']:.0f}" for one in found]
            rows.append([f"+{100 * float(effect):g}", kind, *cells])
    sizes = [f"{n} families" for n in sorted(_values(results, "family power", 3), key=int)]
    power = _markdown(["points", "gate", *sizes], rows)
    names = list(results["family tests/symmetric"])
    tests = _markdown(
        ["test", "families gain or lose alike", "a rare one loses much"],
        [
            [
                name,
                *(f"{100 * results[f'family tests/{null}'][name]['share']:.1f}" for null in ("symmetric", "skewed")),
            ]
            for name in names
        ],
    )
    return (
        f"## Claims about other families\n\nLives with a false promotion, %; 40 families of 10 tasks.\n\n{lives}\n\n"
        f"Power of one use, %, and families played; effects differ between families by 10 points.\n\n{power}\n\n"
        f"One use of 13 families at 2.5 %, a candidate that is no better: promoted, %.\n\n{tests}"
    )


def _noninferiority(results: Results) -> str:
    rows = []
    for name, one in results.items():
        part, _, share = name.partition("/")
        if part == "noninferiority":
            what = [
                "unchanged passes",
                "lost 10 points, refused",
                "lost the margin, passes",
                "a quarter of the tasks, unchanged passes",
            ]
            rows.append(
                [f"{100 * float(share):g} %", str(one["tasks"]), *(f"{100 * one[key]['share']:.1f}" for key in what)]
            )
    head = ["tasks that differ", "tasks", "unchanged passes", "10 points worse, refused", "5 worse, passes"]
    violations = results["violations/0.05"]
    return (
        "## Not worse by 5 points, %\n\n"
        + _markdown([*head, "a quarter of the tasks, unchanged passes"], rows)
        + f"\n\nViolations, 5 % of episodes, on {violations['tasks']} tasks: unchanged passes "
        f"{100 * violations['unchanged passes']['share']:.1f} %, 10 points more are refused "
        f"{100 * violations['10 points more violations, refused']['share']:.1f} %."
    )


def drawn(results: Results, share: str = "0.2") -> bytes:
    """Power, and what it costs, by the size of the panel, as PNG."""
    from matplotlib.figure import Figure

    sizes = sorted(_values(results, "power", 4), key=int)
    colours = {"0.05": "#8a5a00", "0.1": "#0b5fa5", "0.2": "#2f6b2f", "0": "#666666"}
    figure = Figure(figsize=(9.6, 4.6), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    for effect in _values(results, "power", 3):
        for kind, style in (("fixed", "-"), ("anytime", "--")):
            found = [results[f"power/{kind}/{share}/{effect}/{size}"] for size in sizes]
            label = f"+{100 * float(effect):g} points, {kind}"
            at = [int(size) for size in sizes]
            left.plot(
                at, [100 * one["share"] for one in found], style, color=colours[effect], marker="o", ms=3, label=label
            )
            right.plot(at, [one["rollouts"] / 2 for one in found], style, color=colours[effect], marker="o", ms=3)
    left.set(xlabel="tasks of the panel", ylabel="promoted, %", title="Power of one use of twenty", xscale="log")
    right.set(xlabel="tasks of the panel", ylabel="tasks played", title="What it takes", xscale="log", yscale="log")
    for axes in (left, right):
        axes.set_xticks([int(size) for size in sizes], sizes)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.set_xlim(45, None)
    right.set_yticks([25, 50, 100, 200, 400, 800], ["25", "50", "100", "200", "400", "800"])
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _values(results: Results, part: str, place: int) -> list[str]:
    """What stands at a place of the names of a part's cells, in their order, each once."""
    return list(dict.fromkeys(name.split("/")[place] for name in results if name.split("/")[0] == part))


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
