"""What a person reads of an exported release: its model card, and a summary of the evidence. Pure."""

from collections.abc import Sequence

from wisen.core.records import GateAnswer, GateDecision, Interval
from wisen.evolution.releases.lineage import Link
from wisen.evolution.releases.manifest import Manifest

HOW = {
    "gate": "let in by its gate",
    "hand": "put there by hand: no gate decided",
    "first": "the first of its line: there was nothing to compare it with",
    "none": "let in by nothing: it was never promoted",
}
ANSWERS = {
    GateAnswer.PROMOTE: "promoted",
    GateAnswer.KEEP: "kept out",
    GateAnswer.NOT_ENOUGH_EVIDENCE: "not enough evidence",
}


def model_card(manifest: Manifest) -> str:
    """The folder's README."""
    weights, bank, harness = manifest.weights, manifest.bank, manifest.harness
    own = manifest.lineage[-1]
    lines = ["---", "tags: [wisen, agent]"]
    if weights.here:
        lines += ["library_name: transformers", "pipeline_tag: text-generation"]
    lines += [
        "---",
        "",
        f"# {manifest.name}: a wisen release",
        "",
        "Weights, a memory bank and a harness, kept together as they were tried together.",
        "",
        f"- **How it got in:** {HOW[own.how]}.{f' {own.decided}' if own.decided else ''}",
        f"- **Weights:** {_weights(manifest)}",
        f"- **Bank:** version {bank.version}, {bank.items} items (`bank.jsonl`), sha256 `{bank.sha256}`",
        f"- **Harness:** `{harness.version}`, limits of an episode: {_limits(manifest)}",
        f"- **Made with:** wisen {manifest.wisen}",
        "",
        "## Use",
        "",
        "```",
        "wisen releases import THIS_FOLDER     # every hash is checked before anything is written",
        "```",
        "",
    ]
    if weights.kind == "checkpoint":
        lines += ["The folder `weights/` is a model in the transformers format.", ""]
    if weights.kind == "adapter":
        lines += [f"The folder `weights/` is a LoRA adapter in PEFT's format, over `{weights.backbone}`.", ""]
    if recipe := _recipe(manifest):
        lines += ["## How the weights were made", "", *recipe, ""]
    lines += ["## Line", "", *(f"1. {_link(link)}" for link in manifest.lineage), ""]
    lines += ["The evidence is in `evidence/`. It is about the tasks that were played, and about no others.", ""]
    return "\n".join(lines)


def evidence_summary(lineage: Sequence[Link], gates: Sequence[GateDecision], names: dict[str, str]) -> str:
    """The gates of a line in words. names: of releases, by id."""
    lines = ["# Evidence", ""]
    for link in lineage:
        lines += [f"## {link.name}", "", f"{link.made or 'No reason was noted.'} {HOW[link.how].capitalize()}.", ""]
        mine = [gate for gate in gates if names.get(gate.candidate_id) == link.name]
        for gate in mine:
            lines += [*_gate(gate, names), ""]
        if not mine:
            lines += ["No gate was held on it.", ""]
    lines += ["Every outcome is in `gates.json`.", ""]
    return "\n".join(lines)


def points(interval: Interval) -> str:
    """A difference of shares of success, in points."""
    mean, low, high = (100 * value for value in (interval.mean, interval.low, interval.high))
    return f"{mean:+.1f} points ({100 * interval.level:.0f} % interval {low:+.1f} to {high:+.1f})"


def _gate(gate: GateDecision, names: dict[str, str]) -> list[str]:
    incumbent = names.get(gate.incumbent_id, gate.incumbent_id)
    uses = f" of {gate.uses}" if gate.uses else ""
    lines = [
        f"- {ANSWERS[gate.answer]} against {incumbent}: {points(gate.difference)} on {len(gate.outcomes)} pairs",
        f"- {gate.test}, p = {gate.p_value:.2g}, lower bound {100 * gate.lower_bound:+.1f} points at alpha = "
        f"{gate.alpha:.2g}; use {gate.use}{uses} of panel {gate.panel_digest}",
        f"- {gate.reason}",
    ]
    lines += [f"- {one.name} ({one.measure}, margin {one.margin:g}): {one.reason}" for one in gate.noninferior]
    return lines


def _weights(manifest: Manifest) -> str:
    weights = manifest.weights
    if not weights.here:
        return f"`{weights.name}`, which are {'elsewhere' if weights.kind == 'remote' else 'not files'}"
    size = sum(file.size for file in weights.files) / 1e6
    over = f", an adapter over `{weights.backbone}`" if weights.backbone else ""
    return f"`{weights.name}`{over}, {size:,.1f} MB, sha256 `{weights.sha256}`"


def _limits(manifest: Manifest) -> str:
    limits = manifest.harness.limits
    return ", ".join(f"{name} {value}" for name, value in limits.items()) if limits else "not known here"


def _recipe(manifest: Manifest) -> list[str]:
    plain = {key: one for key, one in manifest.weights.recipe.items() if isinstance(one, str | int | float | bool)}
    parent = [f"- from: {manifest.weights.parent}"] if manifest.weights.parent else []
    return [*parent, *(f"- {key}: {value}" for key, value in plain.items())]


def _link(link: Link) -> str:
    decided = f" {link.decided}" if link.decided else ""
    return f"**{link.name}** (weights {link.weights}, bank version {link.bank_version}): {HOW[link.how]}.{decided}"
