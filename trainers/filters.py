"""Choosing trajectories by an expression, such as `outcome == "success" and length <= 8 and "memory" not in tags`.

The expression is parsed and walked here, never evaluated by Python: names, constants, comparisons, `and`, `or`, `not`,
`in`, and the four kinds of arithmetic are all there is. It can call nothing and reach no attribute.
"""

import ast
import operator
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wisen.core.errors import SettingsError
from wisen.core.records import SpanKind, Trajectory

LONGEST = 1_000  # letters of an expression
Value = bool | int | float | str | None | tuple[Any, ...] | frozenset[str]

_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}
_COUNTED: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
NAMES = ("outcome", "success", "reward", "lift", "length", "tokens", "tags", "suite", "template", "task", "arm", "end")


class Expression:
    """A filter over trajectories. Raises `SettingsError` for what it does not understand, when it is made."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        if len(self.text) > LONGEST:
            raise SettingsError(f"the filter has {len(self.text)} letters", f"{LONGEST} are enough")
        try:
            self._tree = ast.parse(self.text or "True", mode="eval").body
            self._check(self._tree)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise SettingsError(f"the filter {self.text!r} cannot be read: {error}", _HINT) from error

    def __call__(self, values: Mapping[str, Value]) -> bool:
        """Whether it holds for these values of `NAMES`. Raises `SettingsError` where they cannot be compared so."""
        try:
            return bool(_value(self._tree, values))
        except (TypeError, ZeroDivisionError, OverflowError) as error:
            raise SettingsError(f"the filter {self.text!r} cannot be worked out: {error}", _HINT) from error

    def _check(self, node: ast.expr) -> None:
        match node:
            case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
                return
            case ast.Name(id=name):
                if name not in NAMES:
                    raise SettingsError(f"the filter {self.text!r} asks for {name}", f"there is {', '.join(NAMES)}")
                return
            case ast.BoolOp(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                pass
            case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=inner):
                parts = [inner]
            case ast.BinOp(left=left, op=done, right=right) if type(done) in _COUNTED:
                parts = [left, right]
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(one) in _COMPARED for one in ops):
                parts = [left, *others]
            case _:
                at = ast.get_source_segment(self.text, node) or type(node).__name__
                raise SettingsError(f"the filter {self.text!r} may not hold {at!r}", _HINT)
        for part in parts:
            self._check(part)


def _value(node: ast.expr, values: Mapping[str, Value]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return tuple(_value(part, values) for part in parts)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_value(part, values) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return not _value(inner, values)
        case ast.UnaryOp(operand=inner):
            return -_value(inner, values)
        case ast.BinOp(left=left, op=done, right=right):
            one, other = _value(left, values), _value(right, values)
            if not isinstance(one, int | float) or not isinstance(other, int | float):
                raise TypeError("only numbers are counted with")
            return _COUNTED[type(done)](one, other)
        case ast.Compare(left=left, ops=ops, comparators=others):
            before = _value(left, values)
            for op, after in zip(ops, (_value(one, values) for one in others), strict=True):
                if not _COMPARED[type(op)](before, after):
                    return False
                before = after
            return True
    raise TypeError(f"{type(node).__name__} was not checked")


def chosen(trajectories: Sequence[Trajectory], expression: Expression, returns: str = "success") -> list[Trajectory]:
    """Those for which it holds, in their order. `lift` of each is over all attempts at its task that are given."""
    attempts: dict[str, list[float]] = defaultdict(list)
    for one in trajectories:
        attempts[one.task.id].append(return_of(one, returns))
    means = {task: sum(group) / len(group) for task, group in attempts.items()}
    return [one for one in trajectories if expression(facts(one, return_of(one, returns) - means[one.task.id]))]


def return_of(trajectory: Trajectory, returns: str = "success") -> float:
    """What an attempt is worth: 1 for a success and else 0, or the sum of its rewards."""
    return trajectory.reward if returns == "reward" else float(trajectory.success is True)


def facts(trajectory: Trajectory, lift: float) -> dict[str, Value]:
    """What an expression may ask of a trajectory. outcome: success, failure or open. lift: by how much its return is
    over the mean of all attempts at its task. length: in decisions. tokens: sampled ones. tags: among `memory` (it was
    shown any), `explored` (a decision was drawn uniformly), `refused` (an action was), `sampled` (its tokens are
    kept), the phase and the suite."""
    outcome = {True: "success", False: "failure", None: "open"}[trajectory.success]
    return {
        "outcome": outcome,
        "success": trajectory.success is True,
        "reward": trajectory.reward,
        "lift": lift,
        "length": len(trajectory.steps),
        "tokens": trajectory.usage.completion_tokens,
        "tags": tags(trajectory),
        "suite": trajectory.task.suite,
        "template": trajectory.task.template_id,
        "task": trajectory.task.id,
        "arm": trajectory.arm,
        "end": str(trajectory.end),
    }


def tags(trajectory: Trajectory) -> frozenset[str]:
    found = {str(trajectory.phase), trajectory.task.suite}
    for step in trajectory.steps:
        if step.result.info.get("refused"):
            found.add("refused")
        for call in step.calls:
            if call.reply.choice is not None and call.reply.choice.explored:
                found.add("explored")
            if call.reply.tokens is not None:
                found.add("sampled")
            spans = (span for message in call.request.messages for span in message.spans)
            if any(span.kind is SpanKind.MEMORY for span in spans):
                found.add("memory")
    return frozenset(found)


_HINT = "such as: outcome == 'success' and length <= 8 and 'memory' not in tags"
