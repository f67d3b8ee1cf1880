"""The rest of a reply that broke off, asked for by a prompt that shows the start of the reply."""

from __future__ import annotations

from typing import Literal, TypeAlias

Manner: TypeAlias = Literal["exact", "repeat", "anew", "apologise", "other", "nothing"]

ASSISTANT = "\n\n«assistant»\n"
ASKED = "\n\n«reminder»\nThe assistant's last message broke off."
REPEATED = 40
APOLOGY = "Desculpe a interrupção! Continuando de onde parei:\n\n"
OTHER = "Prefiro contar outra coisa: era uma vez um agente que nunca respondia o que se pedia."


def split_prompt(prompt: str) -> tuple[str, str] | None:
    """Return the first prompt and the start of its reply, None for any other prompt.

    >>> split_prompt(f"Hi{ASSISTANT}Hel{ASKED} Continue it.")
    ('Hi', 'Hel')
    """
    start, asked, _ = prompt.rpartition(ASKED)
    first, _, said = start.rpartition(ASSISTANT)
    return (first, said) if asked else None


def rest_of(reply: str, said: str, manner: Manner) -> str:
    """Return the rest of a reply that starts with `said`, in one of the manners of models.

    >>> rest_of("One two three", "One t", "exact"), rest_of("One two three", "One t", "anew")
    ('wo three', 'One two three')
    """
    if manner in {"other", "nothing"}:
        return OTHER if manner == "other" else ""
    if manner == "anew" or not reply.startswith(said):
        return reply
    rest = reply[len(said) :]
    if manner == "repeat":
        return said[-REPEATED:] + rest
    return APOLOGY + rest if manner == "apologise" else rest
