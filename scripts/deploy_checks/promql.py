"""What a PromQL expression names: metrics with their matchers, and the labels that it groups or joins by.

A lexer and no parser: whether the expression is well formed is promtool's affair.
"""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""(?P<blank>\s+|\#[^\n]*)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<number>\d[\w.]*)
      | (?P<word>[A-Za-z_:][\w:]*)
      | (?P<sign>=~|!~|!=|==|>=|<=|.)""",
    re.VERBOSE,
)
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
# Words that stand without parentheses behind them: `sum by (job) (…)` has its own behind `job`.
OTHERS = {"and", "or", "unless", "bool", "offset", "sum", "min", "max", "avg", "count", "group", "topk", "bottomk", "quantile"}


@dataclass
class Selector:
    """`metric{label="value", …}`; the metric is empty where only labels are given."""

    metric: str
    matchers: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass
class Names:
    selectors: list[Selector] = field(default_factory=list)
    groupings: set[str] = field(default_factory=set)


def names(expression: str) -> Names:
    """Everything that the expression names."""
    tokens = [match for match in TOKEN.finditer(expression) if match.lastgroup != "blank"]
    found, place = Names(), 0
    while place < len(tokens):
        word, kind = tokens[place][0], tokens[place].lastgroup
        after = tokens[place + 1][0] if place + 1 < len(tokens) else ""
        place += 1
        if word == "{":
            found.selectors.append(Selector(""))
            place = _matchers(tokens, place, found.selectors[-1])
        elif kind != "word":
            continue
        elif word in GROUPING:
            while after == "(" and tokens[place][0] != ")":
                place += 1
                if tokens[place].lastgroup == "word":
                    found.groupings.add(tokens[place][0])
        elif word not in OTHERS and after != "(":
            found.selectors.append(Selector(word))
            if after == "{":
                place = _matchers(tokens, place + 1, found.selectors[-1])
    return found


def _matchers(tokens: list[re.Match], place: int, selector: Selector) -> int:
    """Reads `label="value", …}`; gives the place behind it."""
    while tokens[place][0] != "}":
        if tokens[place].lastgroup == "word":
            label, sign, value = (tokens[place + ahead][0] for ahead in range(3))
            selector.matchers.append((label, sign, value[1:-1]))
            place += 2
        place += 1
    return place + 1
