"""Static analysis of PromQL: the selectors of an expression, and the labels of its result, by Prometheus' rules."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as ast

Labels = frozenset[str]
MetricLabels = Callable[[str], Labels]
"""Function that returns the labels of a metric's series."""

NO_LABELS: Labels = frozenset()


@dataclass(frozen=True)
class Selector:
    """One selector of an expression: the metric, and every label that the expression requires."""

    metric: str
    labels: Labels


def find_selectors(expr: str) -> Iterator[Selector]:
    """Yield every selector of an expression, with the labels in its matchers and those required of its result."""
    yield from _walk_selectors(ast.parse(expr), NO_LABELS)


def result_labels(expr: str, labels_of_metric: MetricLabels) -> Labels:
    """Return the labels of the result's series."""
    return _result_labels(ast.parse(expr), labels_of_metric)


def _walk_selectors(node: Any, required: Labels) -> Iterator[Selector]:
    """Yield the selectors below a node. `required` are the labels that its parents require."""
    match node:
        case ast.VectorSelector():
            matched = frozenset(matcher.name for matcher in node.matchers.matchers)
            yield Selector(node.name, required | matched)
        case ast.MatrixSelector():
            yield from _walk_selectors(node.vector_selector, required)
        case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
            yield from _walk_selectors(node.expr, required)
        case ast.AggregateExpr():
            yield from _walk_selectors(node.expr, _labels_before_aggregation(node, required))
        case ast.Call():
            yield from _walk_call(node, required)
        case ast.BinaryExpr():
            left, right = _operand_labels(node, required)
            yield from _walk_selectors(node.lhs, left)
            yield from _walk_selectors(node.rhs, right)
        case ast.NumberLiteral() | ast.StringLiteral():
            return
        case _:
            raise AssertionError(f"unknown node: {node}")


def _walk_call(node: Any, required: Labels) -> Iterator[Selector]:
    match node.func.name:
        case "label_replace":
            inner, target, _, source, _ = node.args
            source_labels = frozenset({source.val} - {""})
            yield from _walk_selectors(inner, (required - {target.val}) | source_labels)
        case "histogram_quantile":
            yield from _walk_selectors(node.args[1], required | {"le"})
        case "absent":
            yield from _walk_selectors(node.args[0], NO_LABELS)
        case _:
            for argument in node.args:
                yield from _walk_selectors(argument, required)


def _labels_before_aggregation(node: Any, required: Labels) -> Labels:
    """Return the labels that an aggregation requires of its operand. No parent may require one that it removes."""
    if node.modifier is None:
        assert not required, f"{node.prettify()} has no labels, but {sorted(required)} are required"
        return NO_LABELS
    named = frozenset(node.modifier.labels)
    if node.modifier.type == ast.AggModifierType.By:
        assert required <= named, f"{sorted(required - named)} are aggregated away in {node.prettify()}"
        return named
    assert not required & named, f"{sorted(required & named)} are aggregated away in {node.prettify()}"
    return required


def _operand_labels(node: Any, required: Labels) -> tuple[Labels, Labels]:
    """Return the labels that a binary operator requires of its two sides."""
    matching = node.modifier.matching if node.modifier is not None else None
    if str(node.op) in ("and", "unless"):
        on = frozenset(matching.labels) if matching is not None else NO_LABELS
        return required | on, on
    if matching is None:
        return required, required
    on = frozenset(matching.labels)
    extra = frozenset(node.modifier.group_labels or ())
    if node.modifier.card == ast.VectorMatchCardinality.OneToMany:
        return on | extra, required - extra
    return (required - extra) | on, on | extra


def _result_labels(node: Any, labels_of_metric: MetricLabels) -> Labels:
    match node:
        case ast.VectorSelector():
            return labels_of_metric(node.name)
        case ast.MatrixSelector():
            return labels_of_metric(node.vector_selector.name)
        case ast.ParenExpr() | ast.UnaryExpr() | ast.SubqueryExpr():
            return _result_labels(node.expr, labels_of_metric)
        case ast.AggregateExpr():
            if node.modifier is None:
                return NO_LABELS
            named = frozenset(node.modifier.labels)
            by = node.modifier.type == ast.AggModifierType.By
            return named if by else _result_labels(node.expr, labels_of_metric) - named
        case ast.Call():
            return _call_result_labels(node, labels_of_metric)
        case ast.BinaryExpr():
            left, right = _result_labels(node.lhs, labels_of_metric), _result_labels(node.rhs, labels_of_metric)
            return left & right if str(node.op) == "or" and left and right else left or right
        case _:
            return NO_LABELS


def _call_result_labels(node: Any, labels_of_metric: MetricLabels) -> Labels:
    match node.func.name:
        case "label_replace":
            return _result_labels(node.args[0], labels_of_metric) | {node.args[1].val}
        case "histogram_quantile":
            return _result_labels(node.args[1], labels_of_metric) - {"le"}
        case "absent":
            return NO_LABELS
        case _:
            return frozenset[str]().union(*(_result_labels(argument, labels_of_metric) for argument in node.args))
