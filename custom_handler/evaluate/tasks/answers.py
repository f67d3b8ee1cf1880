"""Tasks of one answer: without a call, as JSON, and from a long text."""

from __future__ import annotations

from ..task import Task
from . import tools as t
from .build import HANDBOOK, LOG, call, task


def no_tool() -> list[Task]:
    kind = "no tool needed"
    return [
        task(
            kind,
            "arithmetic",
            "What is 7 times 8? Answer from your head.",
            tools=[t.WEATHER, t.SEARCH],
            says=["56|fifty-six"],
        ),
        task(kind, "greeting", "Hi! Just say hello back, please.", tools=t.ASSISTANT, says=["hello|hi"]),
        task(
            kind,
            "about-tools",
            "Which tools can you use? Name them; do not use any.",
            tools=[t.WEATHER, t.TIME],
            says=["weather", "time"],
        ),
        task(
            kind,
            "explain",
            "Explain in one sentence what the command `ls -la` does. Do not run it.",
            tools=t.CODING,
            says=["list|files"],
        ),
        task(kind, "ask-back", "Send an e-mail to the team for me.", tools=[t.EMAIL], says=[r"[?]"]),
        task(
            kind,
            "result-known",
            "What was the temperature again?",
            tools=[t.WEATHER],
            says=["31"],
            system="Earlier in this conversation get_weather returned 31 °C for Recife. Do not call it again.",
        ),
    ]


def json() -> list[Task]:
    kind = "JSON by schema"
    person = t.object_of(name=t.text(), age=t.INTEGER)
    return [
        task(
            kind,
            "person",
            "Extract: 'Ana Lima is 34 years old.'",
            json_schema=person,
            json={"name": "Ana Lima", "age": 34},
        ),
        task(
            kind,
            "list",
            "Extract the people of: 'Ana (34), Bia (29) and Caio (41)'.",
            json_schema=t.object_of(people=t.array(person)),
            json={"people": [{"name": name, "age": age} for name, age in (("Ana", 34), ("Bia", 29), ("Caio", 41))]},
        ),
        task(
            kind,
            "enum",
            "Classify the mood of 'I love it!'.",
            json_schema=t.object_of(mood=t.text(enum=["positive", "neutral", "negative"])),
            json={"mood": "positive"},
        ),
        task(
            kind,
            "null",
            "Extract the phone number of: 'Ana has no phone.' Use null if there is none.",
            json_schema=t.object_of(phone={"type": ["string", "null"]}),
            json={"phone": None},
        ),
        task(
            kind,
            "quotes",
            'Put this sentence into the field text, unchanged: She said "não" and left\\stayed.',
            json_schema=t.object_of(text=t.text()),
            json={"text": 'She said "não" and left\\stayed.'},
        ),
        task(
            kind,
            "nested",
            "Describe a grid with the rows 'a, b' and 'c, d', as rows of cells.",
            json_schema=t.object_of(rows=t.array(t.array(t.text()))),
            json={"rows": [["a", "b"], ["c", "d"]]},
        ),
        task(
            kind,
            "with-tools",
            "Look up the weather in Recife, then answer in the requested format.",
            tools=[t.WEATHER],
            json_schema=t.object_of(city=t.text(), celsius=t.NUMBER),
            steps=[[call("get_weather", "31.5 °C", city="Recife")]],
            json={"city": "Recife", "celsius": 31.5},
        ),
    ]


def context() -> list[Task]:
    kind = "long context"
    return [
        task(kind, "log", f"{LOG}\n\nWhich worker ran job 01234? Answer with its number.", says=[rf"\b{1234 % 7}\b"]),
        task(kind, "handbook", f"{HANDBOOK}\n\nEm qual pasta é arquivado o processo 250?", says=["3250|3\\.250"]),
        task(
            kind,
            "tool-after-log",
            f"{LOG}\n\nThe log is above. Now look up the weather in Recife.",
            tools=t.ASSISTANT,
            steps=[[call("get_weather", city="Recife")]],
        ),
        task(
            kind,
            "many-tools",
            "What time is it in Tokyo?",
            tools=[*t.ASSISTANT, *t.CODING, *t.OFFICE[:3], t.EVENT, t.ORDER, t.LIGHTS, t.PING, t.QUERY, t.FETCH],
            steps=[[call("get_time", city="Tokyo")]],
        ),
    ]
