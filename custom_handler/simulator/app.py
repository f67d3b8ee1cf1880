"""The endpoints of StackSpot's hosts.

A chat request is refused in this order: 401 token, 429 account limit, 404 agent, 400 body, 404
upload. A refused request consumes no scripted response; at the token endpoint, only a form that
cannot be read is refused before that.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from .agent import reply_to
from .choice import check_choice
from .conversations import Conversations, count_characters
from .knowledge import check_knowledge, find_sources
from .openai_api import CompletionWriter, read_completion
from .quick_commands import QuickCommands, send_scripted
from .request_log import Recorder
from .responses import Question, ResponseWriter, fail, send_http_response
from .rest import rest_of, split_prompt
from .scripted import ScriptedResponse, take_script
from .slips import slip
from .tokens import TokenIssuer, find_account, read_form, token_body
from .uploads import Uploads, read_form_data
from .wire import RefusedError, count_tokens, error_body, html_page, is_ulid, new_ulid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .exchange import Exchange
    from .settings import SimulatorSettings

    Replies = Callable[[str], str | None]

A_MINUTE = 60
CHAT_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "user_prompt": str,
    "streaming": bool,
    "stackspot_knowledge": bool,
    "return_ks_in_response": bool,
    "use_conversation": bool,
    "conversation_id": (str, type(None)),
    "upload_ids": list,
    "knowledge_source_ids": list,
    "deep_search_ks": bool,
    "agent_version_number": int,
    "selected_model": (str, type(None)),
}
# Fields that other projects use, but the official documentation does not name.
UNDOCUMENTED = frozenset({"knowledge_source_ids", "agent_version_number", "selected_model"})


class SimulatorApp:
    """The state and the endpoints of the accounts; `clock` returns seconds since the epoch.

    `replies` returns the reply to a prompt, or None for that of the default agent.
    """

    def __init__(self, settings: SimulatorSettings, clock: Callable[[], float], replies: Replies | None = None) -> None:
        self.settings = settings
        self.scripts: list[ScriptedResponse] = []
        self.recorder = Recorder()
        self.issuer = TokenIssuer(clock)
        self.uploads = Uploads()
        self.conversations = Conversations()
        self.executions = QuickCommands(lambda text: self._reply(text).text or "")
        self.request_times: defaultdict[str, deque[float]] = defaultdict(deque)  # by client id
        self._clock = clock
        self._replies = replies

    async def token(self, exchange: Exchange) -> None:
        """Issue a token for an account's credentials."""
        self.recorder.counters.token_requests += 1
        request = exchange.request
        form = read_form(request.content_type, await request.read())
        exchange.record.body = {name: value for name, value in form.items() if name != "client_secret"}
        scripted = take_script(self.scripts, "token", form.get("client_id", "")) or ScriptedResponse(at="token")
        await exchange.pause(scripted.delay_headers + (scripted.delay_first or 0))
        if scripted.fault is not None:
            await fail(exchange, scripted)
        elif scripted.html or scripted.empty:
            page = html_page(f"{scripted.status or 401} Authorization Required") if scripted.html else ""
            await exchange.send(scripted.status or 401, page, scripted.headers)
        elif scripted.is_http_response:
            await send_http_response(exchange, scripted)
        else:
            account = find_account(self.settings, request.match_info["realm"], form)
            exchange.record.account = account.client_id
            self.recorder.counters.tokens_issued += 1
            lifetime = self.settings.token_lifetime
            body = token_body(self.issuer.issue(account, lifetime, scripted.token), lifetime)
            if scripted.expires_in == "missing":
                del body["expires_in"]
            elif scripted.sets("expires_in"):
                body["expires_in"] = scripted.expires_in
            await exchange.send(scripted.status or 200, body, scripted.headers)

    async def chat(self, exchange: Exchange) -> None:
        """Reply to a prompt: scripted, or by the default agent."""
        self.recorder.counters.chat_requests += 1
        record = exchange.record
        agent = record.agent_id = exchange.request.match_info["agent_id"]
        account = self._check_agent(exchange, agent)
        body = await self._read_chat(exchange, account)
        prompt, conversation, exchanges = record.prompt, None, []
        if body.get("use_conversation"):
            conversation = self._conversation_id(account, agent, body.get("conversation_id"))
            exchanges = self.conversations.open(account, agent, conversation)
        before = count_characters(exchanges)
        self._check_length(prompt, before)
        scripted = take_script(self.scripts, "chat", prompt) or self._reply(prompt, exchanges)
        sources = find_sources(body, self.settings.knowledge_sources)
        streaming = bool(body.get("streaming"))
        question = Question(prompt, streaming, new_ulid(self._clock()), conversation, before, sources)
        writer = ResponseWriter(exchange, scripted, question, self.settings)
        await writer.write()
        if record.status == 200:
            exchanges.append((prompt, writer.text))

    async def completion(self, exchange: Exchange) -> None:
        """Reply to a chat completion request, for any API key."""
        self.recorder.counters.chat_requests += 1
        try:
            question = read_completion(await exchange.read_object(), new_ulid(self._clock()))
        except ValueError as error:
            problem = {"message": str(error), "type": "invalid_request_error", "param": None, "code": None}
            raise RefusedError(400, {"error": problem}) from None
        prompt = question.prompt
        exchange.record.prompt, exchange.record.characters = prompt, len(prompt)
        scripted = take_script(self.scripts, "chat", prompt) or self._reply(prompt)
        await CompletionWriter(exchange, scripted, question, self.settings).write()

    async def agents(self, exchange: Exchange) -> None:
        """List the account's agents: a bare list on /v1, pages of `items` on /v4."""
        exchange.record.account = account = self._authenticate(exchange)
        request = exchange.request
        query = request.query
        if (scripted := take_script(self.scripts, "agents", request.path_qs)) is not None:
            await exchange.pause(scripted.delay_headers)
            await send_http_response(exchange, scripted)
            return
        visibility = query.get("visibility") or query.get("visibility_list") or "personal"
        items = [
            agent.model_dump(exclude={"visibility", "client_id"}, exclude_none=True)
            for agent in self.settings.agents
            if agent.visibility == visibility and agent.client_id in {None, account}
        ]
        if request.path.startswith("/v1/"):
            await exchange.send(200, items)
        else:
            page, size = int(query.get("page", 1)), int(query.get("size", 10))
            await exchange.send(200, {"items": items[(page - 1) * size : page * size]})

    async def create_execution(self, exchange: Exchange) -> None:
        """Start an execution of a Quick Command."""
        account, slug = self._authenticate(exchange), exchange.request.match_info["slug"]
        try:
            exchange.record.body = body = await exchange.read_object()
        except ValueError as error:
            raise RefusedError(400, error_body("INVALID_REQUEST", str(error))) from None
        given = body.get("input_data")
        exchange.record.prompt = given if isinstance(given, str) else ""
        if not await send_scripted(exchange, self.scripts, "execution", slug):
            await exchange.send(200, self.executions.create(self.settings, slug, body, self._clock(), account))

    async def poll_execution(self, exchange: Exchange) -> None:
        """Report the state of an execution."""
        account, identifier = self._authenticate(exchange), exchange.request.match_info["execution_id"]
        if not await send_scripted(exchange, self.scripts, "callback", identifier):
            cached = "nocache" not in exchange.request.query
            await exchange.send(200, self.executions.report(identifier, account, cached=cached))

    def _reply(self, prompt: str, exchanges: Sequence[tuple[str, str]] = ()) -> ScriptedResponse:
        prompt, said = split_prompt(prompt) or (prompt, None)
        text = (self._replies(prompt) if self._replies else None) or reply_to(prompt, exchanges)
        text = slip(text, prompt, self.settings.slip_rate)
        if said is not None:
            return ScriptedResponse(text=rest_of(text, said, self.settings.rest))
        if self.settings.break_after is None:
            return ScriptedResponse(text=text)
        return ScriptedResponse(text=text, fault="close_within", after=self.settings.break_after)

    async def upload_form(self, exchange: Exchange) -> None:
        """Issue the form with which a file is posted."""
        account = self._authenticate(exchange)
        try:
            exchange.record.body = wanted = await exchange.read_object()
            scripted = take_script(self.scripts, "upload", str(wanted.get("file_name")))
            if scripted is None:
                request = exchange.request
                origin = f"{request.scheme}://{request.host}"
                form = self.uploads.create_form(wanted, new_ulid(self._clock()), origin, account)
        except ValueError as error:
            raise RefusedError(400, error_body("INVALID_REQUEST", str(error), "DATA_INTEGRATION")) from None
        if scripted is None:
            await exchange.send(200, form)
        else:
            await exchange.pause(scripted.delay_headers)
            await send_http_response(exchange, scripted)

    async def upload(self, exchange: Exchange) -> None:
        """Store a posted file."""
        request = exchange.request
        fields = await read_form_data(request)
        if (scripted := take_script(self.scripts, "storage", request.path)) is not None:
            await exchange.pause(scripted.delay_headers)
            await send_http_response(exchange, scripted)
        else:
            upload_id, authorized = request.match_info["upload_id"], bool(exchange.authorization)
            self.uploads.store(upload_id, fields, authorized=authorized)
            await exchange.send(204, "")

    def _authenticate(self, exchange: Exchange) -> str:
        """Return the client id of the request's account."""
        client = self.issuer.find_client(exchange.authorization)
        if client is None:
            self.recorder.counters.unauthorized += 1
            details = "Missing, invalid or expired token."
            raise RefusedError(401, error_body("UNAUTHORIZED", details, "AUTHENTICATION"))
        exchange.record.account = client
        return client

    def _check_agent(self, exchange: Exchange, agent: str) -> str:
        account = self._authenticate(exchange)
        self._count_request(account)
        if not is_ulid(agent):
            raise RefusedError(404, error_body("AGENT_NOT_FOUND", f"Agent {agent} not found.", "NOT_FOUND"))
        return account

    def _count_request(self, account: str) -> None:
        limits = {one.client_id: one.requests_per_minute for one in self.settings.accounts()}
        limit, now, times = limits.get(account), self._clock(), self.request_times[account]
        if limit is None:
            return
        while times and now - times[0] >= A_MINUTE:
            times.popleft()
        if len(times) >= limit:
            self.recorder.counters.rate_limited += 1
            details = "Rate limit exceeded for this account."
            raise RefusedError(429, error_body("INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED", details))
        times.append(now)

    async def _read_chat(self, exchange: Exchange, account: str) -> dict[str, Any]:
        record = exchange.record
        try:
            body = await exchange.read_object()
            prompt = body.get("user_prompt")
            record.prompt = prompt if isinstance(prompt, str) else ""
            record.characters = len(record.prompt)
            record.body = {name: value for name, value in body.items() if name != "user_prompt"}
            _check_fields(body)
        except ValueError as error:
            raise RefusedError(400, error_body("INFERENCE_4000_INVALID_REQUEST", str(error))) from None
        if self.settings.documented_fields_only and (unknown := UNDOCUMENTED & body.keys()):
            details = f"Extra inputs are not permitted: {', '.join(sorted(unknown))}"
            raise RefusedError(422, error_body("INFERENCE_4220_UNKNOWN_FIELD", details))
        check_knowledge(body, self.settings.knowledge_sources)
        check_choice(body, self.settings)
        if missing := self.uploads.find_missing(body.get("upload_ids", ()), account):
            raise RefusedError(404, error_body("UPLOAD_NOT_FOUND", f"Upload {missing} not found.", "NOT_FOUND"))
        return body

    def _check_length(self, prompt: str, characters_before: int) -> None:
        limit, tokens = self.settings.token_limit, count_tokens(prompt, characters_before)
        if tokens > limit:
            details = (
                f"Input tokens exceed the configured limit of {limit} tokens. "
                f"Your messages resulted in {tokens} tokens. Please reduce the length of the messages."
            )
            raise RefusedError(400, error_body("INFERENCE_6001_LLM_MODEL_BAD_REQUEST", details))

    def _conversation_id(self, account: str, agent: str, given: object) -> str:
        """Return the id of the conversation that a request continues or begins."""
        identifier = str(given) if is_ulid(given) else new_ulid(self._clock())
        if not self.conversations.is_lost(account, agent, identifier) or self.settings.lost_conversation == "silent":
            return identifier
        if self.settings.lost_conversation == "refused":
            raise RefusedError(404, error_body("CONVERSATION_NOT_FOUND", "Conversation not found.", "NOT_FOUND"))
        return new_ulid(self._clock())


def _check_fields(body: Mapping[str, Any]) -> None:
    for name, kind in CHAT_FIELDS.items():
        if name in body and not isinstance(body[name], kind):
            raise ValueError(f"{name} has a wrong type")
    if not body.get("user_prompt"):
        raise ValueError("user_prompt must not be empty")
