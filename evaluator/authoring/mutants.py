"""Simple mutants of a program: one operator, number, text or returned value changed in each."""

import ast
import copy
from collections.abc import Iterator

from evaluator.items import parsed

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}


def mutants(source: str, most: int) -> list[str]:
    """Return at most so many mutants of a program, spread evenly over it. Raises SyntaxError."""
    tree = parsed(source)
    places = []
    for position, node in enumerate(ast.walk(tree)):
        for change, _ in enumerate(_changed(node)):
            places.append((position, change))
    if len(places) > most:
        count = len(places)
        chosen = {round(number * count / most) for number in range(most)}
        places = [place for number, place in enumerate(places) if number in chosen]
    made = []
    for position, change in places:
        copied = copy.deepcopy(tree)
        target = list(ast.walk(copied))[position]
        fields = list(_changed(target))[change]
        for name, value in fields.items():
            setattr(target, name, value)
        made.append(ast.unparse(ast.fix_missing_locations(copied)))
    return made


def _changed(node: ast.AST) -> Iterator[dict[str, object]]:
    """Yield the fields of a node that a mutant has otherwise."""
    match node:
        case ast.Compare(ops=[first, *others]) if type(first) in _COMPARED:
            yield {"ops": [_COMPARED[type(first)](), *others]}
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) if type(operator) in _COMPUTED:
            yield {"op": _COMPUTED[type(operator)]()}
        case ast.BoolOp(op=ast.And()):
            yield {"op": ast.Or()}
        case ast.BoolOp():
            yield {"op": ast.And()}
        case ast.Constant(value=bool(value)):
            yield {"value": not value}
        case ast.Constant(value=int() | float() as value):
            yield {"value": value + 1}
        case ast.Return(value=ast.expr()):
            yield {"value": ast.Constant(None)}
        case ast.If(test=test) | ast.While(test=test):
            yield {"test": ast.UnaryOp(ast.Not(), test)}
