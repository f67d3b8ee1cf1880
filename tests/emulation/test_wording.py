"""Variants of the prompt's wording."""

from __future__ import annotations

import contextvars

import pytest

from custom_handler.emulation.prompt.render import render
from custom_handler.emulation.prompt.wording import DEFAULT, Wording, use, wording, wording_of
from custom_handler.errors import ConfigurationError
from custom_handler.request.chat_request import ChatRequest, Tool

REQUEST = ChatRequest([{"role": "user", "content": "Hi"}], (Tool("ping", "", {}),))


def test_a_variant_changes_the_prompts_of_its_context_only() -> None:
    variant = wording_of({"tools": "The tools:", "reminder": "Go: {work}, else {answer}."}, "v.yaml")

    def rendered() -> str:
        use(variant)
        return render(REQUEST)

    before = render(REQUEST)
    changed = contextvars.copy_context().run(rendered)
    assert "The tools:\n" in changed
    assert changed.endswith("Go: a FUNCTION_CALL_START block for each thing still to be done, else the answer.")
    assert render(REQUEST) == before
    assert wording() is DEFAULT


def test_only_other_texts_have_a_digest() -> None:
    assert wording_of({}, "v").digest == Wording().digest == ""
    assert len({Wording(tools="a").digest, Wording(tools="b").digest, ""}) == 3


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (None, "v.yaml must map the names of texts to texts; the names are: tools, calling,"),
        ({"tools": 1}, "v.yaml must map"),
        ({"toolz": "x"}, "'toolz' is no text of the prompt"),
        ({"calling": "Call {name} with {arguments}."}, "calling must contain {arguments}, {name}, {together}"),
        ({"calling": "{name} {arguments} {together} {other}"}, "calling must contain"),
        ({"reminder": "Go: {work}, {"}, "reminder has a single brace"),
    ],
)
def test_a_wrong_variant_is_refused_with_what_is_wrong(texts: object, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        wording_of(texts, "v.yaml")
    assert said in raised.value.message
