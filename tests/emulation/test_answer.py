"""An agent's text as the answer that was asked for: what goes out at once, what waits, and what a second answer mends."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_handler.emulation.answer import INVALID, MISSING, UNREADABLE, AnswerAssembler
from custom_handler.emulation.json_output import JsonFormat
from custom_handler.emulation.pending_call import INVALID_ARGUMENTS, UNDECLARED
from custom_handler.emulation.truncation import CHARACTERS_PER_TOKEN
from custom_handler.events import ReplyEvent, Text, ToolCallArguments, ToolCallStart
from custom_handler.request.chat_request import ChatRequest, Tool
from custom_handler.request.parameters import Parameters

USER = {"role": "user", "content": "Olá"}
TOOLS = (Tool("get_weather", "", {}), Tool("search", "", {}))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def block(arguments: str, name: str = "get_weather") -> str:
    return f"FUNCTION_CALL_START\n{name}\narguments: {arguments}\nFUNCTION_CALL_END\n"


BROKEN = block('{"valor": 10,50}')
ALSO_BROKEN = block('{"b" 2}')
ONE, TWO, THREE = (block(f'{{"n": {n}}}') for n in (1, 2, 3))
LONG = "x" * 1000


@dataclass(frozen=True, slots=True)
class Said:
    """What a client is told: texts and calls in their order, texts that follow each other joined."""

    parts: tuple[str | tuple[str, str], ...]

    @classmethod
    def of(cls, events: list[ReplyEvent]) -> Said:
        parts: list[str | tuple[str, str]] = []
        count = 0
        for event in events:
            if isinstance(event, Text):
                parts[-1:] = (
                    [parts[-1] + event.text] if parts and isinstance(parts[-1], str) else [*parts[-1:], event.text]
                )
            elif isinstance(event, ToolCallStart):
                assert event.index == count, "indexes must count from 0 in the order in which calls go out"
                count += 1
                parts.append((event.name, ""))
            else:
                assert isinstance(event, ToolCallArguments)
                name, arguments = parts[-1]
                assert event.index == count - 1
                parts[-1] = (name, arguments + event.arguments)
        return cls(tuple(parts))

    def tidy(self) -> list[Any]:
        """The parts without the white space around texts, arguments parsed."""
        texts = (part.strip() if isinstance(part, str) else (part[0], json.loads(part[1])) for part in self.parts)
        return [part for part in texts if part]


def request(*tools: Tool, choice: str = "auto", **parameters: Any) -> ChatRequest:
    return ChatRequest((USER,), tools or TOOLS, choice, Parameters(**parameters))


def answered(
    text: str | list[str], asked: ChatRequest | None = None, *, limited: bool = False
) -> tuple[AnswerAssembler, list[Any]]:
    """Read a text as a turn does, which hangs up when no further text matters; the answer, and what went out."""
    asked = asked or request()
    schema = asked.parameters.json_schema
    answer = AnswerAssembler(asked, None if schema is None else JsonFormat(schema))
    events: list[ReplyEvent] = []
    for piece in [text] if isinstance(text, str) else text:
        if answer.done:
            break
        events += answer.feed(piece)
    return answer, events + answer.flush(limited=limited)


def told(text: str | list[str], asked: ChatRequest | None = None) -> list[Any]:
    """What a client is told where nothing is mended."""
    answer, events = answered(text, asked)
    return Said.of(events + answer.release_held()).tidy()


def mended(first: str, second: str, asked: ChatRequest | None = None) -> tuple[bool, list[Any]]:
    """What a client is told after a repair round."""
    answer, events = answered(first, asked)
    assert answer.repair_reason()
    done = answer.apply_repair(answered(second, asked)[0])
    return done, Said.of(events + answer.release_held()).tidy()


def test_text_and_calls_go_out_in_their_order():
    text = f"Um.\n{block('{}')}Dois.\n{block('{}', 'search')}Três."
    assert told(text) == ["Um.", ("get_weather", {}), "Dois.", ("search", {}), "Três."]


def test_without_tools_a_block_is_text():
    assert told(block("{}"), ChatRequest((USER,))) == [block("{}").strip()]


def test_text_goes_out_as_it_comes():
    answer = AnswerAssembler(request())
    assert answer.feed("Olá, ") == [Text("Olá, ")]
    assert answer.feed("mundo") == [Text("mundo")]


def test_a_long_call_goes_out_only_when_it_is_complete():
    answer = AnswerAssembler(request())
    assert answer.feed(f'FUNCTION_CALL_START\nget_weather\narguments: {{"a": "{LONG * 100}') == []
    assert [type(event) for event in answer.feed('"}\nFUNCTION_CALL_END\n')] == [ToolCallStart, ToolCallArguments]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Olá", ""),
        (block("{}"), ""),
        (BROKEN, UNREADABLE),
        (f"{block('{}')}{BROKEN}", UNREADABLE),
        ("FUNCTION_CALL_START é o marcador.", ""),
        ("```\n" + BROKEN + "```\nAssim se escreve.", ""),
        ("```\n" + BROKEN + "```\n", UNREADABLE),
    ],
    ids=["text", "a call", "a broken block", "one of two", "prose", "documentation", "a fenced block"],
)
def test_a_block_that_cannot_be_read_is_a_fault(text, fault):
    assert answered(text)[0].repair_reason() == fault


@pytest.mark.parametrize("choice", ["required", "get_weather"])
@pytest.mark.parametrize("text", ["", "Vou consultar o tempo."])
def test_a_call_that_has_to_be_and_is_not_is_a_fault(choice, text):
    answer, _ = answered(text, request(choice=choice))
    assert answer.repair_reason() == MISSING
    assert ("get_weather" in answer.repair_instruction()) == (choice == "get_weather")


def test_only_parts_before_a_broken_block_are_returned_at_once():
    answer, events = answered(f"Um.\n{block('{}')}{BROKEN}Dois.\n{block('{}', 'search')}")
    assert Said.of(events).tidy() == ["Um.", ("get_weather", {})]
    assert Said.of(events + answer.release_held()).tidy() == [
        "Um.",
        ("get_weather", {}),
        f"{BROKEN}Dois.",
        ("search", {}),
    ]


def test_a_block_that_is_not_repaired_is_returned_unchanged():
    text = f"Antes.\n\n{BROKEN}\n\nDepois, {ALSO_BROKEN}fim."
    answer, events = answered(text)
    assert answer.apply_repair(answered("Não consigo.")[0]) is False
    assert Said.of(events + answer.release_held()).parts == (text,)


def test_a_block_between_two_good_ones_is_repaired_in_place():
    first = f"{ONE}{BROKEN}{THREE}Pronto."
    done, parts = mended(first, TWO)
    assert done
    assert parts == [*(("get_weather", {"n": n}) for n in (1, 2, 3)), "Pronto."]


def test_a_repair_between_calls_leaves_their_indexes_in_order():
    answer, events = answered(f"{ONE}{BROKEN}{THREE}")
    answer.apply_repair(answered(TWO)[0])
    starts = [event for event in events + answer.release_held() if isinstance(event, ToolCallStart)]
    assert [start.index for start in starts] == [0, 1, 2]
    assert len({start.id for start in starts}) == 3
    assert sorted(call.id for call in answer.calls) == sorted(start.id for start in starts)


def test_two_broken_blocks_are_repaired_in_place():
    done, parts = mended(f"{BROKEN}entre\n{ALSO_BROKEN}fim", ONE + TWO)
    assert (done, parts) == (True, [("get_weather", {"n": 1}), "entre", ("get_weather", {"n": 2}), "fim"])


def test_of_two_broken_blocks_the_unrepaired_one_stays_visible():
    done, parts = mended(f"{BROKEN}{ALSO_BROKEN}", ONE)
    assert (done, parts) == (True, [("get_weather", {"n": 1}), ALSO_BROKEN.strip()])


def test_a_broken_block_can_be_repaired_as_two_calls():
    done, parts = mended(f"{BROKEN}fim", ONE + TWO)
    assert (done, parts) == (True, [("get_weather", {"n": 1}), ("get_weather", {"n": 2}), "fim"])


def test_a_call_that_was_received_is_not_added_again():
    good = block('{"a": 1, "b": 2}')
    done, parts = mended(f"{good}{BROKEN}", block('{"b": 2, "a": 1}') + TWO * 2)
    assert (done, parts) == (True, [("get_weather", {"a": 1, "b": 2}), ("get_weather", {"n": 2})])


def test_a_second_answer_with_received_calls_repairs_nothing():
    done, parts = mended(f"{block('{}')}{BROKEN}", block("{}"))
    assert (done, parts) == (False, [("get_weather", {}), BROKEN.strip()])


def test_two_alike_calls_of_one_answer_both_go_out():
    assert told(block("{}") * 2) == [("get_weather", {}), ("get_weather", {})]


@pytest.mark.parametrize("second", ["", "Desculpe.", BROKEN, block('{"a": "' + LONG)[:600]])
def test_a_second_answer_with_the_same_fault_repairs_nothing(second):
    done, parts = mended(f"Um.\n{BROKEN}", second)
    assert (done, parts) == (False, [f"Um.\n{BROKEN}".strip()])


def test_a_truncated_second_answer_repairs_nothing():
    asked = request(max_tokens=100)
    assert mended(BROKEN, block("{}") + LONG, asked) == (False, [BROKEN.strip()])


def test_a_good_call_of_a_second_answer_counts_although_another_is_broken():
    assert mended(BROKEN, ONE + BROKEN) == (True, [("get_weather", {"n": 1})])


def test_the_instruction_quotes_the_block_and_names_the_calls():
    asked = answered(f"{block('{}', 'search')}{BROKEN}")[0].repair_instruction()
    assert BROKEN.strip() in asked
    assert asked.endswith("These calls were received, leave them out: search.")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ('{"city": "Recife" now}', "a string is followed by neither a comma, a colon nor a closing bracket."),
        ('{"city": Recife}', "a value that is no string, number or literal."),
    ],
)
def test_the_instruction_says_what_is_wrong(arguments, reason):
    for text in (block(arguments), block(arguments).removesuffix("\nFUNCTION_CALL_END\n")):
        assert f"What is wrong with it: {reason}\n" in answered(text)[0].repair_instruction()


def test_the_instruction_is_short_for_a_long_block():
    answer, _ = answered(block('{"a" "' + "x" * 100_000 + '"}'))
    assert answer.repair_reason() == UNREADABLE
    assert len(answer.repair_instruction()) < 5000


def test_a_missing_call_is_added_behind_the_text():
    asked = request(choice="required")
    assert mended("Vou consultar.", block("{}"), asked) == (True, ["Vou consultar.", ("get_weather", {})])


def test_a_call_of_a_tool_not_chosen_is_held_and_replaced():
    asked = request(choice="search")
    assert answered(f"Um.\n{block('{}')}", asked)[0].repair_reason() == MISSING
    done, parts = mended(f"Um.\n{block('{}')}Dois.", block('{"q": 1}', "search"), asked)
    assert (done, parts) == (True, ["Um.", ("search", {"q": 1}), "Dois."])


def test_a_call_of_another_tool_is_dropped_for_the_chosen_tool():
    asked = request(choice="search")
    assert answered(block("{}") + block("{}", "search"), asked)[0].repair_reason() == ""
    assert told(block("{}") + block("{}", "search"), asked) == [("search", {})]


def test_a_call_of_another_tool_is_better_than_none():
    asked = request(choice="search")
    assert mended(f"Um.\n{block('{}')}", "Não.", asked) == (False, ["Um.", ("get_weather", {})])
    answer, _ = answered(block("{}"), asked)
    answer.release_held()
    assert answer.has_tool_calls
    assert [call.name for call in answer.calls] == ["get_weather"]


def test_of_calls_of_other_tools_only_the_allowed_one_is_sent():
    asked = request(choice="search", parallel_tool_calls=False)
    assert told(ONE + TWO, asked) == [("get_weather", {"n": 1})]


@pytest.mark.parametrize("behind", [TWO, BROKEN, "texto\n" + TWO])
def test_without_parallel_calls_the_first_one_ends_the_answer(behind):
    asked = request(parallel_tool_calls=False)
    answer, events = answered(ONE + behind, asked)
    assert answer.done
    assert answer.repair_reason() == ""
    assert not answer.truncated
    calls = [part for part in Said.of(events + answer.release_held()).tidy() if isinstance(part, tuple)]
    assert calls == [("get_weather", {"n": 1})]


def test_without_parallel_calls_a_good_one_needs_no_repair():
    asked = request(parallel_tool_calls=False)
    answer, _ = answered(BROKEN + TWO, asked)
    assert answer.repair_reason() == ""
    assert told(BROKEN + TWO, asked) == [BROKEN.strip(), ("get_weather", {"n": 2})]


def test_without_parallel_calls_one_call_repairs_a_block():
    asked = request(parallel_tool_calls=False)
    done, parts = mended(BROKEN, ONE + TWO, asked)
    assert (done, parts) == (True, [("get_weather", {"n": 1})])


OTHER = block('{"q": 1}', "find")


def test_a_call_of_an_undeclared_tool_is_repaired_with_the_names_of_the_tools():
    answer, events = answered(f"Um.\n{OTHER}Dois.")
    assert Said.of(events).tidy() == ["Um."]
    assert answer.repair_reason() == UNDECLARED
    assert "You called find," in answer.repair_instruction()
    assert "The tools are: get_weather, search." in answer.repair_instruction()
    assert mended(f"Um.\n{OTHER}Dois.", block('{"q": 1}', "search")) == (True, ["Um.", ("search", {"q": 1}), "Dois."])


@pytest.mark.parametrize("second", ["", "There is no such tool.", OTHER, BROKEN])
def test_a_call_of_an_undeclared_tool_that_stays_goes_out_as_the_agent_wrote_it(second):
    expected = [("get_weather", {"n": 1}), ("find", {"q": 1}), ("get_weather", {"n": 2})]
    assert mended(f"{ONE}{OTHER}{TWO}", second) == (False, expected)


def test_in_a_code_fence_a_call_of_an_undeclared_tool_is_text():
    answer, events = answered(f"So:\n```\n{OTHER}```")
    assert (answer.repair_reason(), Said.of(events).tidy()) == ("", [f"So:\n```\n{OTHER}```"])


def test_with_another_tool_chosen_an_undeclared_call_is_dropped():
    assert told(OTHER + block("{}", "search"), request(choice="search")) == [("search", {})]


def test_the_instruction_lists_a_thousand_tools_in_few_characters():
    tools = [Tool(f"tool_{number}", "", {}) for number in range(10_000)]
    answer, _ = answered(OTHER, request(*tools))
    assert len(answer.repair_instruction()) < 5000


def test_the_instruction_says_what_is_wrong_and_how_to_write_a_quote():
    asked = answered(block('{"a": "um "dois", "b": "tres"}'))[0].repair_instruction()
    assert "What is wrong with it: a quote" in asked
    assert r"write \" for a quote" in asked


JSON = ChatRequest((USER,), (), parameters=Parameters(json_schema=SCHEMA))


def test_json_waits_until_it_is_valid_and_leaves_its_fence():
    answer, events = answered(["```json\n", '{"city": "Re', 'cife"}\n```'], JSON)
    assert (events, answer.repair_reason()) == ([], "")
    assert answer.release_held() == [Text('{"city": "Recife"}')]


def test_invalid_json_is_repaired_by_valid_json():
    answer, events = answered('{"city": 7}', JSON)
    assert (events, answer.repair_reason()) == ([], INVALID)
    assert "$.city: 7 is not of type 'string'" in answer.repair_instruction()
    assert answer.apply_repair(answered('```\n{"city": "Recife"}\n```', JSON)[0])
    assert answer.release_held() == [Text('{"city": "Recife"}')]


@pytest.mark.parametrize("second", ["", '{"city": 8}', "Não sei."])
def test_json_that_is_never_valid_goes_out_as_the_agent_wrote_it(second):
    answer, _ = answered('Aqui: {"city": 7}', JSON)
    assert not answer.apply_repair(answered(second, JSON)[0])
    assert answer.release_held() == [Text('Aqui: {"city": 7}')]


JSON_OR_CALL = request(json_schema=SCHEMA)


def test_with_tools_json_is_still_an_answer():
    assert told('```json\n{"city": "Recife"}\n```', JSON_OR_CALL) == ['{"city": "Recife"}']
    assert answered("Olá", JSON_OR_CALL)[0].repair_reason() == INVALID


def test_with_a_call_the_text_need_not_be_json():
    answer, events = answered(f"Vou ver.\n{block('{}')}", JSON_OR_CALL)
    assert answer.repair_reason() == ""
    assert Said.of(events + answer.release_held()).tidy() == ["Vou ver.", ("get_weather", {})]


def test_with_tools_a_broken_block_is_no_json():
    assert answered(BROKEN, JSON_OR_CALL)[0].repair_reason() == UNREADABLE
    assert mended(BROKEN, block("{}"), JSON_OR_CALL) == (True, [("get_weather", {})])


@pytest.mark.parametrize("second", [BROKEN, block("{}")], ids=["a broken block", "a call"])
def test_with_tools_json_is_repaired_by_json_only(second):
    assert mended("Olá", second, JSON_OR_CALL) == (False, ["Olá"])


def test_a_stop_sequence_ends_text_and_listening():
    answer, events = answered(["um do", "is três"], request(stop=("ois",)))
    assert Said.of(events).parts == ("um d",)
    assert (answer.done, answer.stop_sequence, answer.truncated, answer.repair_reason()) == (True, "ois", False, "")


def test_a_stop_sequence_is_looked_for_in_text_only():
    asked = request(stop=("Recife", "FUNCTION"))
    assert told(block('{"city": "Recife"}'), asked) == [("get_weather", {"city": "Recife"})]


def test_a_stop_sequence_does_not_reach_across_a_call():
    assert told(f"aST\n{block('{}')}OP", request(stop=("ST\nOP", "STOP"))) == ["aST", ("get_weather", {}), "OP"]


def test_behind_a_stop_sequence_no_call_goes_out():
    asked = request(stop=("fim",), choice="required")
    answer, events = answered(f"um fim\n{block('{}')}", asked)
    assert Said.of(events + answer.release_held()).parts == ("um ",)
    assert answer.repair_reason() == ""


def test_a_limit_cuts_the_text_off_and_asks_for_no_repair():
    answer, events = answered("x" * 100, request(max_tokens=3, choice="required"))
    assert Said.of(events).parts == ("x" * 3 * CHARACTERS_PER_TOKEN,)
    assert (answer.done, answer.truncated, answer.repair_reason()) == (True, True, "")


def test_a_call_that_the_limit_cuts_stays_text():
    text = block('{"city": "Recife"}')
    answer, events = answered(text, request(max_tokens=10))
    assert Said.of(events + answer.release_held()).parts == (text[: 10 * CHARACTERS_PER_TOKEN],)
    assert (answer.truncated, answer.repair_reason()) == (True, "")


def test_a_long_call_that_the_limit_cuts_stays_text():
    text = block(f'{{"a": "{LONG}"}}')
    answer, events = answered(text, request(max_tokens=200))
    assert Said.of(events + answer.release_held()).parts == (text[: 200 * CHARACTERS_PER_TOKEN],)
    assert (answer.truncated, answer.repair_reason()) == (True, "")


def test_json_that_the_limit_cuts_is_no_fault():
    answer, _ = answered('{"city": "Recife"}', replace(JSON, parameters=Parameters(json_schema=SCHEMA, max_tokens=2)))
    assert answer.repair_reason() == ""
    assert answer.release_held() == [Text('{"city": "')]


@pytest.mark.parametrize(
    ("text", "cut_off"),
    [
        ("um", True),
        (block('{"city": "Recife"}')[:50], True),
        (block("{}") + block('{"city": "Recife"}')[:50], True),
        (block("{}"), False),
        (block("{}") + "Agora esp", False),
    ],
    ids=["text", "a call", "the second of two calls", "no call", "text behind a call"],
)
def test_a_call_cut_by_the_agents_limit_is_not_repaired(text, cut_off):
    answer, _ = answered(text, limited=True)
    assert (answer.truncated, answer.repair_reason()) == (cut_off, "")


def test_the_clients_limit_counts_beside_the_agents():
    answer, _ = answered(block("{}") + "x" * 200, request(max_tokens=20), limited=True)
    assert answer.truncated


def test_a_result_that_the_agent_invents_ends_the_answer():
    text = f"{block('{}')}Tool result: 25\n{BROKEN}"
    answer, events = answered(text)
    assert Said.of(events + answer.release_held()).tidy() == [("get_weather", {})]
    assert (answer.done, answer.repair_reason(), answer.truncated) == (True, "", False)


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("um STOP" + "x" * 200, {"stop": ("STOP",)}),
        (block("{}") + "Tool result: 25\n" + "x" * 200, {}),
        (block("{}") * 4, {"parallel_tool_calls": False}),
    ],
    ids=["a stop sequence", "an invented result", "a second call"],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_ended_before_the_limit_was_not_cut_off_by_it(text, parameters, size):
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert not answered(pieces, request(max_tokens=30, **parameters))[0].truncated


FRAGMENTS = [
    "FUNCTION_CALL_START\n", "FUNCTION_CALL_END\n", "get_weather\n", "search\n", "arguments: ", "{}", '{"city": "Recife"}', "{", '"',
    "STOP", "ST", "OP", "fim", "\n", " ", "```\n", "```json\n", "Ok. ", "Tool result: 1\n", "> ", '{"a": "' + "y" * 600, "z" * 40,
    block("{}"), block('{"q": 1}', "search"), BROKEN, ALSO_BROKEN, '{"city": 7}',
]  # fmt: skip
REQUESTS = st.builds(
    lambda tools, choice, **parameters: ChatRequest(
        (USER,), tools, choice if tools else "auto", Parameters(**parameters)
    ),
    st.sampled_from([(), TOOLS]),
    st.sampled_from(["auto", "auto", "required", "search"]),
    stop=st.sampled_from([(), ("STOP",), ("STOP", "ST\n", "fim")]),
    max_tokens=st.none() | st.integers(1, 60),
    parallel_tool_calls=st.booleans(),
    json_schema=st.sampled_from([None, None, {}, SCHEMA]),
)


def state(text: list[str], asked: ChatRequest, limited: bool) -> tuple[Any, ...]:
    """All that a turn does with an answer depends on this."""
    answer, events = answered(text, asked, limited=limited)
    fault, correction = answer.repair_reason(), answer.repair_instruction()
    said = Said.of(events + answer.release_held())
    calls = [part for part in said.parts if isinstance(part, tuple)]
    assert len(calls) == len(answer.calls)
    assert asked.parameters.parallel_tool_calls or len(calls) <= 1
    for _, arguments in [] if answer.truncated else calls:
        assert isinstance(json.loads(arguments, parse_constant=pytest.fail), dict)
    return said, fault, correction, answer.truncated, answer.has_tool_calls, answer.stop_sequence


@given(
    st.lists(st.sampled_from(FRAGMENTS), max_size=10).map("".join),
    REQUESTS,
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_no_cut_changes_the_answer(text, asked, limited, chance):
    whole = state([text], asked, limited)
    assert state(list(text), asked, limited) == whole
    places = sorted(chance.randint(0, len(text)) for _ in range(5))
    assert state([text[start:end] for start, end in pairwise([0, *places, len(text)])], asked, limited) == whole


@given(
    st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join),
    st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join),
    REQUESTS,
)
def test_no_second_answer_takes_anything_back(first, second, asked):
    answer, events = answered(first, asked)
    before = Said.of(events).parts
    received = {call.id for call in answer.calls}
    if answer.repair_reason():
        done = answer.apply_repair(answered(second, asked)[0])
        assert not done or answer.repair_reason() in {"", INVALID, UNREADABLE}
    events += answer.release_held()
    Said.of(events)
    calls = {event.id for event in events if isinstance(event, ToolCallStart)}
    assert received <= calls
    assert asked.parameters.parallel_tool_calls or len(calls) <= 1
    assert all(part in Said.of(events).parts for part in before if isinstance(part, tuple))


STRICT = Tool("save", "", {**SCHEMA, "additionalProperties": False}, strict=True)
VALID, INCOMPLETE, EXTENDED = (
    block(arguments, "save") for arguments in ('{"city": "Recife"}', '{"n": 1}', '{"city": "a", "x": 1}')
)


@pytest.mark.parametrize(("first", "reason"), [(INCOMPLETE, "'city' is a required property"), (EXTENDED, "'x'")])
def test_arguments_of_a_strict_tool_are_repaired_with_the_reason(first: str, reason: str) -> None:
    asked = request(STRICT, *TOOLS)
    answer, events = answered(f"Um.\n{first}", asked)
    assert Said.of(events).tidy() == ["Um."]
    assert answer.repair_reason() == INVALID_ARGUMENTS
    assert "\nsave: $" in answer.repair_instruction()
    assert reason in answer.repair_instruction()
    assert mended(f"Um.\n{first}", VALID, asked) == (True, ["Um.", ("save", {"city": "Recife"})])


@pytest.mark.parametrize("choice", ["auto", "required", "save"])
@pytest.mark.parametrize("second", ["", "No.", INCOMPLETE, EXTENDED])
def test_arguments_of_a_strict_tool_that_stay_invalid_go_out_as_the_agent_wrote_them(second: str, choice: str) -> None:
    asked = request(STRICT, *TOOLS, choice=choice)
    assert mended(INCOMPLETE, second, asked) == (False, [("save", {"n": 1})])


@pytest.mark.parametrize(
    ("schema", "arguments", "faulty"),
    [
        (SCHEMA, '{"city": "a", "x": 1}', True),
        ({**SCHEMA, "additionalProperties": True}, '{"city": "a", "x": 1}', False),
        ({"properties": {"a": SCHEMA}}, '{"a": {"city": "a", "x": 1}}', True),
        ({"properties": {"a": {"items": SCHEMA}}}, '{"a": [{"city": "a", "x": 1}]}', True),
        ({"properties": {"properties": SCHEMA}}, '{"properties": {"city": "a"}}', False),
        ({"properties": {"properties": {}, "additionalProperties": {}}}, '{"additionalProperties": 1}', False),
        ({"properties": {"default": SCHEMA}}, '{"default": {"city": "a", "x": 1}}', True),
        ({"properties": {"a": {"default": {"properties": {}}}}}, '{"a": {"x": 1}}', False),
        ({"properties": {"a": {}}, "allOf": [{"required": ["b"]}]}, '{"a": 1, "b": 2}', False),
        ({}, '{"x": 1}', False),
    ],
)
def test_a_strict_tool_takes_no_undeclared_argument(schema: dict[str, Any], arguments: str, faulty: bool) -> None:
    asked = request(replace(STRICT, parameters=schema))
    assert answered(block(arguments, "save"), asked)[0].repair_reason() == (INVALID_ARGUMENTS if faulty else "")


def test_valid_arguments_of_a_strict_tool_need_no_repair() -> None:
    answer, events = answered(VALID, request(STRICT))
    assert (answer.repair_reason(), Said.of(events).tidy()) == ("", [("save", {"city": "Recife"})])


def test_without_strict_arguments_are_not_held_against_the_schema() -> None:
    asked = request(replace(STRICT, strict=False))
    assert answered(INCOMPLETE, asked)[0].repair_reason() == ""


def test_only_a_tool_that_says_so_is_strict() -> None:
    function = {"name": "a", "parameters": {}}
    for written, strict in ((True, True), (False, False), (None, False), ("yes", False)):
        tools = [{"type": "function", "function": {**function, "strict": written}}]
        (tool,) = ChatRequest.from_openai([USER], {"tools": tools}).tools
        assert tool.strict is strict
