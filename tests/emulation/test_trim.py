"""A conversation that is too long: what goes first, and what never goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_handler.emulation.prompt.render import render
from custom_handler.emulation.prompt.transcript import TranscriptEntry
from custom_handler.emulation.prompt.trim import SHORTEST_RESULT, trim
from custom_handler.errors import PromptTooLong
from custom_handler.request.chat_request import ChatRequest, Tool

LONG = 10_000


def user(text: str) -> TranscriptEntry:
    return TranscriptEntry("user", "user", text)


def assistant(text: str) -> TranscriptEntry:
    return TranscriptEntry("assistant", "assistant", text)


def result(text: str) -> TranscriptEntry:
    return TranscriptEntry("result", "tool result id=1", text)


def length(entries: list[TranscriptEntry]) -> int:
    return len("\n\n".join(map(str, entries)))


def bodies(entries: list[TranscriptEntry]) -> list[str]:
    return [entry.body for entry in entries]


TALK = [user("a" * 500), assistant("b" * 500), user("c" * 500), assistant("d" * 500), user("question")]


def test_what_fits_stays_as_it_is():
    assert trim(TALK, 10_000) == TALK


def test_the_oldest_turns_are_replaced_by_a_note_with_their_count():
    note, *kept = trim(TALK, 1300)
    assert kept == TALK[3:] or kept == TALK[2:]
    assert (note.role, note.label) == ("note", "note")
    assert note.body.startswith(f"{len(TALK) - len(kept)} older messages are left out")


def test_the_last_question_stays_when_all_else_goes():
    note, question = trim(TALK, 200)
    assert (note.role, question) == ("note", TALK[-1])


def test_system_texts_stay_when_the_turns_around_them_go():
    later = TranscriptEntry("system", "system", "Answer in English." * 10)
    talk = [user("a" * 500), later, assistant("b" * 500), user("question")]
    note, *kept = trim(talk, 400)
    assert kept == [later, talk[-1]]
    assert note.body.startswith("2 older messages")
    assert length([note, *kept]) <= 400


def test_no_more_goes_than_has_to():
    kept = trim([user(str(n) * 100) for n in range(10)], 900)
    assert 5 <= len(kept[1:]) <= 7
    assert length(kept) <= 900


def test_a_result_goes_with_its_call():
    talk = [user("a"), assistant("call"), result("b" * 500), result("c" * 500), user("question")]
    assert [entry.role for entry in trim(talk, 600)] == ["note", "user"]


def test_the_largest_results_lose_their_middle_all_to_one_length():
    talk = [user("question"), assistant("calls"), result("A" * LONG + "Z"), result("B" * LONG * 2), result("c" * 3000)]
    kept = trim(talk, 14_000)
    assert length(kept) <= 14_000
    _, _, first, second, third = bodies(kept)
    assert third == "c" * 3000
    assert abs(len(first) - len(second)) <= 1
    assert first.startswith("AAA")
    assert first.endswith("AAZ")
    assert "characters left out" in first


def test_no_result_is_cut_shorter_than_it_is_of_use():
    talk = [user("question"), assistant("call"), result("x" * LONG)]
    assert SHORTEST_RESULT - 100 <= len(trim(talk, 2056)[-1].body) <= SHORTEST_RESULT
    with pytest.raises(PromptTooLong):
        trim(talk, 1500)


def test_in_a_long_task_steps_after_the_question_are_dropped():
    talk = [user("question")]
    for n in range(50):
        talk += [assistant(f"call {n}"), result(str(n) * 500)]
    kept = trim(talk, 5000)
    assert length(kept) <= 5000
    assert (kept[0], kept[1].role) == (talk[0], "note")
    assert kept[-2:] == talk[-2:]
    assert [entry.role for entry in kept[2:]] == ["assistant", "result"] * (len(kept[2:]) // 2)


def test_the_error_of_a_too_long_prompt_names_the_excess():
    with pytest.raises(PromptTooLong, match=r"exceed the limit by \d+ characters.*STACKSPOT_MAX_PROMPT_CHARS"):
        trim([user("x" * 1000)], 500)


def test_nothing_is_too_long_for_no_room_at_all():
    with pytest.raises(PromptTooLong):
        trim([], -1)
    assert trim([], 0) == []


TURNS = st.builds(
    lambda role, size: TranscriptEntry(role, role, role[0] * size),
    st.sampled_from(["user", "assistant", "result", "result"]),
    st.integers(0, 4000) | st.integers(0, 40),
)


@given(st.lists(TURNS, max_size=12), st.integers(-100, 12_000))
def test_every_conversation_fits_or_is_rejected(talk, room):
    question = next((entry for entry in reversed(talk) if entry.role == "user"), None)
    try:
        kept = trim(talk, room)
    except PromptTooLong:
        # Nothing is refused that is as short as it may become.
        least = sum(
            min(len(entry.body), SHORTEST_RESULT) if entry.role == "result" else len(entry.body) for entry in talk
        )
        assert room < least + 40 * len(talk)
        return
    assert length(kept) <= max(room, 0)
    assert question is None or question in kept
    assert talk[-1:] == kept[-1:] or talk[-1].role == "result"
    rest = iter(talk)
    assert all(entry in rest for entry in kept if entry.role not in {"note", "result"})


@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "assistant", "tool"]), "content": st.text(max_size=200)}
        ),
        max_size=8,
    ),
    st.text(max_size=50),
    st.booleans(),
    st.integers(0, 3000),
)
def test_no_prompt_is_longer_than_its_limit(messages, system, tools, limit):
    asked = ChatRequest([{"role": "system", "content": system}, *messages], (Tool("a", "b", {}),) if tools else ())
    try:
        prompt = render(asked, limit=limit)
    except PromptTooLong:
        assert len(render(asked)) > limit - 120
        return
    assert len(prompt) <= limit
    assert system in prompt
    assert ("«tools»" in prompt) or not tools
