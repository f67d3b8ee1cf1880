"""The default agent's little knowledge of Portuguese, English and Spanish."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

WORD = re.compile(r"[a-z0-9]+")
STEM = 5

PORTUGUESE = """
    a o as os um uma que qual quais e em no na nos nas do da de dos das para por com nao como quanto
    quantos quando onde eu voce me meu minha isso esta sao tem quero preciso favor ola oi bom boa
    obrigado ao sobre mais mas ou se sim estao ser fazer faca diga hoje agora pode pelo pela quem porque
    ate dia tudo bem explique conte descreva escreva entre repita palavras
"""
ENGLISH = """
    a an the what which is are in on at of to for and with not how much many when where i you me my this
    it that do does can could would please hello hi want need about today now or if be there who why
    from tell by was will have has your give up explain describe write between repeat words
"""
SPANISH = """
    el la los las un una que cual cuales es en de del y para por con no como cuanto cuantos cuando donde
    yo tu usted me mi esto esta son tiene quiero necesito favor hola gracias al sobre mas pero o si hoy
    ahora puede quien porque dime hay hace ser hacer hasta dia buenos buenas repite palabras
"""
STOP_WORDS: Mapping[str, frozenset[str]] = {
    "pt": frozenset(PORTUGUESE.split()),
    "en": frozenset(ENGLISH.split()),
    "es": frozenset(SPANISH.split()),
}
ALL_STOP_WORDS = frozenset[str]().union(*STOP_WORDS.values())

# Words of the three languages that ask for the same thing; each row is one concept.
CONCEPTS = (
    "weather forecast temperature temperatura tempo tiempo clima previsao pronostico chove chuva lluvia rain",
    "time hour clock hora horas horario timezone",
    "search find lookup query busque busca pesquise pesquisa procure procura encontre encontra busqueda",
    "calculate calculator compute calcule calculo math sum soma some somar suma add adds adicione multiply",
    "price quote cotacao preco precio cotizacion stock acao acoes",
    "email mail correio correo",
    "send envie enviar envia mande mandar",
    "translate traduza traduzir traduce traducir translation traducao",
    "convert converter converta converte conversion conversao convierte",
    "currency moeda moneda exchange cambio dolar dolares dollar dollars euro euros real reais",
    "order pedido pedidos orders",
    "customer client cliente clientes customers",
    "file arquivo archivo ficheiro arquivos files",
    "meeting calendar schedule agenda agende agendar reuniao reunion evento event",
    "user usuario usuarios users",
    "news noticia noticias",
    "flight voo voos vuelo vuelos flights",
    "route rota directions direcoes distancia distance",
    "ticket chamado chamados incidente incident",
    "product produto productos producto produtos inventory estoque",
    "day days dia dias",
    "city cidade ciudad",
    "create crie criar crear cria",
    "delete apague apagar remova remover remove elimina",
    "document documento documentos documents",
)
CONCEPT_OF: Mapping[str, str] = {word[:STEM]: row.split()[0] for row in reversed(CONCEPTS) for word in row.split()}


def fold(text: str) -> str:
    """`text` in lower case without accents; characters keep their places."""
    return "".join(_fold_character(character) for character in text)


def _fold_character(character: str) -> str:
    if character.isascii():
        return character.lower()
    folded = unicodedata.normalize("NFKD", character)[:1].lower()
    return folded if len(folded) == 1 else character


def detect_language(text: str) -> str:
    """The language of `text` by its most frequent small words: "pt" (also when in doubt), "en" or "es"."""
    folded = fold(text)
    counts = Counter({"pt": 0, "en": 0, "es": 0})
    for word in WORD.findall(folded):
        counts.update(language for language, known in STOP_WORDS.items() if word in known)
    counts["es"] += 3 * sum(mark in text for mark in "¿¡ñ")
    counts["pt"] += 3 * sum(mark in text.lower() for mark in "ãõç")
    return max(counts, key=counts.__getitem__)


def find_terms(text: str) -> dict[str, int]:
    """What `text` speaks of, as stems or concepts, each with the place of its first word."""
    terms: dict[str, int] = {}
    for found in WORD.finditer(fold(text)):
        word = found[0]
        if len(word) > 2 and word not in ALL_STOP_WORDS - {"dia", "time"} and not word.isdigit():
            terms.setdefault(CONCEPT_OF.get(word[:STEM], word[:STEM]), found.start())
    return terms
