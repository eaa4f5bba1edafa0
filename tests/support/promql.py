"""What a PromQL expression reads, and which labels its answer has: from its syntax tree, by Prometheus' own rules."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as ast

Labels = frozenset[str]
LabelsOf = Callable[[str], Labels]
"""Gives the labels that a metric's series have."""

NONE: Labels = frozenset()


@dataclass(frozen=True)
class Read:
    """One selector of an expression: the metric, and every label that the expression counts on."""

    metric: str
    labels: Labels


def reads(expr: str) -> Iterator[Read]:
    """Give every selector of an expression, with the labels that it matches and that are asked of its answer."""
    yield from _reads(ast.parse(expr), NONE)


def labels_of_answer(expr: str, labels_of: LabelsOf) -> Labels:
    """Return the labels that the answer's series have."""
    return _answer(ast.parse(expr), labels_of)


def _reads(node: Any, wanted: Labels) -> Iterator[Read]:
    """Walk down; `wanted` are the labels that something above counts on."""
    match node:
        case ast.VectorSelector():
            matched = frozenset(matcher.name for matcher in node.matchers.matchers)
            yield Read(node.name, wanted | matched)
        case ast.MatrixSelector():
            yield from _reads(node.vector_selector, wanted)
        case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
            yield from _reads(node.expr, wanted)
        case ast.AggregateExpr():
            yield from _reads(node.expr, _grouped(node, wanted))
        case ast.Call():
            yield from _reads_of_call(node, wanted)
        case ast.BinaryExpr():
            left, right = _sides(node, wanted)
            yield from _reads(node.lhs, left)
            yield from _reads(node.rhs, right)
        case ast.NumberLiteral() | ast.StringLiteral():
            return
        case _:
            raise AssertionError(f"what is this: {node}")


def _reads_of_call(node: Any, wanted: Labels) -> Iterator[Read]:
    match node.func.name:
        case "label_replace":
            inner, target, _, source, _ = node.args
            from_where = frozenset({source.val} - {""})
            yield from _reads(inner, (wanted - {target.val}) | from_where)
        case "histogram_quantile":
            yield from _reads(node.args[1], wanted | {"le"})
        case "absent":
            yield from _reads(node.args[0], NONE)
        case _:
            for argument in node.args:
                yield from _reads(argument, wanted)


def _grouped(node: Any, wanted: Labels) -> Labels:
    """Return what an aggregation asks of what it aggregates; what it aggregates away nobody above may want."""
    if node.modifier is None:
        assert not wanted, f"{node.prettify()} has no labels, and {sorted(wanted)} are asked of it"
        return NONE
    named = frozenset(node.modifier.labels)
    if node.modifier.type == ast.AggModifierType.By:
        assert wanted <= named, f"{sorted(wanted - named)} are aggregated away in {node.prettify()}"
        return named
    assert not wanted & named, f"{sorted(wanted & named)} are aggregated away in {node.prettify()}"
    return wanted


def _sides(node: Any, wanted: Labels) -> tuple[Labels, Labels]:
    """Return what a binary operator asks of its two sides."""
    matching = node.modifier.matching if node.modifier is not None else None
    if str(node.op) in ("and", "unless"):
        on = frozenset(matching.labels) if matching is not None else NONE
        return wanted | on, on
    if matching is None:
        return wanted, wanted
    on = frozenset(matching.labels)
    extra = frozenset(node.modifier.group_labels or ())
    if node.modifier.card == ast.VectorMatchCardinality.OneToMany:
        return on | extra, wanted - extra
    return (wanted - extra) | on, on | extra


def _answer(node: Any, labels_of: LabelsOf) -> Labels:
    match node:
        case ast.VectorSelector():
            return labels_of(node.name)
        case ast.MatrixSelector():
            return labels_of(node.vector_selector.name)
        case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
            return _answer(node.expr, labels_of)
        case ast.AggregateExpr():
            if node.modifier is None:
                return NONE
            named = frozenset(node.modifier.labels)
            by = node.modifier.type == ast.AggModifierType.By
            return named if by else _answer(node.expr, labels_of) - named
        case ast.Call():
            return _answer_of_call(node, labels_of)
        case ast.BinaryExpr():
            left, right = _answer(node.lhs, labels_of), _answer(node.rhs, labels_of)
            return left & right if str(node.op) == "or" and left and right else left or right
        case _:
            return NONE


def _answer_of_call(node: Any, labels_of: LabelsOf) -> Labels:
    match node.func.name:
        case "label_replace":
            return _answer(node.args[0], labels_of) | {node.args[1].val}
        case "histogram_quantile":
            return _answer(node.args[1], labels_of) - {"le"}
        case "absent":
            return NONE
        case _:
            return frozenset[str]().union(*(_answer(argument, labels_of) for argument in node.args))
