"""An approved MCP call is made once, whatever happens to the requests and processes that make it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from custom_handler.errors import ApprovedCallRuns, RequestError, ResponseStoreUnavailable
from custom_handler.history import approved_calls as module
from custom_handler.history.approved_calls import LEASE, ApprovedCall, ApprovedCalls, CallNotMade
from custom_handler.history.history import ResponseHistory
from custom_handler.history.store import ResponseStore, StoreFailed
from custom_handler.request.mcp_outcome import Outcome
from tests.history.conftest import KEEP
from tests.support.clock import Clock

CALL = ApprovedCall("a", "mcpr_1", "ledger-pay", '{"to":"ana"}')
LIMIT = 500


class Tool:
    """A tool that counts its calls, and answers when it may."""

    def __init__(self) -> None:
        self.calls = 0
        self.began, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_end.set()

    async def run(self) -> Outcome:
        self.calls += 1
        number = self.calls
        self.began.set()
        await self.may_end.wait()
        return Outcome(f"paid {number}")


@pytest.fixture
def tool() -> Tool:
    return Tool()


Open = Callable[[], ApprovedCalls]


@pytest.fixture
def process(open_store: Callable[[], ResponseStore], clock: Clock) -> Open:
    """Start one of the processes that share the store."""

    def start() -> ApprovedCalls:
        store = open_store()
        return ApprovedCalls(store, ResponseHistory(store, LIMIT)._run, LIMIT, clock)

    return start


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL", 0.001)


async def started(calls: ApprovedCalls, tool: Tool, call: ApprovedCall = CALL) -> asyncio.Task[Outcome]:
    task = asyncio.create_task(calls.once(call, tool.run))
    await tool.began.wait()
    return task


async def test_an_approval_that_is_sent_again_has_the_first_outcome(process: Open, tool: Tool) -> None:
    first, other = process(), process()
    outcomes = [await calls.once(CALL, tool.run) for calls in (first, first, other)]
    assert (outcomes, tool.calls) == ([Outcome("paid 1")] * 3, 1)


async def test_other_keys_and_approvals_have_calls_of_their_own(process: Open, tool: Tool) -> None:
    calls = process()
    for call in (CALL, replace(CALL, owner="b"), replace(CALL, approval="mcpr_2"), replace(CALL, approval="é\ud800")):
        await calls.once(call, tool.run)
    assert tool.calls == 4


async def test_a_failure_of_the_tool_is_an_outcome_too(process: Open) -> None:
    failed = Outcome.failed("no account")

    async def fail() -> Outcome:
        return failed

    assert await process().once(CALL, fail) == failed
    assert await process().once(CALL, Tool().run) == failed


@pytest.mark.parametrize("same_process", [True, False])
async def test_of_two_at_a_time_one_makes_the_call(process: Open, tool: Tool, same_process: bool) -> None:
    tool.may_end.clear()
    calls = process()
    first = await started(calls, tool)
    second = asyncio.create_task((calls if same_process else process()).once(CALL, tool.run))
    await asyncio.sleep(0.05)
    assert not second.done()
    tool.may_end.set()
    assert [await first, await second] == [Outcome("paid 1")] * 2
    assert tool.calls == 1


async def test_the_other_process_waits_for_a_limited_time(
    process: Open, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT", 0.01)
    tool.may_end.clear()
    first = await started(process(), tool)
    with pytest.raises(ApprovedCallRuns, match="an earlier request with this approval has started the call") as raised:
        await process().once(CALL, tool.run)
    assert (raised.value.status_code, raised.value.retry_after) == (409, 5.0)
    tool.may_end.set()
    assert await first == Outcome("paid 1")


async def test_a_client_that_leaves_stops_no_call(process: Open, tool: Tool) -> None:
    tool.may_end.clear()
    calls = process()
    first = await started(calls, tool)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(calls.once(CALL, tool.run))
    await asyncio.sleep(0.01)
    tool.may_end.set()
    assert (await second, tool.calls) == (Outcome("paid 1"), 1)


async def test_a_process_that_stopped_leaves_it_unknown_and_the_call_is_not_made_again(
    process: Open, tool: Tool, clock: Clock
) -> None:
    tool.may_end.clear()
    stopped = process()
    await started(stopped, tool)
    for task in list(stopped._running.values()):
        task.cancel()
    clock.now += LEASE + 1
    outcome = await process().once(CALL, tool.run)
    assert outcome.fields()["status"] == "failed"
    assert "it is unknown whether the tool has run" in str(outcome.error)
    assert tool.calls == 1


async def test_a_long_call_renews_its_lease(
    process: Open, tool: Tool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE", 0.01)
    tool.may_end.clear()
    calls, renewed = process(), asyncio.Event()
    renew = calls._renew_lease

    async def renew_lease(call: ApprovedCall) -> None:
        monkeypatch.setattr(module, "LEASE", LEASE)  # of this renewal: until the test's clock has passed that
        await renew(call)
        renewed.set()

    monkeypatch.setattr(calls, "_renew_lease", renew_lease)
    first = await started(calls, tool)
    await renewed.wait()
    clock.now += LEASE - 1
    second = asyncio.create_task(process().once(CALL, tool.run))
    await asyncio.sleep(0.05)
    tool.may_end.set()
    assert [await first, await second] == [Outcome("paid 1")] * 2


async def test_a_call_that_ends_while_its_lease_is_read_has_an_outcome(
    process: Open, tool: Tool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool.may_end.clear()
    first, other = await started(process(), tool), process()
    clock.now += LEASE + 1
    is_leased = other._is_leased

    async def read_after_the_end(call: ApprovedCall, until: float) -> bool:
        tool.may_end.set()
        await first
        return await is_leased(call, until)

    monkeypatch.setattr(other, "_is_leased", read_after_the_end)
    assert await other.once(CALL, tool.run) == Outcome("paid 1")


async def test_an_outcome_is_kept_for_a_time(process: Open, tool: Tool, clock: Clock) -> None:
    await process().once(CALL, tool.run)
    clock.now += KEEP - 1
    assert await process().once(CALL, tool.run) == Outcome("paid 1")


@pytest.mark.parametrize(
    ("call", "text", "reason"),
    [(replace(CALL, kept=False), "paid", "store: false"), (CALL, "x" * LIMIT, "larger than RESPONSES_MAX_BYTES")],
)
async def test_what_is_not_stored_is_known_to_be_made(
    process: Open, tool: Tool, call: ApprovedCall, text: str, reason: str
) -> None:
    async def run() -> Outcome:
        return Outcome(text)

    assert await process().once(call, run) == Outcome(text)
    again = await process().once(call, tool.run)
    assert (reason in str(again.error), "was not made again" in str(again.error), tool.calls) == (True, True, 0)


async def test_a_call_that_is_not_made_can_be_made_later(process: Open, tool: Tool) -> None:
    async def refuse() -> Outcome:
        raise CallNotMade(Outcome.refused("not offered"))

    assert await process().once(CALL, refuse) == Outcome.refused("not offered")
    assert await process().once(CALL, tool.run) == Outcome("paid 1")


async def test_an_approval_is_of_one_call(process: Open, tool: Tool) -> None:
    await process().once(CALL, tool.run)
    with pytest.raises(RequestError, match="was the approval of another call before") as raised:
        await process().once(replace(CALL, arguments='{"to":"rui"}'), tool.run)
    assert (raised.value.param, tool.calls) == ("input", 1)


async def test_the_deletion_of_a_response_deletes_the_outcome_only(
    open_store: Callable[[], ResponseStore], tool: Tool
) -> None:
    store = open_store()
    history = ResponseHistory(store, LIMIT)
    outcome = await history.approved_calls.once(CALL, tool.run)
    item = {"type": "mcp_call", "id": "mcp_1", "approval_request_id": CALL.approval, **outcome.fields()}
    await history.keep(await history.resolve("a", {"input": "Oi"}), {"id": "r1", "output": [item]})
    await history.delete("a", "r1")
    again = await history.approved_calls.once(CALL, tool.run)
    assert (again.output, "its response was deleted" in str(again.error), tool.calls) == (None, True, 1)


class Broken:
    """A store whose calls fail."""

    def claim(self, *_: object) -> None:
        raise StoreFailed("OperationalError")

    put = get = items = delete = close = claim


async def test_without_the_store_the_call_is_not_made(tool: Tool) -> None:
    calls = ResponseHistory(Broken(), LIMIT).approved_calls
    with pytest.raises(ResponseStoreUnavailable, match="so the approved call was not made"):
        await calls.once(CALL, tool.run)
    assert tool.calls == 0


async def test_a_store_that_fails_meanwhile_costs_no_answer(
    open_store: Callable[[], ResponseStore], tool: Tool, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store()
    run_on_store = ResponseHistory(store, LIMIT)._run
    fails = False

    async def on_store(command: Callable[[], object]) -> object:
        if fails:
            raise ResponseStoreUnavailable("locked")
        return await run_on_store(command)

    async def run() -> Outcome:
        nonlocal fails
        fails = True
        return await tool.run()

    calls = ApprovedCalls(store, on_store, LIMIT, clock)
    assert await calls.once(CALL, run) == Outcome("paid 1")
    assert "The outcome of an approved MCP call could not be kept" in caplog.text
    fails = False
    clock.now += LEASE + 1
    assert "unknown whether the tool has run" in str((await calls.once(CALL, run)).error)
