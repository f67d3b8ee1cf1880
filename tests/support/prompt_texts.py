"""Prompts of the kinds that tokenizers count differently: Portuguese, code, and the schemas of 40 tools."""

from __future__ import annotations

from typing import Any

_SENTENCES = (
    "A situação da conta corrente será verificada amanhã pela manhã, antes da abertura da agência.",
    "Não há informações suficientes: é preciso que o cliente apresente a documentação atualizada.",
    "Por favor, confirme o número do protocolo e explique, em poucas palavras, o que aconteceu na transação.",
    "O relatório de março mostra três operações recusadas, duas pendentes e nenhuma estornada.",
)
_FUNCTION = """
def total_of_{n}(orders: list[Order], *, currency: str = "BRL") -> Decimal:
    \"\"\"Return the sum of the orders in one currency; raises ValueError.\"\"\"
    total = Decimal(0)
    for number, order in enumerate(orders):
        if order.currency != currency:
            raise ValueError(f"order {{number}}: {{order.currency}} is not {{currency}}")
        total += order.amount * (1 - order.discount_{n})
    return total.quantize(Decimal("0.01"))
"""


def portuguese(sentences: int) -> str:
    return " ".join(f"{n}. {_SENTENCES[n % len(_SENTENCES)]}" for n in range(sentences))


def code(functions: int) -> str:
    return "\n".join(_FUNCTION.format(n=n) for n in range(functions))


def tools(count: int) -> list[dict[str, Any]]:
    """Tools in the form of OpenAI's chat completions."""
    return [
        {
            "type": "function",
            "function": {
                "name": f"repository_search_{n}",
                "description": f"Search repository {n} for files whose path matches a pattern, newest first.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "pattern": {"type": "string", "description": "A glob, such as src/**/*.py"},
                        "max_results": {"type": "integer", "minimum": 1, "default": 50},
                        "case_sensitive": {"type": "boolean"},
                    },
                    "required": ["pattern"],
                },
            },
        }
        for n in range(count)
    ]
