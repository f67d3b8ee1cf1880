"""Recognises a reply that announces a tool call and ends without it: "Vou ler o arquivo agora."

The rules are narrow, in Portuguese, English and Spanish: a missed announcement costs the client a
turn, as without the rules, but a false one makes the agent do what was not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import regex

from ..request.chat_request import Message

MAX_CHARACTERS = 600  # a longer reply is a report, or a plan

_FLAGS = regex.IGNORECASE

# Acts on what a tool reaches. Verbs that can also mean speech ("use", "start") need their object.
_LOOK = (
    "abrir|acessar|analisar|baixar|buscar|carregar|checar|compilar|conferir|confirmar|consultar"
    "|dar uma olhada|examinar"
    "|executar|explorar|inspecionar|investigar|ler|listar|localizar|obter|olhar|pesquisar|procurar|rodar"
    "|testar|validar"
    "|verificar|reiniciar|relançar|fazer (?:a |uma )?(?:busca|consulta|chamada|leitura|verifica[cç][aã]o"
    "|altera[cç][aã]o|corre[cç][aã]o)"
    "|come[cç]ar (?:lendo|abrindo|verificando|listando|analisando|explorando|buscando|executando|rodando"
    "|por ler|pela leitura)"
    "|analizar|comprobar|descargar|ejecutar|examinar|inspeccionar|leer|llamar a|mirar|probar|revisar"
    "|correr|echar un vistazo"
    "|(?:empezar|comenzar) (?:por )?(?:leer|leyendo|revis\\w+|list\\w+|explor\\w+|busc\\w+|ejecut\\w+)"
    "|analy[sz]e|check|compile|confirm|examine|execute|explore|fetch|find|get the|grep|inspect"
    "|investigate|list|load|locate"
    "|look(?: (?:at|up|into|for|(?:that|this|it) up)|$)|open|query|read|rerun|retrieve|run|scan|search"
    "|take a(?:nother)? look|test|validate|verify|view"
    "|start (?:by|with) (?:reading|listing|checking|looking|running|searching|exploring|opening|examining|inspecting)"
    "|try (?:again|another|a different|running|reading|opening|with)|tentar (?:de novo|novamente|outr[oa]"
    "|com)|intentar(?:lo)? de nuevo"
)
_ACT = (
    "adicionar|agendar|ajustar|apagar|aplicar|atualizar|calcular|corrigir|criar|deletar|editar|enviar"
    "|escrever|excluir|gravar"
    "|instalar|modificar|mover|remover|renomear|salvar|substituir|ver|iniciar|fazer isso|chamar (?!te|voc)"
    "|actualizar|agregar|añadir|borrar|cargar|corregir|crear|eliminar|escribir|guardar|reemplazar|renombrar|hacerlo"
    "|add|apply|build|calculate|compute|correct|create|delete|do (?:that|this|it)|edit|fix|install"
    "|make (?:the|this|that|these) change"
    "|modify|move (?:the|it|this|that)|remove|rename|replace|restart|review|save|schedule|send (?!you)"
    "|start the|update (?!you)|write"
    "|us(?:e|ar) (?:the |a |o |la |el |una? )?(?:tool|ferramenta|herramienta|grep|bash|\\w*_\\w+|`"
    "|fun[cç])|call (?!you)"
    "|\\w+[aáeêiíoô]-l[oa]s?|\\w+[aei]r(?:l[oae]s?)"  # corrigi-lo, corregirlo
)
_SOON = (
    r"(?:agora(?: mesmo)?|primeiro|antes de (?:tudo|mais nada)|em seguida|ent[aã]o|now|first|next|then"
    r"|just|quickly|go ahead and"
    r"|ahora(?: mismo)?|primero|luego|entonces|a continuaci[oó]n|also|tamb[eé]m|tambi[eé]n|rapidamente"
    r"|r[aá]pidamente|j[aá])"
)
_MANY = rf"(?:vamos(?: {_SOON},?)?(?: a)?|let['’]s(?: {_SOON},?)?)"
_ONE = (
    rf"(?:(?:eu )?(?:j[aá] )?(?:vou|irei)(?: {_SOON},?)?|deixe?-me|deixa eu|permita-me"
    rf"|(?:yo )?voy(?: {_SOON})? a|d[eé]jame|d[eé]jeme|perm[ií]teme|perm[ií]tame"
    rf"|i(?:['’]ll| will|['’]m(?: {_SOON})? going to| am(?: {_SOON})? going to| need to)(?: {_SOON},?)?"
    rf"|let me|allow me to)"
)
_PREFIX = (
    r"(?:(?:ok(?:ay)?|certo|claro|entendido|entendi|perfeito|[oó]timo|beleza|pronto|sim|sem problemas?"
    r"|sure|of course|great|right"
    r"|alright|got it|understood|perfect|no problem|vale|bien|perfecto|listo|s[ií]|por supuesto|yes|so"
    r"|ent[aã]o|entonces|pues"
    rf"|{_SOON}|primeiro passo|(?:s[oó] )?um (?:momento|instante|segundo)|aguarde(?: um (?:momento"
    rf"|instante))?|(?:just )?(?:one|a) (?:moment|second)"
    r"|hold on|un momento|para (?:isso|come[cç]ar|ello|eso|empezar)|to (?:start|begin|do (?:so|that"
    r"|this)))[,!.:;—-]*\s+)*"
)
_ANNOUNCED = regex.compile(
    rf"^{_PREFIX}(?:(?:{_ONE}) (?:{_SOON},? )?(?:{_LOOK}|{_ACT})|(?:{_MANY}) (?:{_LOOK}))\b", _FLAGS
)
# "Lendo o arquivo…", "Reading the file now.": as if it were under way
_PROGRESS = regex.compile(
    r"^(?:lendo|abrindo|buscando|pesquisando|executando|rodando|verificando|consultando|listando|criando"
    r"|editando|procurando"
    r"|leyendo|abriendo|ejecutando|revisando|comprobando|creando|reading|opening|searching|running|checking|executing"
    r"|listing|creating|editing|fetching|looking (?:up|for|at|into))\b.*(?:…|\.\.\.|\b(?:now|agora|ahora)\W*)$",
    _FLAGS,
)
# What makes a sentence a promise for later, an offer, or a condition.
_NOT_NOW = regex.compile(
    r"\b(?:se (?:voc[eê]|quiser|preferir|precisar|desejar|for|houver|necess[aá]rio)|caso|quando (?:voc[eê]"
    r"|for|tiver|termin\w+|cheg\w+|quiser|puder)"
    r"|assim que|depois (?:que|disso|de)|mais tarde|amanh[aã]|em breve|futuramente|sempre que"
    r"|da pr[oó]xima|a partir de agora|aguard(?:o|ando|ar|arei)"
    r"|espero|esperando|si (?:quieres?|lo|prefieres?|desea|hace)|cuando (?:t[uú]|usted|quieras?|me"
    r"|confirmes?|termin\w+|est\w+|puedas?)|en cuanto"
    r"|despu[eé]s (?:de|que)|m[aá]s tarde|ma[nñ]ana|siempre que|en adelante|la pr[oó]xima"
    r"|if (?:you|needed|necessary)|when(?:ever)? (?:you|that|it(?:['’]s| is))|once|after|unless|until"
    r"|later|tomorrow|soon|in (?:the )?future|from now on"
    r"|next time|wait(?:ing)? for|let me know|(?:sua|tua?|your) (?:confirma\w+|aprova\w+|approval"
    r"|aproba\w+|permiss\w+|permiso|autoriz\w+|authoriz\w+|go-ahead|ok)"
    r"|(?:you|voc[eê]) (?:confirm|aprov|approv|autoriz)\w*|my best)\b",
    _FLAGS,
)
_QUESTION = regex.compile(r"[?？¿]")
_FENCE = regex.compile(r"```|~~~")
_LIST_ITEM = regex.compile(r"^\s*(?:[-*•]|\d+[.)])\s", regex.MULTILINE)
_SENTENCE_END = regex.compile(r"(?<=[.!…])\s+(?=\S)|\n+")
_DECORATION = regex.compile(r"^[\s*_>#\p{So}\p{Sk}\ufe0f]+|[\s*_:.!…\p{So}\ufe0f]+$")

# What the user forbids, or keeps for himself: then nothing is appended.
_FORBIDDEN = regex.compile(
    r"\b(?:n[aã]o|nunca|sem|jamais) (?:me |o |a |os |as |se )?(?:\w+[oa]s? )?(?:execut\w+|rod\w+|us\w+"
    r"|cham\w+|alter\w+|mex\w+|modifi\w+|edit\w+|apag\w+|cri\w+"
    r"|grav\w+|escrev\w+|fa[cç]\w+|envi\w+|toqu\w+|abr\w+|le(?:ia|r)|ferramentas?|instal\w+|delet\w+|remov\w+|mud\w+)"
    r"|\b(?:do not|don['’]t|never|without) (?:\w+ )?(?:run\w*|execut\w+|us(?:e|ing)|call\w*|chang\w+"
    r"|touch\w*|modify\w*|edit\w*|delet\w+|creat\w+|writ\w+"
    r"|do(?:ing)?|send\w*|open\w*|read\w*|tools?|install\w*|remov\w+|mak\w+|start\w*|proceed\w*)"
    r"|\b(?:no|nunca|sin) (?:lo |la |los |las |me )?(?:ejecut\w+|corr\w+|us\w+|llam\w+|cambi\w+|toqu\w+"
    r"|modifi\w+|edit\w+|borr\w+|cre\w+|escrib\w+|hag\w+"
    r"|env[ií]\w+|abr\w+|le(?:as|er)|herramientas?|instal\w+|elimin\w+)"
    r"|\bno tools?\b|\b(?:apenas|s[oó]|somente|solo|solamente|only|just) (?:me )?(?:expli\w+|descre\w+"
    r"|descri\w+|diga|digas?|fal\w+|planej\w+|plan\w*|tell|say|dis?cut\w+|answer|respond\w+)"
    r"|\b(?:antes de|before) (?:\w+ ){0,4}?(?:pergunt\w+|confirm\w+|ask\w*|pregunt\w+)"
    r"|\b(?:me )?(?:pergunte|pe[cç]a|pregunt[ae]|pide) (?:\w+ ){0,3}antes\b|\bask (?:me )?(?:first"
    r"|before)\b"
    r"|\b(?:espere|aguarde|wait|espera)\b"
    r"|\b(?:eu mesm[oa]|yo mism[oa]|por minha conta|por mi cuenta|deix[ae] (?:que eu|comigo)"
    r"|deixe isso comigo|leave (?:\w+ ){1,4}to me|d[eé]jam[eê]lo|me encargo yo"
    r"|quem (?:roda|executa|faz) sou eu|i['’]ll (?:\w+ ){1,6}?myself|i will (?:\w+ ){1,6}?myself"
    r"|i['’]ll do (?:it|that|this)|i (?:run|do|handle|make) (?:\w+ ){0,5}myself)\b",
    _FLAGS,
)


def announces_call(text: str) -> bool:
    """Return whether a reply without a call ends by announcing one that should be in it.

    >>> announces_call("Certo. Vou ler o arquivo agora."), announces_call("Posso ler o arquivo?")
    (True, False)
    """
    text = text.strip()
    if not text or len(text) > MAX_CHARACTERS or _FENCE.search(text) or len(_LIST_ITEM.findall(text)) > 1:
        return False
    if _QUESTION.search(text) or not _DECORATION.sub("", text):
        return False
    last = next(part for part in reversed(_SENTENCE_END.split(text)) if _DECORATION.sub("", part))
    last, bare = last.strip(), _DECORATION.sub("", _DECORATION.sub("", last))
    announced = _ANNOUNCED.match(bare) is not None or _PROGRESS.match(last.strip("*_ ")) is not None
    return announced and _NOT_NOW.search(last) is None


def forbids_calls(messages: Sequence[Message]) -> bool:
    """Return whether the user's last message forbids calls, or reserves some to the user."""
    for message in reversed(messages):
        if message["role"] == "user":
            content = message.get("content")
            parts = [content] if isinstance(content, str) else content if isinstance(content, Sequence) else ()
            texts = (part if isinstance(part, str) else part.get("text") or "" for part in parts)
            return any(_FORBIDDEN.search(text) for text in texts if isinstance(text, str))
    return False
