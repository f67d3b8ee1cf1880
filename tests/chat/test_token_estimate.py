"""The fit of an agent's counts: bounded, robust to a wrong count, and forgetting."""

from __future__ import annotations

import pytest

from custom_handler.chat.token_estimate import MAX_AGENTS, MAX_OBSERVATIONS, PromptSize, TokenEstimator

AGENT = "a"
SIZES = [PromptSize(tokens, tokens * 4) for tokens in (200, 5000, 900, 20_000, 2500)]


def taught(rule: tuple[float, int], sizes: list[PromptSize] = SIZES) -> TokenEstimator:
    estimator = TokenEstimator()
    for size in sizes:
        estimator.learn(AGENT, size, round(size.tokens * rule[0] + rule[1]))
    return estimator


def error(estimator: TokenEstimator, size: PromptSize, rule: tuple[float, int]) -> float:
    return abs(estimator.estimate(AGENT, size) / (size.tokens * rule[0] + rule[1]) - 1)


@pytest.mark.parametrize("rule", [(1.15, 40), (0.8, 0), (1.6, 2500), (1.0, 12_000)])
@pytest.mark.parametrize("size", [PromptSize(300, 1200), PromptSize(4000, 16_000), PromptSize(25_000, 100_000)])
def test_a_scale_and_an_offset_are_learned(rule: tuple[float, int], size: PromptSize) -> None:
    assert error(taught(rule), size, rule) < 0.10


def test_counts_by_characters_are_learned() -> None:
    estimator = TokenEstimator()
    mixed = [PromptSize(1000, 3000), PromptSize(1000, 5000), PromptSize(4000, 12_000), PromptSize(3000, 15_000)]
    for size in mixed:
        estimator.learn(AGENT, size, size.characters // 4)
    for size in (PromptSize(2000, 6000), PromptSize(2000, 10_000)):
        assert abs(estimator.estimate(AGENT, size) / (size.characters / 4) - 1) < 0.10


@pytest.mark.parametrize("factor", [0.3, 3.0])
def test_one_wrong_count_changes_little(factor: float) -> None:
    rule = (1.15, 40)
    estimator = taught(rule)
    size = PromptSize(3000, 12_000)
    estimator.learn(AGENT, size, round((size.tokens * rule[0] + rule[1]) * factor))
    assert max(error(estimator, one, rule) for one in SIZES[1:]) < 0.12


def test_counts_that_no_tokenizer_makes_are_ignored() -> None:
    estimator = taught((1.15, 40))
    before = [estimator.estimate(AGENT, size) for size in SIZES]
    for counted in (0, -5, 3, 10**9):
        estimator.learn(AGENT, PromptSize(7000, 28_000), counted)
    estimator.learn(AGENT, PromptSize(0, 0), 40)
    assert [estimator.estimate(AGENT, size) for size in SIZES] == before


def test_an_agent_with_another_model_is_learned_anew() -> None:
    estimator, later = taught((0.8, 0)), (1.5, 100)
    for number in range(MAX_OBSERVATIONS):
        size = PromptSize(300 + 200 * number, 1200 + 800 * number)
        estimator.learn(AGENT, size, round(size.tokens * later[0] + later[1]))
    assert error(estimator, PromptSize(2950, 11_800), later) < 0.05


def test_each_agent_has_its_own_estimate_and_old_agents_are_dropped() -> None:
    estimator, size = taught((2.0, 0)), PromptSize(1000, 4000)
    unknown = estimator.estimate("b", size)
    assert estimator.estimate(AGENT, size) > 1.5 * unknown
    for number in range(MAX_AGENTS):
        estimator.learn(f"other-{number}", size, 900)
    assert estimator.estimate(AGENT, size) == unknown


def test_prompts_alike_do_not_displace_others() -> None:
    rule = (1.3, 400)
    estimator = taught(rule)
    for number in range(10 * MAX_OBSERVATIONS):
        size = PromptSize(50, 200 + number % 3)
        estimator.learn(AGENT, size, round(size.tokens * rule[0] + rule[1]))
    assert error(estimator, PromptSize(10_000, 40_000), rule) < 0.05


def test_a_short_prompt_has_a_token_whatever_the_agent_counted_before() -> None:
    estimator = TokenEstimator()
    for tokens in (400, 420, 450):
        estimator.learn(AGENT, PromptSize(tokens, 4 * tokens), tokens // 2)
    assert estimator.estimate(AGENT, PromptSize(1, 2)) == 1
