"""The simulator's settings, which can be changed while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from .rest import Manner

if TYPE_CHECKING:
    from collections.abc import Mapping


class SimulatedAgent(BaseModel):
    """One agent of an account's list; the platform may leave a name or a slug out.

    `client_id` is that of the account, None: of every one.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    id: str
    name: str | None = None
    slug: str | None = None
    visibility: str = "personal"
    client_id: str | None = None


class SimulatedQuickCommand(BaseModel):
    """How the executions of one Quick Command go; `polls` are those that see it run.

    `id_form` and `result` are the shapes of the responses; a `null` result is in the last step
    only. `missing_polls` find no execution, `status` is the word at the end, and a
    `stuck` execution never starts. `shared`: with the account.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    shared: bool = True
    id_form: Literal["string", "object", "text"] = "string"
    result: Literal["string", "object", "null"] = "string"
    status: str = "COMPLETED"
    polls: int = 1
    missing_polls: int = 0
    stuck: bool = False
    progress: bool = True
    sources: list[Any] = []


class SimulatedAccount(BaseModel):
    """The credentials of one account, and its limit of requests a minute (None: no limit)."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    realm: str
    client_id: str
    client_secret: str
    requests_per_minute: int | None = None


class SimulatorSettings(BaseModel):
    """The accounts, their agents and limits, and the pace of replies; times are seconds."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    realm: str = "simulator"
    client_id: str = "simulator"
    client_secret: str = "simulator-secret"
    # Further accounts: each has its own tokens, limit, files and conversations.
    more_accounts: list[SimulatedAccount] = []
    token_lifetime: float = 1200
    # Longest prompt, in tokens of four characters.
    token_limit: int = 272_000
    # What the agent counts for a prompt: its tokens of four characters, times this, plus that.
    token_scale: float = 1
    token_offset: int = 0
    # The account's limit over all its agents; StackSpot's default is 100, None means no limit.
    requests_per_minute: int | None = None
    # StackSpot's gateway closes the connection when a reply that is not streamed takes longer.
    gateway_timeout: float = 120
    first_token_delay: float = 0.25
    # Time between two words, varied by 30 %.
    cadence: float = 0.03
    # Frames per write.
    burst: int = 1
    # The share of replies that the agent spoils, as weaker models do (`slips.py`).
    slip_rate: float = 0
    # Close the connection after so many words of a reply (None: never), and how the agent then
    # writes the rest that a further request asks for.
    break_after: int | None = None
    rest: Manner = "exact"
    # The response to a request that continues a lost conversation: a 404 ("refused"), a reply in a
    # "new" conversation, or a reply in the same one without its history ("silent").
    lost_conversation: Literal["new", "refused", "silent"] = "new"
    # The account's knowledge sources, by id; a request that asks for one of another id is refused.
    knowledge_sources: dict[str, str] = {
        "01KS0000000000000000000001": "Payments handbook",
        "01KS0000000000000000000002": "Guia de arquitetura",
    }
    # The models that every agent allows, and its versions; a request for another one is refused.
    agent_models: list[str] = ["gpt-5", "claude-sonnet-4.5"]
    agent_versions: list[int] = [1, 2, 3]
    # Refuse requests with fields that the official documentation does not name.
    documented_fields_only: bool = False

    # The account's Quick Commands, by slug.
    quick_commands: dict[str, SimulatedQuickCommand] = {
        "explain": SimulatedQuickCommand(),
        "private": SimulatedQuickCommand(shared=False),
        "review": SimulatedQuickCommand(
            id_form="object",
            result="null",
            polls=3,
            sources=[{"type": "knowledge_source", "name": "Payments handbook", "id": "01KS0000000000000000000001"}],
        ),
        "broken": SimulatedQuickCommand(status="FAILURE"),
        "total": SimulatedQuickCommand(id_form="text", result="object", missing_polls=1, progress=False),
    }

    # The account's agents. Chats reach any agent, as those of another list would.
    agents: list[SimulatedAgent] = [
        SimulatedAgent(id="01ARZ3NDEKTSV4RRFFQ69G5FAV", name="Assistente", slug="assistente"),
        SimulatedAgent(id="01ARZ3NDEKTSV4RRFFQ69G5FAW", name="Revisão de código", visibility="shared"),
    ]

    def accounts(self) -> list[SimulatedAccount]:
        """Return all accounts; the first is that of the settings themselves."""
        own = SimulatedAccount(
            realm=self.realm,
            client_id=self.client_id,
            client_secret=self.client_secret,
            requests_per_minute=self.requests_per_minute,
        )
        return [own, *self.more_accounts]

    def changed(self, values: Mapping[str, Any]) -> SimulatorSettings:
        """Return a copy with some `values` changed; raises ValueError for invalid ones."""
        return self.model_validate(self.model_dump() | dict(values))
