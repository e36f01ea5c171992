"""Classify the text of an annotation: a seizure, its start or end, background, or something else.

Texts are compared word by word, without case, accents and digits: ``SZ3``, ``sz`` and ``Sz #3`` are the same. Phrases
such as ``no seizure`` and ``post-ictal`` are removed first: they refuse the seizure word within them and no other. A
remaining seizure word names a seizure (``seizure, postictal confusion``); after a refusal, it is uncertain
(``baseline, seizure``).

References
----------
TUSZ: Shah V et al. Front Neuroinform 2018;12:83. doi:10.3389/fninf.2018.00083
SzCORE: Dan J et al. Epilepsia 2024. doi:10.1111/epi.18113
ILAE: Beniczky S et al. Epilepsia 2025. doi:10.1111/epi.18338
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache


class Meaning(Enum):
    """What an annotation describes."""

    SEIZURE = auto()
    SEIZURE_START = auto()
    SEIZURE_END = auto()
    # A hard negative, such as a psychogenic event.
    NON_EPILEPTIC = auto()
    # An annotator looked for seizures and saw none. Artefacts of TUSZ and SeizeIT2 belong here.
    BACKGROUND = auto()
    # A possible or a reported seizure.
    UNCERTAIN = auto()
    # Tells nothing about seizures in this stretch: postictal, calibration, medication.
    NOTE = auto()
    UNKNOWN = auto()


@dataclass(frozen=True)
class Words:
    """A clinic's own words, which take precedence over the vocabulary.

    Parameters
    ----------
    seizure, background
        A text that equals one of these words has that meaning. Within a longer text, a seizure word counts like
        ``seizure`` (``no WORD``, ``WORD end``), and a background word makes the text background.
    """

    seizure: tuple[str, ...] = ()
    background: tuple[str, ...] = ()


NO_WORDS = Words()
MISSING = frozenset(("", "n/a", "na", "none", "null", "nan", "-"))

# Each of these names a seizure in any context.
SEIZURE = (
    r"seiz|[fg]nsz|[sc]psz|absz|tnsz|cnsz|tcsz|atsz|mysz"
    r"|seizures?|siezures?|szr?s?|convulsions?|convulsive|ictal|s?gtcs?|fbtcs?|btcs?|tcs|fi?as|fia|w?ias|ncse"
    r"|status epilepticus|grand mal|petit mal|(?:epileptic|infantile) (?:attack|event|episode|spasm|fit)s?"
    r"|tonic clonic|crises?|cgtc|etat de mal|tonico clonique"
    r"|(?:krampf)?anfae?ll(?:e|en|s)?|iktal(?:e[nrs]?)?|gtka"
    r"|crisis|convulsiones|estado epileptico|crisi|convulsion[ei]|stato epilettico"
)
# Each of these names a type of seizure, but only by itself or beside words of BESIDE_TYPE.
TYPE = (
    r"focal|focale|fokal|generali[sz]ed|generalisee|generalisiert|generalizada|generalizzata|bilateral|tonic|clonic"
    r"|atonic|myoclonic|tonisch|klonisch|hyperkinetic|absences?|absencen|ausencias?|assenz[ae]|fits?|cps|sps|status"
)
BESIDE_TYPE = (
    r"aware|unaware|awareness|impaired|preserved|consciousness|motor|nonmotor|non|onset|to|with|complex|simple|partial|left"
    r"|right|typical|atypical|secondarily|evolving|epileptic|unilateral"
)
START = (
    r"onset|starts?|started|starting|begins?|began|beginning|deb|debut|commence|commencement|beginn|beginnt|anfang|inicio"
    r"|comienzo|inizio|esordio"
)
END = (
    r"offset|ends?|ended|ending|stops?|stopped|stopping|finish|finished|cessation|termination|terminated|resolved"
    r"|fin|arret|terminee?|ende|endet|beendet|vorbei|final(?= de)|termina|fine(?= (?:\w+ )?crisi)|(?<=crisi )fine"
    # Only at the end of a text; elsewhere they are prepositions: `seizure over the left temporal lobe`.
    r"|(?:over|off)$"
)
# Repetitions are bounded, so that the time grows with the length of a text and no faster.
SEIZURES = rf"(?:{SEIZURE})(?: (?:{SEIZURE})){{0,3}}"
# Words allowed between a refusal and the seizure word that it refuses: `no clinical seizure`.
BETWEEN = (
    r"an?|any|the|further|more|new|other|another|evidence|signs?|of|recorded|definite|obvious|overt|clear|typical|habitual"
    r"|clinical|subclinical|electrographic|electroclinical|electrical|eeg|ecg|epilep\w*|actual|real|true|had|have|has|been"
    r"|was|were|is|are|seen|or|and|nor|oder|und|first|second|third|last|previous|brief|short|prolonged|convulsive|nocturnal"
    r"|focal\w*|fokal\w*|generali[sz]\w*|bilateral|tonic|clonic|atonic|myoclonic|tonisch\w*|klonisch\w*|absences?|complex\w*"
    r"|komplex\w*|simple|partial|partielles?|left|right|temporal|frontal|febrile"
    r"|de|d|du|des|la|les?|l|une?|nouvelles?|autres?|dernieres?|premieres?|cliniques?|electriques?|infracliniques?"
    r"|weitere\w*|klinische\w*|elektrographische\w*|neue\w*|erste\w*|zweite\w*|letzte\w*|dem|den|der|die|das|ein\w*"
    r"|hinweise? auf|las?|el|nuev\w*|clinic[ao]s?|parcial\w*|ultim\w*|primer\w*|della|delle|alcun\w*|nuov\w*|cliniche"
    r"|ulterior\w*"
)
# A seizure word that is attached to the refusal before it.
ATTACHED = rf"(?: (?:{BETWEEN})){{0,5}} {SEIZURES}"
NON_EPILEPTIC_NAME = r"nesz|p?nes|pnea|nead|cnep|cpne|pseudo ?(?:seizures?|crises?|crisis|crisi|anfall\w*)"
NON_EPILEPTIC_KIND = (
    r"psychogen\w*|psicogen\w*|dissoziat\w*|dissociat\w*|disociat\w*"
    r"|(?:non|not|nicht|no) ?epile[pt](?!tiform)\w*|funktionell\w*|functional|hysteri\w*|isteric\w*|histeric\w*"
)
# Other kinds of crises, beside a word for a crisis.
OTHER_CRISIS = (
    r"angoisse|panique|panik|panic\w*|ansiedad|ansia|anxiety|nerfs|nervios|larmes|asthm\w*|asma|cardiaque|cardiaca"
    r"|hypertensi\w*|hipertensi\w*|ipertensi\w*|toux|tosse|syncop\w*|sincop\w*"
)
AROUND = (
    r"after|following|before|since|until|between|apres|avant|depuis|nach|vor|seit|despues de|antes de|dopo|prima di"
)
# Treatment, tests and topics beside a word for a seizure: `seizure medication`.
TREATMENT = (
    r"asms?|aeds?|meds?|medication|medikation|medikament\w*|medicament\w*|medicacion|farmac\w*|drugs?|dose|tablets?"
    r"|pills?"
)
TEST = r"protocol|tests?|testing|example|exemple|ejemplo|esempio|beispiel|demo|simulat\w*"
TOPIC = (
    rf"{TREATMENT}|{TEST}|precautions?|threshold|focus|clinic|disorder|risk|diary|pads?|log|zone|semiology|related"
    r"|kalender|tagebuch|protokoll|frequenz|haufigkeit|anamnese|risiko|schwelle|prophylaxe|bereitschaft|schutz"
)
NEGATION = (
    r"no|not|without|w o|never|free of|absence (?:of|de|d)|denies|denied|negative for"
    r"|pas|sans|aucune?|kein\w*|ohne|nicht|sin|ningun\w*|ausencia de|senza|nessun\w*|assenza di"
)
# States that a negation beside a seizure is about: `patient not responding, seizure`.
STATE = (
    r"respon\w*|reacti\w*|react\w*|aware\w*|conscious\w*|awake|speaking|talking|moving|verbal|auras?|warnings?|prodrom\w*"
    r"|ansprechbar\w*|reagi\w*|wach|bei bewusstsein|bewusst\w*|vorboten|vorwarnung|repons\w*|repond\w*|reagit"
    r"|prevenir|preavis|respuesta|reacciona|aviso|risposta|rispond\w*|reagisce|preavviso"
)
GIVEN = r"given|administered|taken|missed|gegeben|verabreicht|donnee?s?|dad[oa]s?|dat[oaie]"
DOUBT = (
    r"poss|possibl[ey]|probabl[ey]|suspected|suspicious|suspicion|questionable|maybe|equivocal|likely|unclear|doubtful|rule"
    r"|r o|vs|versus|like|fraglich\w*|moglich\w*|verdacht\w*|wahrscheinlich\w*|unklar\w*|vermutlich\w*|evtl|eventuell"
    r"|artig\w*|suspectee?|douteu\w*|posible|sospech\w*|dudos\w*|possibile|probabile|sospett\w*|dubbi[ao]"
    r"|alarms?|alerts?|detect\w*|alarme|reports?|reported|says|said|told|history|hx|yesterday|previous|prior|family"
    r"|mother|father|husband|wife|nurse|asks|asked|gave|given|home"
    # The semicolon stands for a removed refusal: `seizure or PNES`.
    rf"|(?:or|oder|ou) ;|(?:{TREATMENT}) (?:{GIVEN})"
)
# A pressed button or an aura is weak evidence.
REPORTED = r"(?:push ?|event )?buttons?|pushbutton|druckknopf|bouton|boton|pulsante|patient event|auras?"
# A longer text is a sentence about a seizure, not its name.
MAX_WORDS = 8
ARTEFACT = r"artf|eyem|eybl|chew|shiv|musc|elpp|elst|elec|calb|hphs|trip|impd|intr|slow"
INTERICTAL = r"inter ?(?:ict|ikt|cri)\w+"
BACKGROUND = rf"bckg|bkgd?|background|baseline|hintergrund|fondo|sfondo|{INTERICTAL}"
NOTE = (
    r"rec|recording|calibration|cal|calib|impedance|imp|montage|segment|gap|photic|hyperventilation|hv|eyes"
    r"|artefacts?|artifacts?|artefakte?|movement|sleep|asleep|awake|spikes?|spsw|gpeds?|pleds?|lpds?|sharp|slowing|discharges?"
    r"|electrode|check|epileptiform|video|lights?|paused?|resumed?"
)


def _any(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})(?!\w)")


_NUMBER = re.compile(r"\bn(?:o|r|um|umber|umero|ummer)?[\s.:°#]*\d+(?![a-z\d])")
_COMPOUND = re.compile(
    r"\b(?:(?:krampf)?(anfall)s?(?=[a-z]{3})|(seizure|seiz|sz)(?=(?:onset|start|begin|offset|end|stop|over|off)\b))"
)
# The point after a shorter word may belong to an abbreviation.
_CLAUSE_END = re.compile(r"[;:|!]| [-\u2013\u2014]+ |(?<=\w{5})\.(?= )")
_SEIZURE, _START, _END = _any(SEIZURE), _any(START), _any(END)
# Phrases that refuse a seizure, with the meaning that they have themselves; a comma is the end of a clause.
_REFUSALS = (
    (
        _any(
            rf"(?:{NON_EPILEPTIC_KIND})(?: (?:{BETWEEN}|{NON_EPILEPTIC_KIND})){{0,5}} {SEIZURES}"
            rf"|{SEIZURES}(?: ,)?(?: (?!or|oder)(?:{BETWEEN})){{0,2}} (?:{NON_EPILEPTIC_KIND}|{NON_EPILEPTIC_NAME})"
            rf"|(?:{NON_EPILEPTIC_NAME})(?: {SEIZURES})?"
            rf"|(?:crises?|crisis|crisi)(?: (?!avec|con|et|y|e|puis)\w+)?(?: (?:de|d|du|di|da))? (?:{OTHER_CRISIS})"
            rf"|(?:{OTHER_CRISIS}) (?:crisis|crises?|anfae?ll\w*)|convulsive syncop\w*|syncop\w* convuls\w*"
        ),
        Meaning.NON_EPILEPTIC,
    ),
    (
        _any(
            r"(?:post|pre|prae|peri) ?(?:ictal\w*|iktal\w*|critique|seizures?|sz|crise|crisis|crisi)"
            rf"(?:(?: \w+){{0,2}} (?:of|from|to|after|following|de|du|des|nach){ATTACHED})?"
            rf"|post ?(?:kritisch|critic)\w*|(?:post|pre|prae|peri|{AROUND}){ATTACHED}"
            rf"|anti ?(?:seizures?|epilep\w*|convuls\w*|konvuls\w*|crise)"
            rf"|{SEIZURES} (?:rescue |onset )?(?:{TOPIC})(?! (?:{GIVEN}|resistant|refractory)\b)"
            rf"|{SEIZURES}(?: ,)? (?:{TEST})$|(?:{TEST}) {SEIZURES}"
            rf"|(?:{TOPIC}) (?:for|of|fur|pour|para|per|von|bei){ATTACHED}"
        ),
        Meaning.NOTE,
    ),
    (
        _any(
            rf"(?:{NEGATION}){ATTACHED}(?: (?:or|nor|oder|ou|ni|o){ATTACHED}){{0,3}}"
            rf"|(?:{NEGATION})(?: \w+){{1,3}} (?:or|nor|oder|noch|ou|ni){ATTACHED}"
            rf"|non (?!convuls)(?:(?:ci|sono|si|osservano|registrano|ha|avuto|piu|altre) ){{0,5}}{SEIZURES}"
            rf"|{SEIZURES} (?:free|frei\w*)(?! (?:of|from|von))"
            rf"|{SEIZURES}(?: ,)? (?:none|no|non|nein|absente?|excluded|negative|ruled out)$"
            rf"|{SEIZURES}(?: (?:was|were))? not (?:seen|observed|recorded|captured|present)$|{INTERICTAL}"
        ),
        Meaning.BACKGROUND,
    ),
)
# Negations that do not refuse the seizure beside them.
_BESIDE = _any(
    rf"(?:{NEGATION}|non)(?: (?:an?|any|de|d|bei))? (?:{STATE})|(?:{STATE}) (?:nicht|pas|not|no)(?= ,|$)"
    rf"|(?<=, )(?:\w+ )?(?:{TREATMENT})(?: \w+)? (?:{GIVEN})"
)
_NON_EPILEPTIC, _TOPIC = _any(rf"{NON_EPILEPTIC_NAME}|{NON_EPILEPTIC_KIND}"), _any(TOPIC)
# A seizure word after one of these is uncertain, unless both are a known phrase: `baseline, seizure`.
_BEFORE = _any(
    rf"{NEGATION}|non(?! (?:motor|convuls|focal|\w+(?:ed|al|ing|ive|ous|ant))\b)|{AROUND}|{BACKGROUND}|{OTHER_CRISIS}"
    rf"|{TEST}|{TREATMENT}|focus|clinic|risk"
)
_DOUBT, _REPORTED, _BACKGROUND, _NOTE = _any(DOUBT), _any(REPORTED), _any(BACKGROUND), _any(NOTE)
_TYPE, _ONLY_TYPE = _any(TYPE), re.compile(rf"(?:(?:{TYPE}|{BESIDE_TYPE}|\w)(?: |$))+")
_ARTEFACTS = re.compile(rf"(?:(?:{ARTEFACT})(?: |$))+")
_NORMAL = re.compile(r"(?:(?:normal|eeg|ecg|ekg|sinus|rhythm|recording)(?: |$))*normal(?: (?:eeg|ecg|ekg|recording))?")
# `EEG onset JB`, and `Z EVENT OVER`, whose first letter was cut off.
_EDGE_OF_EEG = re.compile(r"(?:(?:eeg|clin\w*|klin\w*|electro?\w*) )+(on|off)set(?: \w{1,2})?")
_CUT_END = re.compile(rf"z (?:event )?(?:{END})")
# An end in a clause of its own; in `seizure, stops talking` the seizure does not end.
_OWN_END = re.compile(rf"(?:\w+ )?(?:{END})(?: \w)?(?: (?:after|at|by|with|in|nach|apres|um|durch) .*)?")
# Marks of seizures only if a file has both a start and an end.
_BARE_ONSET = re.compile(r"(?:definite )?onset(?: \w)?|dc")
_BARE_OFFSET = re.compile(r"(?:definite )?offset(?: \w)?|definite off|offset with \w+|fc")
# The same, and only if the file names a seizure as well: they can be marks of the recording.
_BARE_START = re.compile(r"(?:definite )?(?:start|begin|beginn|debut|inicio|inizio)(?: \w)?")
_BARE_END = re.compile(r"(?:definite )?(?:end|off|stop|ende|fin|fine)(?: \w)?|end fast")


def is_missing(text: str) -> bool:
    """Whether a cell of a table has no value, such as ``n/a``."""
    return text.strip().casefold() in MISSING


def is_seizure(text: str, own: Words = NO_WORDS) -> bool:
    """Whether a text names a seizure or its start.

    Examples
    --------
    >>> [text for text in ("cpsz", "Focal seizure", "crise", "nesz", "sz end", "no seizure") if is_seizure(text)]
    ['cpsz', 'Focal seizure', 'crise']
    """
    return meaning(text, own) in (Meaning.SEIZURE, Meaning.SEIZURE_START)


def is_no_seizure(text: str, own: Words = NO_WORDS) -> bool:
    """Whether a text is known not to name a seizure; False for uncertain and unknown texts."""
    return meaning(text, own) in (Meaning.BACKGROUND, Meaning.NON_EPILEPTIC, Meaning.NOTE)


def meaning(text: str, own: Words = NO_WORDS) -> Meaning:
    """Return what a text means by itself.

    Parameters
    ----------
    text
        Type or comment of an event.
    own
        The clinic's own words.

    Examples
    --------
    >>> [meaning(text).name for text in ("SZ OFF", "nesz", "Anfall?", "Turnus 3")]
    ['SEIZURE_END', 'NON_EPILEPTIC', 'UNCERTAIN', 'UNKNOWN']
    >>> meaning("Turnus 3", Words(seizure=("Turnus",))).name
    'SEIZURE'
    """
    folded, clauses = _folded(text), _clauses(text)
    for phrases, own_meaning in ((own.seizure, Meaning.SEIZURE), (own.background, Meaning.BACKGROUND)):
        if any(folded == _folded(phrase) for phrase in phrases):
            return own_meaning
    if folded in MISSING:
        return Meaning.NOTE
    if any(_holds(clauses, phrase) for phrase in own.background):
        return Meaning.BACKGROUND
    for phrase in own.seizure:
        if pattern := _holds(clauses, phrase):
            clauses = pattern.sub("seizure", clauses)
    return _meaning(clauses, "?" in text)


def meanings(texts: Iterable[str], own: Words = NO_WORDS) -> dict[str, Meaning]:
    """Return what each text of a file means.

    Bare marks such as ``onset`` and ``end`` belong to seizures if the file has both a start and an end. ``start`` and
    ``end`` are uncertain if no other text names a seizure, its onset or its offset.
    """
    alone = {text: meaning(text, own) for text in dict.fromkeys(texts)}
    bare = {text: edge for text, kind in alone.items() if kind is Meaning.UNKNOWN and (edge := _bare_edge(text))}
    if len({kind for kind, _ in bare.values()}) < 2:
        return alone
    named = {Meaning.SEIZURE, Meaning.SEIZURE_START, Meaning.SEIZURE_END} & set(alone.values())
    clear = named or any(clear for _, clear in bare.values())
    return alone | {text: kind if clear else Meaning.UNCERTAIN for text, (kind, _) in bare.items()}


def is_bare_edge(text: str) -> bool:
    """Whether a text is a bare mark such as ``onset`` or ``End 2``, without the word for what begins or ends."""
    return _bare_edge(text) is not None


def _bare_edge(text: str) -> tuple[Meaning, bool] | None:
    """Return whether a bare mark is a start or an end, and whether its word is typical of seizures; else None."""
    words = _joined(_clauses(text))
    for start, end, clear in ((_BARE_ONSET, _BARE_OFFSET, True), (_BARE_START, _BARE_END, False)):
        if start.fullmatch(words):
            return Meaning.SEIZURE_START, clear
        if end.fullmatch(words):
            return Meaning.SEIZURE_END, clear
    return None


@lru_cache(maxsize=4096)
def _meaning(clauses: str, questioned: bool) -> Meaning:
    """Return the meaning of words in lower case; ``questioned`` if a question mark was among them."""
    rest, refused = _BESIDE.sub(",", clauses), None
    for refusal, refusal_meaning in _REFUSALS:
        rest, n_refused = refusal.subn(";", rest)
        refused = refused or (refusal_meaning if n_refused else None)
    seizure = _SEIZURE.search(rest)
    if seizure is None:
        return _meaning_of_others(rest, refused, questioned)
    loose = _BEFORE.search(rest)
    after_refusal = ";" in rest[: seizure.start()] or (loose is not None and loose.start() < seizure.start())
    doubted = questioned or any(pattern.search(rest) for pattern in (_DOUBT, _REPORTED, _NON_EPILEPTIC))
    if after_refusal or doubted or len(_joined(clauses).split()) > MAX_WORDS:
        return Meaning.UNCERTAIN
    return _edge(rest)


def _meaning_of_others(rest: str, refused: Meaning | None, questioned: bool) -> Meaning:
    """Return the meaning of words without a seizure word; ``refused`` is the meaning of a removed refusal, if any."""
    words = _joined(rest)
    loose = ((_NON_EPILEPTIC, Meaning.NON_EPILEPTIC), (_TOPIC, Meaning.NOTE), (_BACKGROUND, Meaning.BACKGROUND))
    refused = refused or next((kind for pattern, kind in loose if pattern.search(words)), None)
    if refused:
        # `absence, postictal confusion`
        first, *others = rest.split(" ,")
        return Meaning.UNCERTAIN if others and _names_type(first) else refused
    if eeg := _EDGE_OF_EEG.fullmatch(words):
        return Meaning.SEIZURE_START if eeg[1] == "on" else Meaning.SEIZURE_END
    if _CUT_END.fullmatch(words):
        return Meaning.SEIZURE_END
    if _names_type(words):
        return Meaning.UNCERTAIN if questioned else Meaning.SEIZURE
    if _REPORTED.search(words):
        return Meaning.UNCERTAIN
    if _ARTEFACTS.fullmatch(words) or _NORMAL.fullmatch(words):
        return Meaning.BACKGROUND
    return Meaning.NOTE if _NOTE.search(words) else Meaning.UNKNOWN


def _names_type(words: str) -> bool:
    """Whether words are the name of a type of seizure and nothing else."""
    return _TYPE.search(words) is not None and _ONLY_TYPE.fullmatch(words) is not None


def _edge(rest: str) -> Meaning:
    """Return whether a text with a seizure word means the start, the end or, as with both words, the seizure."""
    starts = _START.search(rest) is not None
    if not starts:
        for clause in re.split(r"[,;]", rest):
            words = clause.strip()
            if _END.search(words) and (_SEIZURE.search(words) or _OWN_END.fullmatch(words)):
                return Meaning.SEIZURE_END
    return Meaning.SEIZURE_START if starts and not _END.search(rest) else Meaning.SEIZURE


def _holds(clauses: str, phrase: str) -> re.Pattern[str] | None:
    """Return the pattern of a phrase if the words contain it."""
    words = _joined(_clauses(phrase)).split()
    pattern = re.compile(rf"\b{'(?: ,)? '.join(map(re.escape, words))}\b")
    return pattern if words and pattern.search(clauses) else None


def _joined(clauses: str) -> str:
    """Return the words without the marks between them."""
    return " ".join(re.findall(r"\w+", clauses))


def _clauses(text: str) -> str:
    """Return the words in lower case, without numbers, with a comma between clauses.

    Compounds such as Anfallsende and seizureStart are split.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", text)
    plain = _COMPOUND.sub(r"\1\2 ", _NUMBER.sub(" ", _folded(spaced)))
    words = re.findall(r"[^\W\d_]+|,", _CLAUSE_END.sub(" , ", plain))
    return re.sub(r"(?: ,)+", " ,", " ".join(words)).strip(" ,")


def _folded(text: str) -> str:
    """Return the text in lower case, without accents and repeated spaces."""
    if not text.isascii():
        text = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return " ".join(text.casefold().split())
