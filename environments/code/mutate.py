"""Single-place mutations of a function, and what a function returns when each loop is counted.

Every mutation has its inverse in the same family, so that a repair looks like any other edit. Nothing here runs code
that came from outside: sources are those of the library and mutations of them.
"""

import ast
import functools
import inspect
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from wisen.core.records import Record

DID_NOT_END = "did not end"
_MOST_TICKS = 1_000  # the library's functions need less than a tenth of it on their cases

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
# Addition never becomes multiplication: repeated in a loop that can grow numbers beyond all memory.
_OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.FloorDiv: (ast.Mod,),
    ast.Mod: (ast.FloorDiv,),
}
_ORDERED = (ast.Sub, ast.FloorDiv, ast.Mod)
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}

_Edit = Callable[[Any], None]


class Mutation(Record):
    """A source that differs from its origin in one line. `line` counts from 1."""

    kind: str
    line: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The changed line."""
        return self.lines[self.line - 1]


def plain_source(function: Callable[..., Any]) -> tuple[str, ...]:
    """The function's source as lines, without docstring, comments and annotations, in one layout for all."""
    definition = ast.parse(inspect.getsource(function)).body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.body = definition.body[1:] if ast.get_docstring(definition) is not None else definition.body
    return tuple(ast.unparse(_Unannotated().visit(definition)).splitlines())


class _Unannotated(ast.NodeTransformer):
    """The source must stand alone, and names in annotations would have to be imported."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(node.arg)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        assert node.value is not None
        return ast.copy_location(ast.Assign([node.target], node.value), node)


@functools.lru_cache(maxsize=1024)
def mutations(lines: tuple[str, ...]) -> tuple[Mutation, ...]:
    """All single mutations, each source once, in the order of the places in the syntax tree."""
    found: dict[tuple[str, ...], Mutation] = {}
    for place, node in enumerate(_places(_parsed(lines))):
        for kind, edit in _edits(node):
            changed = _parsed(lines)  # reading the source again is several times faster than a deep copy of the tree
            edit(next(itertools.islice(_places(changed), place, None)))
            text = tuple(ast.unparse(changed).splitlines())
            differing = [i for i, (old, new) in enumerate(zip(lines, text, strict=True), start=1) if old != new]
            if len(differing) == 1 and text not in found:
                found[text] = Mutation(kind=kind, line=differing[0], lines=text)
    return tuple(found.values())


def replies(lines: tuple[str, ...], cases: tuple[str, ...]) -> Iterator[str]:
    """What the function defined by `lines` makes of each case (a JSON array of arguments), one at a time: the result
    as JSON, `raised X`, or `did not end`. For sources of the library only: this is not a sandbox."""
    definition = _parsed(lines)
    for node in ast.walk(definition):
        if isinstance(node, ast.While | ast.For | ast.FunctionDef):
            node.body.insert(0, ast.parse("_tick()").body[0])
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1
        if count > _MOST_TICKS:
            raise _EndlessError

    space: dict[str, Any] = {"_tick": tick}
    tree = ast.fix_missing_locations(ast.Module([definition], []))
    exec(compile(tree, "library", "exec"), space)
    for case in cases:
        count = 0
        try:
            yield json.dumps(space[definition.name](*json.loads(case)))
        except _EndlessError:
            yield DID_NOT_END
        except Exception as error:  # whatever a mutant does wrong is its reply
            yield f"raised {type(error).__name__}"


class _EndlessError(BaseException):
    """A loop went round too often."""


def _parsed(lines: tuple[str, ...]) -> ast.FunctionDef:
    definition = ast.parse("\n".join(lines)).body[0]
    assert isinstance(definition, ast.FunctionDef)
    return definition


def _places(tree: ast.FunctionDef) -> Iterator[ast.AST]:
    """Nodes of the body, in the order of the source."""
    for statement in tree.body:
        yield from _with_all_below(statement)


def _with_all_below(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _with_all_below(child)


def _edits(node: ast.AST) -> Iterator[tuple[str, _Edit]]:
    """What can be changed at a node: the kind, and a function that changes the node in place."""
    match node:
        case ast.Compare(ops=[op]):
            yield from (("comparison", _set("ops", [new()])) for new in _COMPARISONS.get(type(op), ()))
        case ast.BinOp(op=op) | ast.AugAssign(op=op):
            yield from (("operator", _set("op", new())) for new in _OPERATORS.get(type(op), ()))
            if isinstance(node, ast.BinOp) and isinstance(op, _ORDERED):
                yield "swapped", _swap_sides
        case ast.BoolOp(op=op):
            yield "logic", _set("op", ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.Constant(value=bool(value)):
            yield "constant", _set("value", not value)
        case ast.Constant(value=int(value)):
            yield "constant", _set("value", value + 1)
            if value > 0:
                yield "constant", _set("value", value - 1)
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield "logic", _set("test", _negated(test))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            if name in _CALLS:
                yield "call", _set("func", ast.Name(_CALLS[name], ast.Load()))
            if len(arguments) == 2:
                yield "swapped", lambda call: call.args.reverse()
            if name == "range":
                for index, argument in enumerate(arguments):
                    yield from (("off-by-one", _set_item("args", index, new)) for new in _shifted(argument))
        case ast.Assign(value=ast.Tuple(elts=[_, _])):
            yield "swapped", lambda assign: assign.value.elts.reverse()
        case ast.Subscript(slice=index) if not isinstance(index, ast.Slice):
            yield from (("off-by-one", _set("slice", new)) for new in _shifted(index))
        case ast.Slice(lower=lower, upper=upper):
            for field, bound in (("lower", lower), ("upper", upper)):
                if bound is not None:
                    yield from (("off-by-one", _set(field, new)) for new in _shifted(bound))


def _shifted(expression: ast.expr) -> Iterator[ast.expr]:
    """The expression one more and one less; one that adds or takes 1 already loses that instead."""
    match expression:
        case ast.Constant():
            return
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=ast.Constant(value=1)):
            yield left
        case _:
            yield ast.BinOp(expression, ast.Add(), ast.Constant(1))
            yield ast.BinOp(expression, ast.Sub(), ast.Constant(1))


def _negated(test: ast.expr) -> ast.expr:
    inverted = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    return test.operand if inverted else ast.UnaryOp(ast.Not(), test)  # type: ignore[attr-defined]


def _set(field: str, value: Any) -> _Edit:
    return lambda node: setattr(node, field, value)


def _set_item(field: str, index: int, value: Any) -> _Edit:
    return lambda node: getattr(node, field).__setitem__(index, value)


def _swap_sides(node: ast.BinOp) -> None:
    node.left, node.right = node.right, node.left
