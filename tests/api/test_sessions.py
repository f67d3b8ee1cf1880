"""The history of the sessions of a WebSocket."""

from __future__ import annotations

from custom_handler.api.sessions import MAX_SESSIONS, HistoryLimits, Sessions


def contents(sessions: Sessions, name: str) -> list[str]:
    return [message["content"] for message in sessions[name].messages("now")]


def test_the_messages_are_the_history_and_the_question():
    session = Sessions(HistoryLimits(10, 1000))["s"]
    session.add_turn("q", "a")
    assert session.messages("now") == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "now"},
    ]


def test_the_oldest_turns_beyond_the_limit_are_dropped():
    sessions = Sessions(HistoryLimits(2, 1000))
    for number in range(4):
        sessions["s"].add_turn(f"q{number}", f"a{number}")
    assert contents(sessions, "s") == ["q2", "a2", "q3", "a3", "now"]


def test_the_oldest_turns_beyond_the_limit_of_bytes_are_dropped():
    sessions = Sessions(HistoryLimits(10, 8))
    sessions["s"].add_turn("é", "é")
    sessions["s"].add_turn("é", "é")
    assert contents(sessions, "s") == ["é", "é", "é", "é", "now"]
    sessions["s"].add_turn("b", "c")
    assert contents(sessions, "s") == ["é", "é", "b", "c", "now"]
    sessions["s"].add_turn("too long", "by itself")
    assert contents(sessions, "s") == ["now"]


def test_each_session_has_its_history_and_correlation_id():
    sessions = Sessions(HistoryLimits(10, 1000))
    sessions["a"].add_turn("q", "a")
    assert contents(sessions, "b") == ["now"]
    assert sessions["a"].correlation_id == sessions["a"].correlation_id != sessions["b"].correlation_id


def test_the_clients_correlation_id_is_that_of_all_its_sessions():
    sessions = Sessions(HistoryLimits(10, 1000), "mine")
    assert [sessions[name].correlation_id for name in "ab"] == ["mine", "mine"]


def test_the_least_recently_used_session_is_dropped():
    sessions = Sessions(HistoryLimits(10, 1000))
    for number in range(MAX_SESSIONS):
        sessions[str(number)].add_turn("q", "a")
    assert len(contents(sessions, "0")) == 3
    sessions["another"].add_turn("q", "a")
    assert len(contents(sessions, "0")) == 3
    assert contents(sessions, "1") == ["now"]
