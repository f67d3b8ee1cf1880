"""The texts of the playground: the same in both languages, each of them shown, and each that is shown there."""

from __future__ import annotations

import re

from custom_handler.api.playground import ASSETS

NAME = re.compile(r'(?:^|[{,]\s*)(\w+): "((?:[^"\\]|\\.)*)"', re.MULTILINE)
SCRIPTS = {file.name: file.read_text("utf-8") for file in ASSETS.glob("*.js")}
TEXTS = {language: dict(NAME.findall(SCRIPTS[f"texts.{language}.js"])) for language in ("en", "pt")}
PAGE = (ASSETS / "playground.html").read_text("utf-8")
USED = "\n".join([PAGE, *(text for name, text in SCRIPTS.items() if not re.match(r"texts\...\.js", name))])


def test_both_languages_have_the_same_texts_with_the_same_places():
    assert TEXTS["en"].keys() == TEXTS["pt"].keys()
    for name, text in TEXTS["en"].items():
        assert text.count("{}") == TEXTS["pt"][name].count("{}"), name


def test_every_text_is_shown_and_what_is_shown_has_one():
    quoted = set(re.findall(r'"(\w+)"', USED))
    assert TEXTS["en"].keys() - quoted == set()
    named = re.findall(r'data-(?:t|label|hint)="(\w+)"', PAGE) + re.findall(r'\b(?:t|formatted)\("(\w+)"', USED)
    named += re.findall(r'translated\((?:[^()"]|"[^"]*"(?=,)|\([^()]*\))*, "(\w+)"\)', USED)
    assert len(named) > 60
    assert set(named) - TEXTS["en"].keys() == set()
