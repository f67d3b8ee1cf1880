"""Models with knowledge sources, asked by the real SDKs: the sources arrive on all protocols, and harm no client."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.support.processes import ROOT
from tests.support.protocols import PATHS, STREAMED, ask_chat, ask_messages, ask_responses, block, body, tool
from tests.support.proxy import WEB, Proxy, Simulator, running_proxy
from tests.support.specification import check
from tests.support.waiting import eventually

HANDBOOK, GUIDE = "01KS0000000000000000000001", "01KS0000000000000000000002"
CONFIG = f"""
model_list:
  - model_name: wiki
    litellm_params: {{model: stackspot-chat, custom_llm_provider: stackspot}}
    model_info: {{knowledge_sources: [{HANDBOOK}, {GUIDE}], deep_search: true}}
  - model_name: linked
    litellm_params: {{model: stackspot-chat, custom_llm_provider: stackspot}}
    model_info: {{knowledge: true, sources_url: "https://wiki.example/{{slug}}"}}
  - model_name: footer
    litellm_params: {{model: stackspot-chat, custom_llm_provider: stackspot}}
    model_info: {{knowledge: true, sources: footer, sources_title: Fontes}}
  - model_name: review
    litellm_params: {{model: stackspot/quick-command/review}}
  - model_name: explain
    litellm_params: {{model: stackspot/quick-command/explain}}
    model_info: {{quick_command: {{input: "{{conversation}}"}}}}
  - model_name: private
    litellm_params: {{model: quick-command/private, custom_llm_provider: stackspot}}
litellm_settings:
  custom_provider_map: [{{provider: stackspot, custom_handler: custom_handler.stackspot_llm}}]
  callbacks: [custom_handler.plugin, prometheus]
  drop_params: true
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  custom_auth: custom_handler.authenticate_key
"""
TEAM = "sk-knowledge-team"
TEXT = "O estorno leva três dias."
URN = "urn:stackspot:knowledge:01KD"
FOOTER = f"{TEXT}\n\n---\nFontes: Payments handbook, Guia de arquitetura"
NAMES = ["Payments handbook", "Guia de arquitetura"]
LINKS = ["https://wiki.example/payments-handbook", "https://wiki.example/guia-de-arquitetura"]
SEARCH = tool("procura", "texto")


@pytest.fixture(scope="module")
def wiki(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("knowledge")
    config, keys = folder / "config.yaml", folder / "keys.yaml"
    config.write_text(CONFIG)
    keys.write_text(json.dumps({"keys": [{"name": "team", "key": TEAM, "routes": ["/v1/model/info"]}]}))
    environ = simulator_process.environ | {"KEYS_FILE": str(keys), "STACKSPOT_QUICK_COMMANDS_POLL": "0.02"}
    environ |= {"STACKSPOT_ERRORS_URL": "https://docs.example/errors/"}
    environ |= {"STACKSPOT_QUICK_COMMANDS_PER_MINUTE": "0", "JOBS_DIR": str(folder / "jobs")}
    with running_proxy(folder / "log", str(config), **environ) as running:
        yield running


@pytest.fixture(scope="module")
def gpt(wiki: Proxy) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{wiki.url}/v1", api_key=wiki.key, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def claude(wiki: Proxy) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=wiki.url, auth_token=wiki.key, max_retries=0) as client:
        yield client


@STREAMED
def test_chat_completions_have_annotations(gpt: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": TEXT})
    choice = ask_chat(gpt, "Como?", model="wiki", stream=stream)
    assert (choice.message.content, choice.finish_reason) == (TEXT, "stop")
    found = [annotation["url_citation"] for annotation in map(dict, plain(choice.message.annotations))]
    assert [one["title"] for one in found] == NAMES
    assert [one["url"] for one in found] == [f"{URN}{HANDBOOK[4:]}", f"{URN}{GUIDE[4:]}"]
    assert {one["start_index"] for one in found} == {one["end_index"] for one in found} == {len(TEXT)}
    [request] = simulator.requests()
    assert request["body"] == {
        "streaming": True,
        "stackspot_knowledge": False,
        "return_ks_in_response": True,
        "knowledge_source_ids": [HANDBOOK, GUIDE],
        "deep_search_ks": True,
    }


@STREAMED
def test_responses_cite_files_or_links(gpt: openai.OpenAI, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": TEXT, "times": 2})
    [file, link] = (ask_responses(gpt, "Como?", model=model, stream=stream) for model in ("wiki", "linked"))
    assert file.output_text == link.output_text == TEXT
    files, links = (plain(response.output[0].content[0].annotations) for response in (file, link))
    assert [(one["type"], one["filename"], one["file_id"]) for one in files] == [
        ("file_citation", NAMES[0], f"01KD{HANDBOOK[4:]}"),
        ("file_citation", NAMES[1], f"01KD{GUIDE[4:]}"),
    ]
    assert [(one["type"], one["title"], one["url"]) for one in links] == [
        ("url_citation", *pair) for pair in zip(NAMES, LINKS, strict=True)
    ]


def test_each_annotation_of_a_response_has_its_event(gpt: openai.OpenAI, simulator: Simulator) -> None:
    many = [{"name": f"Source {number}", "id": f"01KM{number}"} for number in range(7)]
    simulator.script({"text": TEXT, "final": {"source": many, "knowledge_source_id": []}})
    events = list(gpt.responses.create(model="wiki", input="Como?", stream=True))
    added = [event.annotation for event in events if event.type == "response.output_text.annotation.added"]
    assert [one["filename"] for one in plain(added)] == [one["name"] for one in many]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    done = {event.type: event for event in events}
    part = plain(done["response.content_part.done"].part.annotations)
    assert part == plain(done["response.output_item.done"].item.content[0].annotations) == plain(added)
    assert plain(done["response.completed"].response.output[0].content[0].annotations) == part


@STREAMED
def test_messages_have_citations(claude: anthropic.Anthropic, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": TEXT, "times": 2})
    for model, sources in (("wiki", [f"{URN}{HANDBOOK[4:]}", f"{URN}{GUIDE[4:]}"]), ("linked", LINKS)):
        answer = ask_messages(claude, "Como?", model=model, stream=stream)
        [text] = answer.content
        assert (text.text, answer.stop_reason) == (TEXT, "end_turn")
        assert [(one.type, one.title, one.source) for one in text.citations] == [
            ("search_result_location", *pair) for pair in zip(NAMES, sources, strict=True)
        ]


@STREAMED
def test_a_footer_is_text_on_every_protocol(
    gpt: openai.OpenAI, claude: anthropic.Anthropic, simulator: Simulator, stream: bool
) -> None:
    simulator.script({"text": TEXT, "times": 3})
    choice = ask_chat(gpt, "Como?", model="footer", stream=stream)
    assert choice.message.content == ask_responses(gpt, "Como?", model="footer", stream=stream).output_text == FOOTER
    assert ask_messages(claude, "Como?", model="footer", stream=stream).content[0].text == FOOTER
    assert choice.message.annotations is None


@STREAMED
@pytest.mark.parametrize(("model", "text"), [("wiki", TEXT), ("linked", TEXT), ("footer", FOOTER)])
def test_text_completions_have_all_of_the_text(
    gpt: openai.OpenAI, simulator: Simulator, model: str, text: str, *, stream: bool
) -> None:
    """Their protocol has no place for annotations; a footer is text there, too."""
    simulator.script({"text": TEXT, "tokens": {"input": 7, "output": 3}})
    if stream:
        options: Any = {"include_usage": True}
        chunks = list(gpt.completions.create(model=model, prompt="Como?", stream=True, stream_options=options))
    else:
        chunks = [gpt.completions.create(model=model, prompt="Como?")]
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.text for choice in choices) == text
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    assert [chunk.usage is None for chunk in chunks] == [*[True] * (len(chunks) - 1), False]
    [usage] = [chunk.usage for chunk in chunks if chunk.usage]
    assert (usage.prompt_tokens, usage.completion_tokens) == (7, 3)
    [request] = simulator.requests()
    assert request["body"]["return_ks_in_response"] is True


@STREAMED
def test_a_conversation_goes_on_with_what_it_was_told(
    gpt: openai.OpenAI, claude: anthropic.Anthropic, simulator: Simulator, stream: bool
) -> None:
    """Clients send annotations and footers back; the agent reads neither."""
    question: list[Any] = [{"role": "user", "content": "Como?"}]
    simulator.script({"text": TEXT, "times": "always"})
    for model in ("wiki", "footer"):
        message = ask_chat(gpt, question, model=model, stream=stream).message
        ask_chat(gpt, [*question, message.to_dict(), *question], model=model, stream=stream)
        response = ask_responses(gpt, question, model=model, stream=stream)
        output = [item.to_dict() for item in response.output]
        ask_responses(gpt, [*question, *output, *question], model=model, stream=stream)
        content = ask_messages(claude, question, model=model, stream=stream).content
        told = [*question, {"role": "assistant", "content": content}, *question]
        ask_messages(claude, told, model=model, stream=stream)
    prompts = simulator.prompts()[1::2]
    assert len(prompts) == 6
    for prompt in prompts:
        assert TEXT in prompt
        assert not any(name in prompt for name in (*NAMES, "Fontes", URN))


@STREAMED
def test_json_and_calls_have_no_sources(
    gpt: openai.OpenAI, claude: anthropic.Anthropic, simulator: Simulator, stream: bool
) -> None:
    simulator.script({"text": '{"dias": 3}', "times": 2}, {"text": block("procura", texto="estorno"), "times": 4})
    for model in ("wiki", "footer"):
        choice = ask_chat(gpt, "?", model=model, stream=stream, response_format={"type": "json_object"})
        assert (choice.message.content, choice.message.annotations) == ('{"dias": 3}', None)
    for model in ("wiki", "footer"):
        choice = ask_chat(gpt, "?", model=model, stream=stream, tools=[SEARCH])
        assert (choice.message.content, choice.message.annotations) == (None, None)
        assert json.loads(choice.message.tool_calls[0].function.arguments) == {"texto": "estorno"}
    anthropic_tool = {"name": "procura", "input_schema": SEARCH["function"]["parameters"]}
    for model in ("wiki", "footer"):
        answer = ask_messages(claude, "?", model=model, stream=stream, tools=[anthropic_tool])
        assert [content.type for content in answer.content] == ["tool_use"]


def test_the_services_return_annotations(wiki: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": TEXT, "times": 3})
    whole = wiki.post("/chat", {"model": "wiki", "message": "?"}).json()
    streamed = wiki.post("/chat/stream", {"model": "wiki", "message": "?"}).text
    [event] = re.findall(r"^event: annotations\ndata: (.*)$", streamed, re.MULTILINE)
    for found in (whole["annotations"], json.loads(event)):
        assert [one["url_citation"]["title"] for one in found] == NAMES
    assert "annotations" not in wiki.post("/chat", {"model": "footer", "message": "?"}).json()


@STREAMED
@pytest.mark.parametrize("path", PATHS)
def test_answers_with_sources_have_the_published_form(
    wiki: Proxy, simulator: Simulator, path: str, stream: bool
) -> None:
    simulator.script({"text": TEXT})
    answer = wiki.post(path, body(path, "?", stream=stream) | {"model": "wiki"})
    check(path, answer.text, stream=stream)


@STREAMED
async def test_frameworks_take_the_answer(wiki: Proxy, simulator: Simulator, stream: bool) -> None:
    simulator.script({"text": TEXT, "times": 2})
    url = f"{wiki.url}/v1"
    async with httpx2.AsyncClient(timeout=60, trust_env=False) as web:
        agent = Agent(OpenAIChatModel("wiki", provider=OpenAIProvider(base_url=url, api_key=wiki.key, http_client=web)))
        if stream:
            async with agent.run_stream("?") as result:
                output = await result.get_output()
        else:
            output = (await agent.run("?")).output
    chat = ChatOpenAI(model="wiki", base_url=url, api_key=wiki.key)
    answer = "".join(str(chunk.content) for chunk in chat.stream("?")) if stream else chat.invoke("?").content
    assert answer == output == TEXT


def test_a_refused_field_is_an_error_that_names_its_option(gpt: openai.OpenAI, simulator: Simulator) -> None:
    simulator.configure(documented_fields_only=True)
    with pytest.raises(openai.BadRequestError, match=r"model_info\.knowledge_sources, model_info\.deep_search"):
        ask_chat(gpt, "?", model="wiki")


def test_ids_of_sources_are_in_the_telemetry_and_no_names(
    wiki: Proxy, gpt: openai.OpenAI, claude: anthropic.Anthropic, simulator: Simulator
) -> None:
    final = {"source": [{"name": "Folha do João", "id": "01KTELEMETRY"}], "knowledge_source_id": ["01KTELEMETRY"]}
    simulator.script({"text": TEXT, "final": final, "times": 4})
    for stream in (False, True):
        ask_chat(gpt, "?", model="wiki", stream=stream)
        ask_messages(claude, "?", model="footer", stream=stream)

    def lines() -> list[dict[str, Any]]:
        files = (wiki.log.parent / "runs").rglob("interactions.jsonl")
        found = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [line for line in found if line.get("sources") == ["01KTELEMETRY"]]

    eventually(lambda: len(lines()) == 4)
    assert "Folha" not in "".join(map(json.dumps, lines())) + wiki.log.read_text()
    metrics = WEB.get(f"{wiki.url}/metrics/", headers=wiki.headers).text
    assert 'stackspot_knowledge_answers_total{account="default",sources="found"}' in metrics


def test_only_the_operator_sees_which_sources_a_model_has(wiki: Proxy) -> None:
    for key, seen in ((wiki.key, True), (TEAM, False)):
        report = WEB.get(f"{wiki.url}/v1/model/info", headers={"Authorization": f"Bearer {key}"})
        assert report.status_code == 200
        assert (HANDBOOK in report.text) is seen
        assert ("wiki.example" in report.text) is seen


def test_the_example_prints_text_and_sources(wiki: Proxy, simulator: Simulator) -> None:
    simulator.script({"text": TEXT, "times": 2})
    environ = os.environ | {"PROXY_URL": wiki.url, "LITELLM_MASTER_KEY": wiki.key}
    command = [sys.executable, str(ROOT / "examples/openai/sources.py"), "wiki"]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count(TEXT) == 2
    assert all(run.stdout.count(f"- {name}") == 2 for name in NAMES)


def plain(values: Any) -> list[dict[str, Any]]:
    """Return objects of an SDK as JSON."""
    return [value if isinstance(value, dict) else value.to_dict() for value in values or ()]


@STREAMED
def test_a_quick_command_answers_on_every_protocol(
    wiki: Proxy, gpt: openai.OpenAI, claude: anthropic.Anthropic, simulator: Simulator, stream: bool
) -> None:
    choice = ask_chat(gpt, "Count to 3", model="review", stream=stream)
    assert (choice.message.content, choice.finish_reason) == ("1 2 3", "stop")
    assert [one["url_citation"]["title"] for one in map(dict, plain(choice.message.annotations))] == [NAMES[0]]
    response = ask_responses(gpt, "Count to 3", model="review", stream=stream)
    assert response.output_text == "1 2 3"
    assert len(response.output[0].content[0].annotations) == 1
    message = ask_messages(claude, "Count to 3", model="review", stream=stream)
    assert "".join(part.text for part in message.content if part.type == "text") == "1 2 3"
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    gemini = wiki.post(
        f"/v1beta/models/review:{method}", {"contents": [{"role": "user", "parts": [{"text": "Count to 3"}]}]}
    )
    assert gemini.status_code == 200
    assert "1 2 3" in gemini.text
    assert [one["body"]["input_data"] for one in simulator.requests(at="execution")] == ["Count to 3"] * 4


@STREAMED
def test_a_quick_command_that_reads_the_conversation_calls_tools(
    gpt: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    choice = ask_chat(gpt, "procura?", model="explain", tools=[SEARCH], stream=stream)
    assert [call.function.name for call in choice.message.tool_calls] == ["procura"]


def test_the_capabilities_of_a_quick_command_are_what_a_request_gets(wiki: Proxy, gpt: openai.OpenAI) -> None:
    groups = WEB.get(f"{wiki.url}/model_group/info", headers=wiki.headers).json()["data"]
    models = WEB.get(f"{wiki.url}/v1/model/info", headers=wiki.headers).json()["data"]
    told = [{one["model_group"]: one for one in groups}, {one["model_name"]: one["model_info"] for one in models}]
    names = ("supports_function_calling", "supports_parallel_function_calling")
    for infos in told:
        assert [infos["review"][name] for name in names] == [False, False]
        assert [infos["explain"][name] for name in names] == [True, True]
    unsupported = {"tools", "tool_choice", "response_format"} - set(told[0]["review"]["supported_openai_params"])
    assert (
        unsupported == {"tools", "tool_choice", "response_format"} <= set(told[0]["explain"]["supported_openai_params"])
    )
    for name in ("supports_tool_choice", "supports_response_schema", "supports_system_messages"):
        assert (told[1]["review"][name], told[1]["explain"][name]) == (False, True)
    for asked in ({"tools": [SEARCH]}, {"response_format": {"type": "json_object"}}):
        with pytest.raises(openai.BadRequestError, match="reads the last user message only"):
            ask_chat(gpt, "procura?", model="review", **asked)
        assert ask_chat(gpt, "procura?", model="explain", **asked).message


def test_only_listed_quick_commands_are_reached_and_their_errors_arrive(
    wiki: Proxy, gpt: openai.OpenAI, simulator: Simulator
) -> None:
    assert {"review", "explain", "private"} <= {model.id for model in gpt.models.list()}
    for model, error in (
        ("stackspot/quick-command/total", openai.NotFoundError),
        ("quick-command/total", openai.APIStatusError),
        ("private", openai.PermissionDeniedError),
    ):
        with pytest.raises(error) as refused:
            ask_chat(gpt, "Oi", model=model)
        assert isinstance(refused.value, openai.APIStatusError)
        assert 400 <= refused.value.status_code < 500
    with pytest.raises(openai.BadRequestError, match="reads the last user message only"):
        ask_chat(gpt, "Oi", model="review", tools=[SEARCH])
    assert [one["path"].rpartition("/")[2] for one in simulator.requests(at="execution")] == ["private"]


def test_the_example_asks_a_quick_command_and_its_quota_is_shown(wiki: Proxy, simulator: Simulator) -> None:
    environ = {"PROXY_URL": wiki.url, "LITELLM_MASTER_KEY": wiki.key, "PATH": os.environ["PATH"], "MODEL": "review"}
    script = ROOT / "examples" / "curl" / "quick_commands.sh"
    told = subprocess.run(["sh", str(script)], env=environ, capture_output=True, text=True, check=True).stdout
    answer, stream, job, quota = re.split(r"^# .*\n", told, flags=re.MULTILINE)[1:]
    assert json.loads(answer)["choices"][0]["message"]["content"]
    deltas = [json.loads(line)["choices"] for line in re.findall(r"^data: (\{.*)", stream, re.MULTILINE)]
    assert "".join(choices[0]["delta"].get("content") or "" for choices in deltas if choices)
    assert len(ended_job(wiki, json.loads(job)["job_id"])) == 2, "no execution disturbs another test"
    commands = json.loads(quota)["quick_commands"]
    assert (commands["limit"], commands["day"]["limit"]) == (None, 6000)
    assert commands["day"]["used"] >= 4, "two executions, with a poll each"
    assert [key["name"] for key in commands["keys"]] == ["master", "team"]


def test_an_error_links_to_its_entry_on_every_protocol(
    wiki: Proxy, gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    text = "is%20not%20shared%20with%20this%20account%20%28HTTP%20403%29"
    link = f"\nSee https://docs.example/errors#the-account-and-its-limits:~:text={text}"
    for ask in (ask_chat, ask_responses):
        with pytest.raises(openai.PermissionDeniedError) as refused:
            ask(gpt, "Oi", model="private")
        assert link in refused.value.message
        assert isinstance(refused.value.body, dict)
        assert refused.value.body["message"].partition(link)[0]
    with pytest.raises(anthropic.PermissionDeniedError) as denied:
        ask_messages(claude, "Oi", model="private")
    assert link.strip() in denied.value.message  # the SDK shows the whole body there
    gemini = wiki.post(
        "/v1beta/models/private:generateContent", {"contents": [{"role": "user", "parts": [{"text": "Oi"}]}]}
    )
    assert link in gemini.json()["error"]["message"]
    chat = wiki.post("/chat", {"message": "Oi", "model": "private"})
    assert chat.json()["error"]["message"].count("\nSee ") == 1


def ended_job(wiki: Proxy, job_id: str) -> list[dict[str, Any]]:
    """Return the results of a job, once it has ended."""

    def status() -> dict[str, Any]:
        told: dict[str, Any] = WEB.get(f"{wiki.url}/status/{job_id}", headers=wiki.headers).json()
        return told

    eventually(lambda: status()["status"] in {"completed", "failed"}, 60)
    result: list[dict[str, Any]] = status()["result"]
    return result


def test_a_job_asks_a_quick_command(wiki: Proxy, simulator: Simulator) -> None:
    answer = wiki.post("/ingest", {"messages": ["Count to 3"], "model": "review"})
    assert [item["content"] for item in ended_job(wiki, answer.json()["job_id"])] == ["1 2 3"]
