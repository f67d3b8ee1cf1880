"""How much of a prompt that was too long for the agent's model is sent again."""

from __future__ import annotations

from ..errors import PromptTooLong

MARGIN = 0.95  # characters are not proportional to tokens
SHARE_NEAR_LIMIT, SHARE_WITHOUT_COUNTS = 0.8, 0.5


def share_to_send(error: PromptTooLong) -> float:
    """Return the share of the prompt's characters, by the error's token counts where it has them.

    >>> share_to_send(PromptTooLong("Too long.", limit=1000, actual=2000))
    0.475
    """
    if error.limit and error.actual and error.actual > error.limit:
        return error.limit / error.actual * MARGIN
    # With a limit only: the model counts its answer as well, so the prompt alone may fit.
    return SHARE_NEAR_LIMIT if error.limit else SHARE_WITHOUT_COUNTS
