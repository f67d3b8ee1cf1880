"""The API key of a request, its part of the account's requests, and what is left of that."""

from __future__ import annotations

from ..data_class import data_class


@data_class
class Caller:
    """An API key, by its name.

    While several keys wait, each gets requests in proportion to its `weight` (1 to 100); `share`
    (above 0, up to 1) is the largest part that it may use of the account's requests a minute, and
    of the slots of a process.
    """

    name: str = ""
    weight: int = 1
    share: float = 1.0

    def limit(self, budget: int) -> int:
        """Return how many requests of a budget it may use, at least one.

        >>> Caller("team", share=0.5).limit(90)
        45
        """
        return budget if self.share >= 1 else max(1, int(self.share * budget))


class KeyQuota(dict[str, float]):
    """The `weight` and `share` of a key of KEYS_FILE, in the metadata of the authenticated key.

    Only the operator can set them: the metadata of virtual keys, whose users may write it, comes
    from JSON, and has no object of this type.
    """


@data_class
class Allowance:
    """What a caller may still send: `remaining` of `limit` requests, one more in `reset` seconds.

    `reset` is 0 where nothing of the limit is used.
    """

    limit: int
    remaining: int
    reset: float


ANYONE = Caller()
"""The caller of a program that uses the provider without the proxy."""

MASTER = Caller("master")
"""The master key of the proxy."""
