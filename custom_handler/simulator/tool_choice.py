"""Decides which of the declared tools a question asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from .language import find_terms, fold
from .reading import Tool, read_enum

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# One word of the tool's name is enough, or two of its description and parameters.
THRESHOLD = 2
NAMED = 10
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
ARITHMETIC = re.compile(r"\d\s*[-+*/×÷^]\s*\(?\d")
CLAUSE = re.compile(r"[.,;?!]\s|\s(?:e|and|y|então|then)\s")
# Words that say nothing about what a tool is for.
GENERIC = frozenset(
    find_terms(
        "get set fetch obtain obter obtem retorna retornar return returns given current atual tool "
        "ferramenta function funcao use used using usar value valor name nome string data dados info "
        "information informacao list lista listar run execute call input type tipo optional show mostre"
    )
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A tool and the part of the question that asks for it."""

    tool: Tool
    text: str


def choose_tools(tools: Sequence[Tool], question: str) -> list[Choice]:
    """The tools `question` asks for, in its order; each must explain words that the ones before did not."""
    terms = find_terms(question)
    if ARITHMETIC.search(question):
        terms.setdefault("calculate", 0)
    left = {term: place for term, place in terms.items() if term not in GENERIC}
    folded, chosen = fold(question), list[tuple[int, Tool]]()
    weights = {tool.name: _weigh(tool) for tool in tools}
    remaining = list(tools)
    while remaining:
        score, best = max(
            ((_score(weights[tool.name], left, tool, folded), tool) for tool in remaining), key=itemgetter(0)
        )
        if score < THRESHOLD:
            break
        hits = [term for term in left if term in weights[best.name]]
        named = folded.find(best.name.lower())
        chosen.append((named if named >= 0 else min(left[term] for term in hits), best))
        remaining.remove(best)
        left = {term: place for term, place in left.items() if term not in hits}
    return list(_share_out(question, sorted(chosen, key=lambda item: item[0])))


def _weigh(tool: Tool) -> dict[str, int]:
    weights = dict.fromkeys(find_terms(tool.description), 1)
    weights |= dict.fromkeys(find_terms(" ".join(_parameter_words(tool.parameters))), 1)
    weights |= dict.fromkeys(find_terms(_split_name(tool.name)), THRESHOLD)
    return {term: weight for term, weight in weights.items() if term not in GENERIC}


def _parameter_words(schema: Mapping[str, Any]) -> Iterator[str]:
    properties = schema.get("properties")
    for name, inner in (properties if isinstance(properties, dict) else {}).items():
        yield _split_name(name)
        yield from (value for value in read_enum(inner) if isinstance(value, str))


def _split_name(name: str) -> str:
    return HUMP.sub(" ", name).replace("_", " ").replace("-", " ")


def _score(weights: Mapping[str, int], terms: Mapping[str, int], tool: Tool, folded: str) -> int:
    named = NAMED if tool.name.lower() in folded and len(tool.name) > 3 else 0
    return named + sum(weights.get(term, 0) for term in terms)


def _share_out(question: str, chosen: list[tuple[int, Tool]]) -> Iterator[Choice]:
    borders = [0]
    for place, _ in chosen[1:]:
        clauses = [found.end() for found in CLAUSE.finditer(question, 0, place)]
        borders.append(clauses[-1] if clauses and clauses[-1] > borders[-1] else place)
    for index, (_, tool) in enumerate(chosen):
        end = borders[index + 1] if index + 1 < len(borders) else len(question)
        yield Choice(tool, question[borders[index] : end])
