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
    places: list[tuple[int, int]] = []
    for position, node in enumerate(ast.walk(tree)):
        for change, _ in enumerate(_changed(node)):
            places.append((position, change))
    if len(places) > most:
        count = len(places)
        chosen = {round(number * count / most) for number in range(most)}
        places = [place for number, place in enumerate(places) if number in chosen]
    made: list[str] = []
    for position, change in places:
        copied = copy.deepcopy(tree)
        nodes = list(ast.walk(copied))
        target = nodes[position]
        changes = list(_changed(target))
        fields = changes[change]
        for name, value in fields.items():
            setattr(target, name, value)
        ast.fix_missing_locations(copied)
        made.append(ast.unparse(copied))
    return made


def _changed(node: ast.AST) -> Iterator[dict[str, object]]:
    """Yield the fields of a node that a mutant has otherwise."""
    match node:
        case ast.Compare(ops=[first, *others]) if type(first) in _COMPARED:
            other_comparison = _COMPARED[type(first)]
            yield {"ops": [other_comparison(), *others]}
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) if type(operator) in _COMPUTED:
            other_operator = _COMPUTED[type(operator)]
            yield {"op": other_operator()}
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
