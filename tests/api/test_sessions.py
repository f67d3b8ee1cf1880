"""What the conversations of a socket remember."""

from __future__ import annotations

from custom_handler.api.sessions import SESSIONS, Bounds, Sessions


def said(sessions: Sessions, name: str) -> list[str]:
    return [message["content"] for message in sessions[name].ask("now")]


def test_a_question_is_asked_after_what_was_said_before():
    session = Sessions(Bounds(10, 1000))["s"]
    session.keep("q", "a")
    assert session.ask("now") == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "now"},
    ]


def test_of_more_turns_than_the_bound_the_oldest_are_forgotten():
    sessions = Sessions(Bounds(2, 1000))
    for number in range(4):
        sessions["s"].keep(f"q{number}", f"a{number}")
    assert said(sessions, "s") == ["q2", "a2", "q3", "a3", "now"]


def test_of_more_bytes_than_the_bound_the_oldest_turns_are_forgotten():
    sessions = Sessions(Bounds(10, 8))
    sessions["s"].keep("é", "é")
    sessions["s"].keep("é", "é")
    assert said(sessions, "s") == ["é", "é", "é", "é", "now"]
    sessions["s"].keep("b", "c")
    assert said(sessions, "s") == ["é", "é", "b", "c", "now"]
    sessions["s"].keep("too long", "by itself")
    assert said(sessions, "s") == ["now"]


def test_sessions_are_apart_and_each_has_its_correlation_id():
    sessions = Sessions(Bounds(10, 1000))
    sessions["a"].keep("q", "a")
    assert said(sessions, "b") == ["now"]
    assert sessions["a"].correlation_id == sessions["a"].correlation_id != sessions["b"].correlation_id


def test_a_correlation_id_of_the_clients_is_that_of_all_its_sessions():
    sessions = Sessions(Bounds(10, 1000), "mine")
    assert [sessions[name].correlation_id for name in "ab"] == ["mine", "mine"]


def test_of_too_many_sessions_the_one_longest_unused_is_forgotten():
    sessions = Sessions(Bounds(10, 1000))
    for number in range(SESSIONS):
        sessions[str(number)].keep("q", "a")
    assert len(said(sessions, "0")) == 3
    sessions["another"].keep("q", "a")
    assert len(said(sessions, "0")) == 3
    assert said(sessions, "1") == ["now"]
