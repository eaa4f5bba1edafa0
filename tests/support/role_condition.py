"""Evaluation of the condition of a role assignment, by the rules of Azure's attribute-based access control.

Only the syntax that terraform/bootstrap uses is known:
https://learn.microsoft.com/azure/role-based-access-control/conditions-format
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<symbol>[()!])
      | (?P<word>AND|OR)\b
      | ActionMatches\{'(?P<action>[^']+)'\}
      | @(?P<source>Request|Resource)\[Microsoft\.Authorization/roleAssignments:(?P<attribute>\w+)\]
        \s+(?P<quantifier>ForAnyOfAnyValues|ForAnyOfAllValues):(?P<operator>\w+)\s+\{(?P<values>[^}]*)\}
    )""",
    re.VERBOSE,
)
_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "GuidEquals": lambda left, right: left == right,
    "GuidNotEquals": lambda left, right: left != right,
    "StringEqualsIgnoreCase": lambda left, right: left == right,
}
_SOURCES = {"write": "Request", "delete": "Resource"}
"""Where Azure takes the attributes of an assignment from, by operation."""


@dataclass(frozen=True)
class AssignmentRequest:
    """A request to write or delete a role assignment."""

    operation: str
    role_id: str
    principal_type: str
    principal_id: str

    @property
    def action(self) -> str:
        """Azure's name of the operation."""
        return f"Microsoft.Authorization/roleAssignments/{self.operation}"

    def attribute(self, source: str, name: str) -> str | None:
        """Return an attribute in lower case, or None if the request has none of this source."""
        if _SOURCES[self.operation] != source:
            return None
        attributes = {
            "RoleDefinitionId": self.role_id,
            "PrincipalType": self.principal_type,
            "PrincipalId": self.principal_id,
        }
        return attributes[name].lower()


def is_allowed(condition: str, request: AssignmentRequest) -> bool:
    """Return whether a condition allows a request.

    Raises:
        ValueError: If the condition has another syntax.
    """
    tokens, position = [], 0
    text = condition.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unknown syntax of a condition: {text[position : position + 80]}")
        tokens.append(match)
        position = match.end()
    evaluation = _Evaluation(tokens, request)
    result = evaluation.disjunction()
    if evaluation.tokens:
        raise ValueError(f"unexpected in a condition: {evaluation.tokens[0][0].strip()}")
    return result


class _Evaluation:
    """Recursive descent over the tokens. Both sides of an operator are always evaluated, because they are consumed."""

    def __init__(self, tokens: list[re.Match[str]], request: AssignmentRequest) -> None:
        self.tokens = tokens
        self._request = request

    def disjunction(self) -> bool:
        results = [self._conjunction()]
        while self._is_next("word", "OR"):
            self.tokens.pop(0)
            results.append(self._conjunction())
        return any(results)

    def _conjunction(self) -> bool:
        results = [self._term()]
        while self._is_next("word", "AND"):
            self.tokens.pop(0)
            results.append(self._term())
        return all(results)

    def _term(self) -> bool:
        token = self.tokens.pop(0)
        if token["symbol"] == "!":
            return not self._term()
        if token["symbol"] == "(":
            result = self.disjunction()
            if self.tokens.pop(0)["symbol"] != ")":
                raise ValueError("a condition has an unclosed parenthesis")
            return result
        if token["action"]:
            return token["action"] == self._request.action
        if token["source"] is None:
            raise ValueError(f"unexpected in a condition: {token[0].strip()}")
        return self._compare(token)

    def _compare(self, token: re.Match[str]) -> bool:
        value = self._request.attribute(token["source"], token["attribute"])
        if value is None:
            return False
        listed = [each.strip().strip("'").lower() for each in token["values"].split(",")]
        compare = _OPERATORS[token["operator"]]
        quantify = any if token["quantifier"] == "ForAnyOfAnyValues" else all
        return quantify(compare(value, each) for each in listed)

    def _is_next(self, group: str, value: str) -> bool:
        return bool(self.tokens) and self.tokens[0][group] == value
