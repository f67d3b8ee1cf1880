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
    "abrir|acessar|analisar|baixar|buscar(?! (?:ser|ter|manter|melhorar|sempre))|carregar"
    "|checar|compilar|conferir|confirmar(?! (?:o|lo) que)|consultar"
    "|dar uma olhada|examinar"
    "|executar|explorar|inspecionar|investigar|ler|listar|localizar|obter|olhar|pesquisar|procurar|rodar"
    "|testar|validar"
    "|verificar|reiniciar|relançar|(?:fazer|realizar) (?:as? |uma |ess[ae]s? |est[ae]s? )?(?:busca|consulta|chamada"
    "|leitura|verifica[cç][aã]o"
    "|altera[cç][aã]o|corre[cç][aã]o)"
    "|come[cç]ar (?:lendo|abrindo|verificando|listando|analisando|explorando|buscando|executando|rodando"
    "|examinando|inspecionando|procurando|pesquisando|consultando|conferindo|por ler|pela leitura)"
    "|analizar|comprobar|descargar|ejecutar|examinar|inspeccionar|leer|mirar (?!por)|probar(?! suerte)|revisar"
    "|correr|echar un vistazo"
    "|(?:empezar|comenzar) (?:por )?(?:leer|leyendo|revis\\w+|list\\w+|explor\\w+|busc\\w+|ejecut\\w+)"
    "|analy[sz]e|check|compile|confirm(?! what)|examine|execute|explore|fetch|find|get the|grep|inspect"
    "|investigate|list|load|locate"
    "|look(?: (?:at|up|into|for|(?:that|this|it) up)|$)|open|pull up|query|read|rerun|retrieve|run|scan|search"
    "|see (?!(?:if|whether|what|how) i\\b)(?:what|if|whether|how)"
    "|take a(?:nother)? look|test|validate|verify|view"
    "|start (?:by|with) (?:reading|listing|checking|looking|running|searching|exploring|opening|examining|inspecting)"
    "|try (?:again|another|a different|running|reading|opening|with)|tentar (?:de novo|novamente|outr[oa]"
    "|com)|intentar(?:lo)? de nuevo"
)
_ACT = (
    "adicionar|agendar|ajustar|apagar|aplicar|atualizar|calcular|corrigir|criar|deletar|editar|enviar"
    "|escrever|excluir|gravar"
    "|instalar|modificar|mover|remover|renomear|salvar|substituir|ver|iniciar|fazer isso"
    "|actualizar|agregar|añadir|borrar|cargar|corregir|crear|eliminar|escribir|guardar|reemplazar|renombrar|hacerlo"
    "|add|apply|build|calculate|compute|correct|create|delete|do (?:that|this|it)|edit|fix|install"
    "|make (?:the|this|that|these) change"
    "|modify|move (?:the|it|this|that)|remove|rename|replace|restart|review|save|schedule|send (?!you)"
    "|start the|update (?!you)|write"
    "|(?:us(?:e|ar)|call|chamar|llamar a) (?:the |an? |o |la |el |una? )?(?:\\w+ )?(?:tool|ferramenta|herramienta"
    "|function|fun[cç]|api\\b|grep|bash|\\w*_\\w+|`)"
    "|(?:gerar|generate|generar) (?:the |an? |o |um |el |un )?(?:arquivo|file|archivo|changelog|tests?\\b|migra)"
    # corrigi-lo, corregirlo
    "|(?:abr|adicion|alter|analis|apag|atualiz|busc|confer|consult|corrig|cri|delet|edit|envi|escrev|exclu"
    "|execut|grav|inspecion|instal|l[eê]|list|modific|mov|remov|renome|rod|salv|substitu|test|valid|verific)"
    "\\w{0,3}-l[oa]s?"
    "|(?:abr|actualiz|agreg|analiz|añad|arregl|borr|busc|cambi|comprob|consult|correg|cre|edit|ejecut|elimin"
    "|escrib|guard|inspeccion|instal|le|list|modific|mov|prob|reemplaz|renombr|revis|verific)[aei]rl[oa]s?"
)
_SOON = (
    r"(?:agora(?: mesmo)?|a seguir|primeiro|antes de (?:tudo|mais nada)|em seguida|ent[aã]o|now|first|next|then"
    r"|just|quickly|go ahead and"
    r"|ahora(?: mismo)?|primero|luego|entonces|a continuaci[oó]n|also|tamb[eé]m|tambi[eé]n|rapidamente"
    r"|r[aá]pidamente|j[aá])"
)
_MANY = rf"(?:vamos(?: {_SOON},?)?(?: a)?|let['’]s(?: {_SOON},?)?)"
_ONE = (
    rf"(?:(?:eu )?(?:j[aá] )?(?:vou|irei)(?: {_SOON},?)?|deixe?-me|deixa eu|permita-me"
    rf"|(?:yo )?(?:l[oa]s? )?voy(?: {_SOON})? a|procedo a|d[eé]jame|d[eé]jeme|perm[ií]teme|perm[ií]tame"
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
_NEED = rf"(?:(?:eu )?preciso|(?:yo )?necesito)(?: {_SOON},?)?(?! (?:confirmar|validar))"
_PURPOSE = r"(?:para|to) (?!resum|expli|conclu|respon|esclarec|aclar|summ|answer|explain|clarif|be )\p{L}+(?<!para) [^,.;:]{1,60}, "
_ANNOUNCED = regex.compile(
    rf"^{_PREFIX}(?:{_PURPOSE})?(?:(?:{_ONE}) (?:{_SOON},? )?(?:{_LOOK}|{_ACT})|(?:{_MANY}) (?:{_LOOK})"
    rf"|{_NEED} (?:{_LOOK}))\b",
    _FLAGS,
)
# Further verbs count only with a thing that tools alone reach: "Vou puxar os logs".
_FETCH = (
    r"reler|refazer|reabrir|come[cç]ar (?:pel[oa]s?|com)|releer|rehacer|empezar (?:por|con)|re-?read|re-?check|start with"
    r"|dar um (?!exemplo|resumo)|conectar(?:-me)?|puxar|subir|fazer (?:o |um |uma )?|reproduzir|extrair|disparar|entrar|levantar(?! um)"
    r"|(?:te )?trazer|navegar|clonar|commitar|formatar|contar|mapear|rastrear|copiar|varrer|coletar|capturar"
    r"|medir|depurar|migrar|importar|exportar|imprimir|comparar|filtrar|inserir|publicar"
    r"|connect|pull|bring up|download|reproduce|extract|trigger|go (?:and )?(?:look|check|read)|dig into|grab"
    r"|do an? |commit|clone|navigate|figure out (?:which|where|what)|get an? (?:list|look)|double-check|trace|print"
    r"|count|map|copy (?!you)|collect|capture|measure|debug|migrate|import|export|compare|filter|insert|format|lint"
    r"|profile|parse|gather|ping|spin up"
    r"|hacer (?:el |un |una )?|traer|conectar(?:me)?|extraer|lanzar|copiar|contar|reproducir|comparar|formatear"
    r"|recopilar|rastrear|depurar|medir"
)
_REACHED = (
    r"(?:arquivos?|files?|archivos?|ficheros?|logs?|test(?:e?s?)?|suite|pruebas?|repo|repository|reposit[oó]rio"
    r"|c[oó]digo|code|banco|base de da[dt]os|database|tabelas?|tables?|registros?|records?|dad?tos|dados|data"
    r"|planilha|spreadsheet|p[aá]ginas?|page|site|url|endpoint|api|git|grep|commits?|branch|rama|pods?"
    r"|cont[eê]ine?r(?:es)?|contenedor|containers?|diret[oó]rio|directorio|pasta|carpeta|folder|directory"
    r"|m[oó]dul[oe]s?|failing test|quer(?:y|ies)|consultas?|b[uú]squeda|search|versi[oó]n|vers[aã]o|version|download|diff"
    r"|migra\w+|scripts?|servidor|server|estoque|saldo|cep|config\w*|pedidos?|orders?|where it is (?:called|used)|mudan[cç]as"
    r"|changes|`[^`]+`|\w+\.\w{1,4})(?![\w-])"
)
_SHORT = r"[^,;:]{0,60}"  # the rest of such a sentence is simple
_NOT_ALWAYS = (
    r"(?!.*\b(?:every|daily|always|usually|these days|todos?|todas?|sempre|cada|siempre|diariamente"
    r"|is|are|was|takes?|[eé]|s[aã]o|leva|es|son|tarda|n[aã]o|no|not|t[oó]picos?|resum\w+|summary|recap)\b)"
)
_GERUNDS = (
    r"(?:lendo|abrindo|buscando|pesquisando|executando|verificando|consultando|listando"
    r"|rodando(?! (?:na|no|em|a vers))|leyendo|abriendo|revisando|comprobando|ejecutando(?! (?:en|la vers))"
    r"|reading|opening|searching|checking|executing|listing|fetching|looking (?:up|for|at|into|through)"
    r"|running(?! (?:low|out|late|on|in|as|at|an? |version|python|node|linux)))"
)
_UNDER_WAY = (
    rf"(?:(?:estou|tô|j[aá] estou|estoy|ya estoy|i['’]m|i am) (?:{_SOON} )?"
    r"|(?:(?:ok(?:ay)?|certo|claro|perfeito|beleza|entendido|sure|great|alright|got it|vale|bien|perfecto"
    rf"|(?:one|a|um|un) (?:moment\w*|sec\w*|minut\w*))[,!.:; —–-]+)+){_GERUNDS}"
)
_FUTURE = (
    r"(?:(?:ler|abrir|executar|verificar|consultar|buscar|rodar|listar|conferir)ei"
    r"|(?:leer|abrir|ejecutar|revisar|buscar|consultar|listar|comprobar)é)"
)
_TURN_TO = (
    rf"(?:hora de|es hora de|time to|next up:|bora|gonna|passo(?: agora)? (?:a|à|ao)|paso(?: ahora)? a) "
    rf"(?:{_LOOK}|leitura|lectura|running|reading|checking)"
)
_PRESENT = (
    r"(?:(?=.*\b(?:agora|ahora|j[aá]|ya|enseguida)\b)(?:(?:ahora mismo|agora mesmo|agora|ahora|enseguida|ya|j[aá]) )?(?:l[oa]s? )?"
    r"(?:verifico|consulto|reviso|busco|leio|leo|abro|executo|ejecuto|rodo|compruebo)\b)"
)
_ANNOUNCED_OTHERWISE = regex.compile(
    rf"^{_PREFIX}{_NOT_ALWAYS}(?:(?:(?:{_ONE}) (?:{_SOON},? )?(?:{_FETCH})|{_UNDER_WAY}|{_FUTURE}|{_TURN_TO})\b"
    rf"{_SHORT}?\b{_REACHED}{_SHORT}"
    rf"|{_PRESENT}{_SHORT})$",
    _FLAGS,
)
# What the clause behind a comma announces; not behind a condition, a request or quotes.
_CLAUSE = regex.compile(
    r"^(?!.*\b(?:if|when(?:ever)?|quando|cuando|cas[eo]|regra|regla|rule|once|unless|sempre|siempre|onde|donde|where"
    r"|you|your|voc[eê]s?|tu|t[uú]|usted|o que|lo que|what|me|nos|us|send|share|paste|upload|give|manda\w*|mande\w*"
    r"|envi\w*|pas[ae]\w*|passe\w*|col[ae]\w*|compart\w*|deixar)\b(?! falt))(?!(?:e |y )?s[ei]\b)"
    rf"(?!(?:{_LOOK}|{_ACT})\b)"
    r"[^\"“”«»`:?]{3,160}(?:,|;| [—–-])\s+"
    r"(?:(?:ent[aã]o|so|por isso|as[ií] que|entonces|logo|assim),? )?"
    rf"(?P<clause>(?=.*(?:\b{_REACHED}|[aeêiíá]r?-?l[oa]s?\b|\bit\b))[^,;]+)$",
    _FLAGS,
)
# "Lendo o arquivo…", "Reading the file now.": as if it were under way
_PROGRESS = regex.compile(
    r"^(?:lendo|abrindo|buscando|pesquisando|executando|rodando|verificando|consultando|listando|criando"
    r"|editando|procurando"
    r"|leyendo|abriendo|ejecutando|revisando|comprobando|creando|reading|opening|searching|running|checking|executing"
    r"|listing|creating|editing|fetching|looking (?:up|for|at|into))\b"
    r"(?!.*\b(?:is|are|was|takes?|makes?|does|has|needs?|gives?|works?|pass(?:es)?|fails?|costs?|n[aã]o|[eé]|s[aã]o|est[aá]|leva|muda"
    r"|passa|falha|no|es|son|tarda|toma|cambia|pasa|falla)\b).*(?:…|\.\.\.|\b(?:now|agora|ahora)\W*)$",
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
    r"|(?:you|voc[eê]) (?:confirm|aprov|approv|autoriz)\w*|my best|whatever)\b",
    _FLAGS,
)
# The act is one of speech: the rest of the sentence is its result, or it is about the conversation.
_SPEECH = regex.compile(
    r":\s+\S|\b(?:(?:sua|seu|tua|teu|tu|your) (?:\w+ )?(?:pergunta|hip[oó]tese|pedido|solicita\w+|d[uú]vida"
    r"|ideia|mensagem|pregunta|petici[oó]n|duda|idea|mensaje|question|request|hypothesis|message)"
    r"|(?:minha|meu|mi|my) (?:\w+ )?(?:resposta|entendimento|respuesta|entendimiento|answer|response|reply"
    r"|understanding)"
    r"|(?:qualquer|cualquier|any) (?:d[uú]vida|pregunta|duda|questions?)"
    r"|(?:add|adicionar|acrescentar|agregar|añadir) (?:(?:one|an?|uma?|una?|mais|m[aá]s) ){0,2}(?:thing|point|note|remark|ponto"
    r"|coisa|detalhe|observa[cç][aã]o|nota|punto|cosa|detalle|observaci[oó]n|algo)"
    r"|(?:criar|escrever|create|write|crear|escribir) (?:an?|uma?|una?|the|o|el|la) (?:\w+ )?(?:resumo|resumen"
    r"|summary|poem\w*|example|exemplo|ejemplo|lista|list|story|hist[oó]ria|historia|verse|verso)\b(?! (?:em|en|in|to|no|na) )"
    r"|(?:mas|but|pero|por[eé]m|however)\b.*\b(?:n[aã]o|no|not|can['’]t|cannot|sem|without|sin))\b",
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

_VERBS_PT = (
    "(?:execut|rod|us|cham|alter|mex|modific|edit|apag|cri|grav|escrev|envi|toc|toqu|abr|instal|delet|remov|mud"
    "|comando|ferramenta)\\w*"
)
_VERBS_EN = (
    "(?:run|execut|us(?:e|ing)|call|chang|touch|modify|edit|delet|creat|writ|send|open|read|install|remov|mak|start"
    "|command|tool)\\w*"
)
_VERBS_ES = "(?:ejecut|corr|us|llam|cambi|toc|toqu|modific|edit|borr|cre|escrib|env[ií]|abr|instal|elimin|comando|herramienta)\\w*"
_FORBIDDEN_OTHERWISE = regex.compile(
    rf"\b(?:(?:evite|proibid\w+|proibi\w*|vedad[oa]|nada de|pare de|deixe de) (?:\w+ ){{0,2}}?{_VERBS_PT}"
    rf"|(?:evit[ae]n?|prohib\w+|nada de|deja de|basta de) (?:\w+ ){{0,2}}?{_VERBS_ES}"
    rf"|(?:avoid|refrain from|stop|hold off(?: on)?|forbidden to|prohibited to|not allowed to) (?:\w+ )?{_VERBS_EN}"
    rf"|you (?:(?:must|may|can|should|shall|need|are|will)(?: not|n['’]t)|cannot|can['’]t|won['’]t) (?:\w+ ){{0,2}}?{_VERBS_EN}"
    r"|hands off|(?:keep|stay) away from|no (?:commands?|edits?|(?:\w+ )?changes?|writes?|execution)"
    r"|read[- ]only|only reading|(?:somente|s[oó]|apenas|solo) (?:leitura|lectura|leia|lea|lee)"
    r"|(?:from|de) mem(?:ory|[oó]ria)|de cabe[cç]a"
    r"|(?:s[oó]|apenas|somente|solo|just|only) (?:\w+ ){0,3}?(?:opini\w+|advice|conselho|consejo)"
    r"|(?:mostr\w+|apresent\w+|consult\w+|avis\w+|show|tell|check with|mu[eé]str\w+) (?:\w+ ){0,6}?(?:antes de"
    r"|before))\b",
    _FLAGS,
)
_RESERVED = regex.compile(
    r"\b(?:eu (?:mesm[oa] )?(?:rodo|executo|fa[cç]o|cuido|envio|edito|apago|publico|subo|testo|altero|crio|instalo|decido)"
    r"|deix\w+ (?:\w+ ){0,4}?comigo|(?:pode deixar|deix[ae]) (?:isso )?que eu|quem (?:\w+ ){1,6}?sou eu"
    r"|(?:[eé]|fica\w*) (?:minha|comigo)"
    r"|yo (?:mism[oa] )?(?:l[oa]s? )?(?:ejecuto|hago|corro|env[ií]o|edito|borro|publico|subo|pruebo|reviso|cambio|instalo|decido"
    r"|har[eé]|ejecutar[eé])|(?:hago|ejecuto|corro) yo|me (?:encargo|ocupo)|d[eé]ja(?:me|lo|la)? (?:\w+ ){0,4}?a m[ií]"
    r"|i(?:['’]ll| will|['’]d rather| prefer to) (?:\w+ )?(?:handle|run|push|deploy|do|take care|execute|commit|merge|test|send|edit"
    r"|delete|publish|release|make)|let me (?:run|do|handle|execute|push|deploy|commit|edit|test)|on my own)\b",
    _FLAGS,
)

_FOR_GOOD = regex.compile(
    r"\b(?:nunca|jamais|jam[aá]s|sempre|siempre|never|always|a partir de agora|daqui (?:em|para) (?:diante|a frente)"
    r"|de ahora en adelante|from now on|(?:nesta|em toda a|en esta|in this) (?:sess[aã]o|conversa|sesi[oó]n|conversaci[oó]n"
    r"|session|conversation))\b",
    _FLAGS,
)
# Claude Code sends these in messages of their own, behind results.
_REMINDER, _REMINDER_END = "<system-reminder>", "</system-reminder>"


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
    clause = _CLAUSE.match(bare)
    parts = (bare, clause["clause"]) if clause is not None else (bare,)
    announced = any(pattern.match(part) for part in parts for pattern in (_ANNOUNCED, _ANNOUNCED_OTHERWISE))
    announced = announced or _PROGRESS.match(last.strip("*_ ")) is not None
    return announced and _NOT_NOW.search(last) is None and _SPEECH.search(bare) is None


def forbids_calls(messages: Sequence[Message]) -> bool:
    """Return whether the user forbids calls, or reserves some to the user.

    The last message of the user counts, and an earlier one that forbids for good ("nunca",
    "never"). A message with nothing but a client's reminder is not the user's.
    """
    forbidden, is_last = _forbids, True
    for message in reversed(messages):
        if message["role"] == "user":
            texts = _texts(message.get("content"))
            if any(map(forbidden, texts)):
                return True
            if is_last and any(map(_is_said, texts)):
                forbidden, is_last = _forbids_for_good, False
    return False


def _texts(content: object) -> list[str]:
    parts = [content] if isinstance(content, str) else content if isinstance(content, Sequence) else ()
    texts = (part if isinstance(part, str) else part.get("text") for part in parts)
    return [text for text in texts if isinstance(text, str)]


def _is_said(text: str) -> bool:
    text = text.strip()
    return bool(text) and not (text.startswith(_REMINDER) and text.endswith(_REMINDER_END))


def _forbids_for_good(text: str) -> bool:
    return _FOR_GOOD.search(text) is not None and _forbids(text)


def _forbids(text: str) -> bool:
    return any(pattern.search(text) is not None for pattern in (_FORBIDDEN, _FORBIDDEN_OTHERWISE, _RESERVED))
