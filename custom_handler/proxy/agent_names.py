"""Readable, distinct names for agents: a pure function of the list, so all workers agree."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable

from ..stackspot.agent_list import Agent

_MAX_SLUG = 64
_SUFFIX = 6
_LAST_LEVEL = 3


def slug_of(text: str) -> str:
    """Return a text in lower-case ASCII letters, digits and hyphens; empty if it has none.

    >>> slug_of("Revisão de código (v2)")
    'revisao-de-codigo-v2'
    """
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")[:_MAX_SLUG].strip("-")


def agent_names(
    agents: Iterable[tuple[str, Agent]], is_taken: Callable[[str, str], bool] = lambda *_: False
) -> dict[tuple[str, str], str]:
    """Map the pattern and the id of each agent to its name.

    `agents` are pairs of a pattern with one `*`, such as `stackspot/*`, and an agent; `is_taken`
    says of a pattern and a name whether another model has that name. If a name is taken, or differs
    from that of another agent, or from another's id, in nothing but case, the end of the id stands
    behind it, for every one of them: so a name never comes to mean another agent. An agent for
    which no name is left is not in the result.

    >>> twins = [Agent("01A", "Review"), Agent("01B", "review")]
    >>> agent_names(("a/*", agent) for agent in twins)
    {('a/*', '01A'): 'a/review-01a', ('a/*', '01B'): 'a/review-01b'}
    """
    found = {(pattern, agent.id): agent for pattern, agent in sorted(set(agents))}
    owners = {_full(pattern, agent_id).casefold(): (pattern, agent_id) for pattern, agent_id in found}
    levels = dict.fromkeys(found, 0)
    while True:
        names = {key: _full(key[0], _name(agent, levels[key])) for key, agent in found.items()}
        counts = Counter(name.casefold() for name in names.values())
        clashes = {
            key
            for key, name in names.items()
            if counts[name.casefold()] > 1 or owners.get(name.casefold(), key) != key or is_taken(key[0], name)
        }
        lengthened = [key for key in clashes if levels[key] < _LAST_LEVEL]
        if not lengthened:
            return {key: name for key, name in names.items() if key not in clashes}
        for key in lengthened:
            levels[key] += 1


def _full(pattern: str, name: str) -> str:
    return pattern.replace("*", name)


def _name(agent: Agent, level: int) -> str:
    slug, identity = slug_of(agent.slug) or slug_of(agent.name), agent.id.lower()
    if not slug or level == _LAST_LEVEL:
        return agent.id
    return (slug, f"{slug}-{identity[-_SUFFIX:]}", f"{slug}-{identity}")[level]
