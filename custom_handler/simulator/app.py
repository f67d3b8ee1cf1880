"""The stand-in for StackSpot: reads a request, remembers it and decides its answer, without a network.

    POST /{realm}/oidc/oauth/token         a token for the account's credentials
    POST /v1/agent/{agent_id}/chat         an answer: a scripted play, else the default agent's reply
    POST /v2/file-upload/form              the permission to upload a file, and where
    POST /upload/{upload_id}               the file itself
    GET  /v1/agents                        the account's agents
    POST /v1/chat/completions              the same answers in OpenAI's words, for any key (`openai_api`)

Refusals of a chat come in this order: 401 token, 429 account limit, 404 and 403 agent, 400 body, 404 upload. A play
is consumed by a request that was not refused; at the token endpoint by one whose form can be read.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from .agent import reply_to
from .conversations import Conversation, Conversations, watched
from .errors import InvalidRequestError, RefusedError, TokenRefusedError
from .faults import TROUBLES
from .http_messages import Request, Response, check_chat, read_object
from .openai_api import OpenAIScore, read_completion, refuse_completion
from .request_log import Record, Recorder, hide_secret
from .responses import Question, ResponseWriter, answer_plainly, is_plain, pause, perform, perform_plainly
from .scripted import UNSET, ScriptedResponse, ScriptQueue
from .steps import HTML, Step, answer_bytes, answer_json
from .tokens import TokenIssuer, check_client, read_form, token_answer
from .uploads import Uploads
from .wire import (
    count_tokens,
    error_body,
    html_page,
    is_ulid,
    new_ulid,
    prompt_too_long,
    rate_limited,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .settings import SimulatorSettings

A_MINUTE = 60
DEFAULT_AGENT = "01K00000000000000000000000"


class SimulatorApp:
    """Both hosts of one account; `clock` tells seconds since the epoch, as time.time does."""

    def __init__(self, settings: SimulatorSettings, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.plays = ScriptQueue()
        self.recorder = Recorder()
        self.issuer = TokenIssuer(clock)
        self.uploads = Uploads()
        self.conversations = Conversations()
        self._clock = clock
        self._admitted: deque[float] = deque()

    def token(self, call: Request) -> Response:
        """Answer a token request."""
        self.recorder.counters.token_requests += 1
        record = self._remember("token", call)
        try:
            form = read_form(call.content_type, call.body)
        except TokenRefusedError as refused:
            return Response(answer_json(refused.status, refused.body), record)
        record.body = {name: value for name, value in form.items() if name != "client_secret"}
        play = self.plays.take("token", form.get("client_id", "")) or ScriptedResponse(at="token")
        return Response(self._token_steps(call.params["realm"], form, play), record)

    def chat(self, call: Request) -> Response:
        """Answer a chat request."""
        self.recorder.counters.chat_requests += 1
        record = self._remember("chat", call)
        record.agent_id = call.params["agent_id"]
        try:
            self._admit(call, record.agent_id)
            body = self._read_chat(call, record)
            conversation = self._conversation(record.agent_id, body)
        except RefusedError as refused:
            return Response(_refuse(refused), record)
        earlier = [(exchange.prompt, exchange.answer) for exchange in conversation.exchanges] if conversation else []
        play = self.plays.take("chat", record.prompt) or ScriptedResponse(text=reply_to(record.prompt, earlier))
        score = ResponseWriter(play, self._question(record.prompt, body, conversation), self.settings)
        if conversation is None:
            return Response(perform(score), record)
        return Response(watched(perform(score), lambda: conversation.remember(record.prompt, score.text)), record)

    def completion(self, call: Request) -> Response:
        """Answer a chat completion as the agent would, but in OpenAI's words."""
        self.recorder.counters.chat_requests += 1
        record = self._remember("chat", call)
        try:
            completion = read_completion(read_object(call), new_ulid(self._clock()))
        except InvalidRequestError as error:
            return Response(refuse_completion(str(error)), record)
        record.prompt = completion.prompt
        play = self.plays.take("chat", record.prompt) or ScriptedResponse(text=reply_to(record.prompt))
        return Response(perform(OpenAIScore(play, completion, self.settings)), record)

    def upload_form(self, call: Request) -> Response:
        """Answer the request for the permission to upload a file."""
        record = self._remember("upload", call)
        try:
            self._authenticate(call)
            record.body = wanted = read_object(call)
            if (play := self.plays.take("upload", str(wanted.get("file_name")))) is not None:
                return Response(perform_plainly(play), record)
            permission = self.uploads.permit(wanted, new_ulid(self._clock()), call.origin)
        except InvalidRequestError as error:
            return Response(answer_json(400, error_body("INVALID_REQUEST", str(error), "DATA_INTEGRATION")), record)
        except RefusedError as refused:
            return Response(_refuse(refused), record)
        return Response(answer_json(200, permission), record)

    def upload(self, call: Request) -> Response:
        """Take a file, as the storage behind the upload form does."""
        record = self._remember("storage", call)
        if (play := self.plays.take("storage", call.path)) is not None:
            return Response(perform_plainly(play), record)
        try:
            self.uploads.store(call)
        except RefusedError as refused:
            return Response(_refuse(refused), record)
        return Response(answer_plainly(ScriptedResponse(status=204)), record)

    def agents(self, call: Request) -> Response:
        """List the account's agents."""
        try:
            self._authenticate(call)
        except RefusedError as refused:
            return Response(_refuse(refused))
        known = self.settings.known_agents or (DEFAULT_AGENT,)
        return Response(answer_json(200, [_listed(agent, number) for number, agent in enumerate(known, 1)]))

    def forget_rate(self) -> None:
        """Start the account's minute anew."""
        self._admitted.clear()

    def _remember(self, at: str, call: Request) -> Record:
        headers = dict(call.headers)
        if call.authorization:
            headers["authorization"] = hide_secret(call.authorization)
        record = Record(at, call.path, headers, self._clock())
        self.recorder.add(record)
        return record

    def _token_steps(self, realm: str, form: dict[str, str], play: ScriptedResponse) -> Iterator[Step]:
        yield from pause(play.delay_headers + (play.delay_first or 0))
        if play.fault is not None:
            yield from TROUBLES[play.fault](play)
        elif play.html:
            status = play.status or 401
            page = html_page(status, "Authorization Required")
            yield from answer_bytes(status, page.encode(), HTML, play.headers)
        elif play.empty:
            yield from answer_plainly(ScriptedResponse(status=play.status or 401, headers=play.headers))
        elif is_plain(play):
            yield from answer_plainly(play)
        else:
            yield from self._grant(realm, form, play)

    def _grant(self, realm: str, form: dict[str, str], play: ScriptedResponse) -> Iterator[Step]:
        try:
            check_client(self.settings, realm, form)
        except TokenRefusedError as refused:
            return answer_json(refused.status, refused.body)
        self.recorder.counters.tokens_issued += 1
        body = token_answer(self.issuer.issue(self.settings, play.token), self.settings.token_lifetime)
        if play.expires_in == "missing":
            del body["expires_in"]
        elif play.expires_in is not UNSET:
            body["expires_in"] = play.expires_in
        return answer_json(play.status or 200, body, play.headers)

    def _authenticate(self, call: Request) -> None:
        if self.issuer.check(call.authorization) is None:
            self.recorder.counters.unauthorized += 1
            details = "Missing, invalid or expired token."
            raise RefusedError(401, error_body("UNAUTHORIZED", details, "AUTHENTICATION"))

    def _admit(self, call: Request, agent: str) -> None:
        self._authenticate(call)
        self._take_slot()
        known = self.settings.known_agents
        if not is_ulid(agent) or (known is not None and agent not in known):
            raise RefusedError(404, error_body("AGENT_NOT_FOUND", f"Agent {agent} not found.", "NOT_FOUND"))
        if agent in self.settings.forbidden_agents:
            raise RefusedError(403)

    def _take_slot(self) -> None:
        limit, now = self.settings.requests_per_minute, self._clock()
        if limit is None:
            return
        while self._admitted and now - self._admitted[0] >= A_MINUTE:
            self._admitted.popleft()
        if len(self._admitted) >= limit:
            self.recorder.counters.rate_limited += 1
            raise RefusedError(429, rate_limited())
        self._admitted.append(now)

    def _read_chat(self, call: Request, record: Record) -> dict[str, Any]:
        try:
            body = read_object(call)
            record.prompt = body["user_prompt"] if isinstance(body.get("user_prompt"), str) else ""
            record.characters = len(record.prompt)
            record.body = {name: value for name, value in body.items() if name != "user_prompt"}
            check_chat(body)
        except InvalidRequestError as error:
            raise RefusedError(400, error_body("INFERENCE_4000_INVALID_REQUEST", str(error))) from None
        if missing := self.uploads.missing(body.get("upload_ids", ())):
            raise RefusedError(404, error_body("UPLOAD_NOT_FOUND", f"Upload {missing[0]} not found.", "NOT_FOUND"))
        self._check_length(record.prompt)
        return body

    def _check_length(self, prompt: str, before: int = 0) -> None:
        tokens = count_tokens(prompt, before)
        if tokens > self.settings.token_limit:
            raise RefusedError(400, prompt_too_long(self.settings.token_limit, tokens))

    def _conversation(self, agent: str, body: dict[str, Any]) -> Conversation | None:
        """The conversation that a request goes on with or begins, if it asks for one."""
        if not body.get("use_conversation"):
            return None
        given, now = body.get("conversation_id"), self._clock()
        identifier = str(given) if is_ulid(given) else new_ulid(now)
        if self.conversations.lost(agent, identifier) and self.settings.lost_conversation != "silent":
            if self.settings.lost_conversation == "refused":
                raise RefusedError(404, error_body("CONVERSATION_NOT_FOUND", "Conversation not found.", "NOT_FOUND"))
            identifier = new_ulid(now)
        conversation = self.conversations.open(agent, identifier)
        self._check_length(body["user_prompt"], conversation.characters)
        return conversation

    def _question(self, prompt: str, body: dict[str, Any], conversation: Conversation | None) -> Question:
        streaming, message_id = bool(body.get("streaming", False)), new_ulid(self._clock())
        if conversation is None:
            return Question(prompt, streaming, message_id)
        return Question(prompt, streaming, message_id, conversation.id, conversation.characters)


def _refuse(refused: RefusedError) -> Iterator[Step]:
    return answer_plainly(ScriptedResponse(status=refused.status, body=UNSET if refused.body is None else refused.body))


def _listed(agent: str, number: int) -> dict[str, Any]:
    return {"id": agent, "name": f"Simulated agent {number}", "slug": f"simulated-agent-{number}"}
