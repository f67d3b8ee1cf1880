"""The default agent: how it reads a prompt, and its replies."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custom_handler.simulator.agent import read_prompt, reply_to


def tool(name, description, required=(), **properties):
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "description": description, "parameters": schema}


STRING, NUMBER = {"type": "string"}, {"type": "number"}
WEATHER = tool(
    "get_weather",
    "Get the current weather in a city",
    ["city"],
    city=STRING,
    unit={"type": "string", "enum": ["celsius", "fahrenheit"]},
)
CLOCK = tool("get_time", "Current time of a city", ["city"], city=STRING)
CALCULATOR = tool("calculator", "Evaluates an expression", ["expression"], expression=STRING)
SEARCH = tool("search_documents", "Search the knowledge base", ["query"], query=STRING, limit={"type": "integer"})
MAIL = tool("sendEmail", "Send an e-mail", ["to", "subject"], to=STRING, subject=STRING, urgent={"type": "boolean"})
ORDER = tool("consultar_pedido", "Consulta a situação de um pedido", ["numero"], numero={"type": "integer"})
CONVERT = tool(
    "convert_currency",
    "Convert an amount between currencies",
    ["amount", "to"],
    amount=NUMBER,
    to={"type": "string", "enum": ["BRL", "USD", "EUR"]},
)
NOW = {"name": "refresh_cache"}
TOOLS = (WEATHER, CLOCK, CALCULATOR, SEARCH, MAIL, ORDER, CONVERT, NOW)


def render(question, tools=TOOLS, after="", system="You are kind."):
    """A prompt as the emulation renders it."""
    lines = "\n".join(json.dumps(declared, ensure_ascii=False) for declared in tools)
    rules = "Call a tool like this:\nFUNCTION_CALL_START\ntool name\narguments: {...}\nFUNCTION_CALL_END"
    return f"{system}\n\n«tools»\n{rules}\n{lines}\n\n«conversation»\n«user»\n{question}\n{after}"


def calls_in(reply):
    """The calls of a reply, which must be blocks of four lines and nothing else."""
    lines = reply.split("\n")
    calls = []
    for start, name, arguments, end in zip(*[iter(lines)] * 4, strict=True):
        assert (start, end) == ("FUNCTION_CALL_START", "FUNCTION_CALL_END")
        calls.append((name, json.loads(arguments.removeprefix("arguments: "))))
    return calls


@dataclass(frozen=True)
class Asked:
    question: str
    calls: tuple


ASKED = [
    Asked("Qual o tempo em São Paulo?", (("get_weather", {"city": "São Paulo"}),)),
    Asked("Como está o clima no Rio de Janeiro?", (("get_weather", {"city": "Rio de Janeiro"}),)),
    Asked("Use get_time for Berlin", (("get_time", {"city": "Berlin"}),)),
    Asked('Qual a situação dos documents "férias"?', (("search_documents", {"query": "férias"}),)),
    Asked("Qual a situação do pedido 4711?", (("consultar_pedido", {"numero": 4711}),)),
    Asked("Convert 12,5 to BRL please", (("convert_currency", {"amount": 12.5, "to": "BRL"}),)),
    Asked("Please refresh it", (("refresh_cache", {}),)),
    Asked("Olá, tudo bem?", ()),
    Asked("Qual a capital da França?", ()),
    Asked("Explain recursion", ()),
]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.question)
def test_the_agent_calls_the_tools_that_fit_the_question(asked):
    reply = reply_to(render(asked.question))
    assert tuple(calls_in(reply) if "FUNCTION_CALL_START" in reply else ()) == asked.calls


EVERY_KIND = {
    "text": {"type": "string"},
    "day": {"type": "string", "format": "date"},
    "when": {"type": "string", "format": "date-time"},
    "mail": {"type": "string", "format": "email"},
    "size": {"type": "integer", "minimum": 5, "maximum": 9},
    "share": {"type": ["number", "null"]},
    "flag": {"type": "boolean"},
    "mode": {"enum": ["a", "b"]},
    "fixed": {"const": 7},
    "list": {"type": "array", "items": {"type": "integer"}},
    "inner": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    "either": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
    "linked": {"$ref": "#/$defs/place"},
    "nothing": {"type": "null"},
}


@pytest.mark.parametrize(
    "question", ["Use do_everything", "Use do_everything em 02/03/2026 para ana@example.com, 2 e 7"]
)
def test_every_required_argument_gets_a_value_of_its_type(question):
    jsonschema = pytest.importorskip("jsonschema")
    declared = tool("do_everything", "", EVERY_KIND, **EVERY_KIND)
    declared["parameters"]["$defs"] = {
        "place": {"type": "object", "properties": {"city": STRING}, "required": ["city"]}
    }
    ((_, arguments),) = calls_in(reply_to(render(question, [declared])))
    jsonschema.validate(arguments, declared["parameters"])
    assert list(arguments) == list(EVERY_KIND)


def test_a_recursive_schema_is_filled_to_some_depth():
    declared = tool("make_tree", "", ["child"], child={"$ref": "#"})
    assert calls_in(reply_to(render("Please make_tree", [declared])))[0][0] == "make_tree"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "properties", "required", "items", "enum", "$ref", "anyOf"]), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=60, database=None)
@given(json_values, st.text(max_size=60))
def test_no_schema_or_question_makes_the_agent_fail(schema, question):
    assert reply_to(render(f"use my_tool {question}", [{"name": "my_tool", "parameters": schema}]))


RESULT = "\n«tool result 1/2 name=get_weather»\n25°C, ensolarado\n\n«reminder»\nCall tools only when needed."


def test_results_after_the_question_are_reported():
    after = '\n«assistant»\nFUNCTION_CALL_START\nget_weather\narguments: {"city":"São Paulo"}\nFUNCTION_CALL_END\n'
    reply = reply_to(render("Qual o tempo em São Paulo?", after=after + RESULT))
    assert reply == "Segundo get_weather: 25°C, ensolarado."


def test_results_before_the_question_do_not_prevent_a_call():
    reply = reply_to(render("Qual o tempo em Recife?", after=RESULT + "\n\n«user»\nE o tempo em Natal?"))
    assert calls_in(reply) == [("get_weather", {"city": "Natal"})]


@pytest.mark.parametrize("tag", ["system-reminder", "environment_context"])
def test_what_a_coding_agent_adds_to_the_question_calls_no_tool(tag):
    added = f"<{tag}>\nUse get_weather and get_time <often>.\n</{tag}>"
    reply = reply_to(render(f"{added}\n{added}\nQuem é você?\n<{tag}> is a tag"))
    assert reply.startswith(f"Sobre “Quem é você? <{tag}> is a tag”")
    assert calls_in(reply_to(render(f"{added}\nQual o tempo em Natal?"))) == [("get_weather", {"city": "Natal"})]


def test_a_reminder_can_demand_a_call_of_any_tool_or_of_one():
    anything = "\n«reminder»\nReply now, without a label: at least one FUNCTION_CALL_START block. An answer without one is not accepted."
    this_one = "\n«reminder»\nReply now, without a label: a FUNCTION_CALL_START block for get_time. An answer without one is not accepted."
    assert calls_in(reply_to(render("Olá!", after=anything)))[0][0] == "get_weather"
    assert calls_in(reply_to(render("Use get_time em Natal", after=anything))) == [("get_time", {"city": "Natal"})]
    assert calls_in(reply_to(render("O clima em Natal?", after=this_one))) == [("get_time", {"city": "Natal"})]


@pytest.mark.parametrize("results", ["", RESULT])
def test_a_json_reply_is_valid_against_the_schema(results):
    jsonschema = pytest.importorskip("jsonschema")
    schema = {
        "type": "object",
        "properties": {"cidade": STRING, "dias": {"type": "integer"}, "modo": {"enum": ["avião", "ônibus"]}},
        "required": ["cidade", "dias", "modo"],
    }
    answer = f"«answer»\nOne JSON object, valid against this JSON Schema:\n{json.dumps(schema)}\n\n"
    question = "Quero passar 3 dias em Recife, de ônibus."
    prompt = f"Be kind.\n\n{answer}«conversation»\n«user»\n{question}{results}"
    value = json.loads(reply_to(prompt))
    jsonschema.validate(value, schema)
    assert value == {"cidade": "Recife", "dias": 3, "modo": "ônibus"}


def test_a_json_reply_without_a_schema_is_an_object():
    prompt = "«answer»\nReply with one JSON object and nothing else.\n\n«conversation»\n«user»\nOlá"
    assert isinstance(json.loads(reply_to(prompt)), dict)


def test_a_long_result_is_shortened():
    reply = reply_to(render("Que tempo faz?", after=f"\n«tool result name=get_weather»\n{'a' * 5000}"))
    assert reply.startswith("Segundo get_weather: aaa")
    assert len(reply) < 800


@pytest.mark.parametrize(
    ("question", "beginning"),
    [
        ("", "Olá! Sou"),
        ("Olá, tudo bem?", "Olá! Sou"),
        ("Hello!", "Olá! Sou"),
        ("Qual é a capital do Brasil?", "Sobre “Qual é a capital do Brasil”: sou"),
    ],
)
def test_a_question_without_tools_gets_a_greeting_or_its_topic(question, beginning):
    assert reply_to(question).startswith(beginning)


@pytest.mark.parametrize(
    ("question", "count"), [("Count to 100", 100), ("Conte até 7, por favor", 7), ("Count to 99999999", 20_000)]
)
def test_the_agent_counts_up_to_a_number(question, count):
    assert reply_to(question) == " ".join(map(str, range(1, count + 1)))


def test_a_prompt_is_read_into_its_parts():
    prompt = read_prompt(render("a\n[b]\n\nc", [WEATHER], after=RESULT, system="one\ntwo"))
    assert [declared["name"] for declared in prompt.tools] == ["get_weather"]
    assert prompt.tools[0]["parameters"] == WEATHER["parameters"]
    assert [(message.kind, message.tool) for message in prompt.messages] == [
        ("user", ""),
        ("tool result", "get_weather"),
        ("reminder", ""),
    ]
    assert prompt.messages[0].text == "a\n[b]\n\nc"


def test_a_heading_conversation_in_a_single_message_is_text():
    assert read_prompt("«conversation»\nabout us").messages[0].text == "«conversation»\nabout us"
