"""What the default agent says, in each of its languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language; a mere greeting is made of the words in `greetings`, `filler` fills long answers."""

    greetings: str
    welcome: str
    about: str
    nothing: str
    according_to: str
    failed: str
    a_tool: str
    more: str
    filler: str


PORTUGUESE = Phrases(
    greetings="ola oi bom boa dia tarde noite tudo bem opa e ai obrigado obrigada",
    welcome="Olá! Sou o agente simulado do StackSpot. "
    "Pergunte o que quiser: respondo pelo mesmo protocolo do serviço real.",
    about="Sobre “{topic}”: sou o agente simulado do StackSpot e não tenho um modelo de linguagem por trás. "
    "A resposta de verdade vem do seu agente; a forma como ela chega, palavra por palavra, é esta.",
    nothing="isso",
    according_to="Segundo {tool}: {result}",
    failed="A ferramenta {tool} não conseguiu responder: {result}",
    a_tool="a ferramenta",
    more="Se precisar de mais algum detalhe, é só perguntar.",
    filler="então o agente simulado continua a falar com calma para que a transmissão dure bastante "
    "e cada palavra chegue na sua vez sem pressa nem atenção às horas",
)
ENGLISH = Phrases(
    greetings="hello hi hey good morning afternoon evening there how are you thanks thank",
    welcome="Hello! I am the simulated StackSpot agent. "
    "Ask me anything: I answer over the same protocol as the real service.",
    about="About “{topic}”: I am the simulated StackSpot agent, with no language model behind me. "
    "The real answer comes from your own agent; the way it arrives, word by word, is this one.",
    nothing="that",
    according_to="According to {tool}: {result}",
    failed="The tool {tool} could not answer: {result}",
    a_tool="the tool",
    more="Ask again if you need more detail.",
    filler="and so the simulated agent goes on speaking calmly so that the stream lasts for a while "
    "and every word arrives in its turn without any hurry",
)
SPANISH = Phrases(
    greetings="hola buenos buenas dias tardes noches que tal como estas gracias",
    welcome="¡Hola! Soy el agente simulado de StackSpot. "
    "Pregunte lo que quiera: respondo por el mismo protocolo del servicio real.",
    about="Sobre “{topic}”: soy el agente simulado de StackSpot y no tengo un modelo de lenguaje detrás. "
    "La respuesta de verdad viene de su agente; la forma en que llega, palabra por palabra, es esta.",
    nothing="eso",
    according_to="Según {tool}: {result}",
    failed="La herramienta {tool} no pudo responder: {result}",
    a_tool="la herramienta",
    more="Si necesita algún detalle más, pregunte de nuevo.",
    filler="entonces el agente simulado sigue hablando con calma para que la transmisión dure bastante "
    "y cada palabra llegue a su turno sin ninguna prisa mañana también",
)
PHRASES: Mapping[str, Phrases] = {"pt": PORTUGUESE, "en": ENGLISH, "es": SPANISH}
