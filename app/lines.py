"""Releases on the terminal: a line each, their tree, and what one is made of."""

from typing import TYPE_CHECKING, Any

from rich.text import Text
from rich.tree import Tree

from wisen.evolution.releases.card import HOW, points
from wisen.evolution.releases.manifest import Manifest

if TYPE_CHECKING:
    from wisen.evolution.releases.lineage import Node


def tree_of_lines(nodes: "tuple[Node, ...]", root: str) -> Tree:
    """Each release below the one that it was made from; the present one bold and marked with *."""
    tree = Tree(Text(root))
    for node in nodes:
        _grow(tree, node)
    return tree


def _grow(tree: Tree, node: "Node") -> None:
    link = node.link
    mark = "* " if node.present else ""
    label = Text(f"{mark}{link.name}", style="bold" if node.present else "" if node.served else "dim")
    label.append(f"  weights {link.weights}, bank version {link.bank_version}", style="not bold")
    branch = tree.add(label)
    if link.made:
        branch.add(Text(f"why: {link.made}", style="dim"))
    branch.add(Text(decided(node), style="dim"))
    for child in node.children:
        _grow(branch, child)


def decided(node: "Node") -> str:
    """What let the release in, or kept it out, and the figures."""
    link, gate = node.link, node.decision
    if gate is None:
        return link.decided or HOW[link.how]
    said = "let in by its gate" if link.how == "gate" else "kept out by its gate"
    return f"{said}: {points(gate.difference)} on {len(gate.outcomes)} pairs, p = {gate.p_value:.2g}"


def nodes_as_json(nodes: "tuple[Node, ...]") -> list[dict[str, Any]]:
    return [
        {
            **node.link.model_dump(mode="json"),
            "present": node.present,
            "served": node.served,
            "decision": node.decision.model_dump(mode="json") if node.decision else None,
            "children": nodes_as_json(node.children),
        }
        for node in nodes
    ]


def manifest_lines(manifest: Manifest) -> list[str]:
    weights, bank, harness = manifest.weights, manifest.bank, manifest.harness
    over = f" over {weights.backbone}" if weights.backbone else ""
    lines = [
        f"release    {manifest.name}  ({manifest.release_id})",
        f"weights    {weights.name}  ({weights.kind}{over})  sha256 {weights.sha256 or 'none: they are not here'}",
    ]
    lines += [f"           {file.sha256}  {file.path}" for file in weights.files]
    lines += [
        f"bank       version {bank.version}, {bank.items} items  sha256 {bank.sha256}",
        f"harness    {harness.version}  sha256 {harness.sha256 or 'not known'}",
        "line",
    ]
    for link in manifest.lineage:
        lines.append(f"  {link.name}: {HOW[link.how]}{f'. {link.decided}' if link.decided else ''}")
    return lines
