"""What the text of an annotation means: a seizure, its start or end, background, or something else.

Texts are compared word by word, without case, accents and digits: ``SZ3``, ``sz`` and ``Sz #3`` are the same. Refusals
come first, since ``no seizure`` and ``post-ictal`` hold the word that they refuse; then ends, starts, and whole words.

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
    """What an annotation says happened."""

    SEIZURE = auto()
    SEIZURE_START = auto()
    SEIZURE_END = auto()
    # A hard negative: psychogenic, for example.
    NON_EPILEPTIC = auto()
    # Somebody looked for seizures and saw none here. Artefacts of TUSZ and SeizeIT2 belong here.
    BACKGROUND = auto()
    # A possible or a reported seizure.
    UNCERTAIN = auto()
    # Says nothing about seizures in this stretch: postictal, calibration, medication.
    NOTE = auto()
    UNKNOWN = auto()


@dataclass(frozen=True)
class Words:
    """Words of a clinic's own, which win over the vocabulary.

    Parameters
    ----------
    seizure, background
        A text that equals one of these has that meaning. In a longer text, a seizure word counts as ``seizure`` does
        (``no WORD``, ``WORD end``), and a background word makes it background.
    """

    seizure: tuple[str, ...] = ()
    background: tuple[str, ...] = ()


NO_WORDS = Words()
MISSING = frozenset(("", "n/a", "na", "none", "null", "nan", "-"))

# Each is a name of a seizure wherever it stands.
SEIZURE = (
    r"seiz|[fg]nsz|[sc]psz|absz|tnsz|cnsz|tcsz|atsz|mysz"
    r"|seizures?|siezures?|szr?s?|convulsions?|convulsive|ictal|s?gtcs?|fbtcs?|btcs?|tcs|fi?as|fia|w?ias|ncse"
    r"|status epilepticus|grand mal|petit mal|(?:epileptic|infantile) (?:attack|event|episode|spasm|fit)s?"
    r"|tonic clonic|crises?|cgtc|etat de mal|tonico clonique"
    r"|(?:krampf)?anfae?ll(?:e|en|s)?|iktal(?:e[nrs]?)?|gtka"
    r"|crisis|convulsiones|estado epileptico|crisi|convulsion[ei]|stato epilettico"
)
# Each names a type of seizure; beside other words it need not.
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
    # Elsewhere these are prepositions: `seizure over the left temporal lobe`.
    r"|(?:over|off)$"
)
NON_EPILEPTIC = (
    r"nesz|p?nes|pnea|nead|cnep|cpne|pseudo ?(?:seizures?|crises?|crisis|crisi|anfall\w*)"
    r"|psychogen\w*|psicogen\w*|dissoziat\w*|dissociat\w*|disociat\w*"
    r"|(?:non|not|nicht|no) ?epile[pt](?!tiform)\w*|funktionell\w*|functional|hysteri\w*|isteric\w*|histeric\w*"
)
# Crises of other kinds, where a word for a seizure is there.
OTHER_CRISIS = (
    r"angoisse|panique|panik|panic\w*|ansiedad|ansia|anxiety|nerfs|nervios|larmes|asthm\w*|asma|cardiaque|cardiaca"
    r"|hypertensi\w*|hipertensi\w*|ipertensi\w*|toux|tosse|syncop\w*|sincop\w*"
)
# States around a seizure, and what treats, tests or records seizures.
ABOUT_SEIZURES = (
    r"post ?(?:ictal\w*|iktal\w*|kritisch\w*|critic\w*|critique|seizures?|sz|crise|crisis|crisi)"
    r"|(?:pre|prae|peri) ?(?:ictal\w*|iktal\w*|critique|seizures?|sz|crise|crisis|crisi)"
    r"|(?:after|before|since|until|between|apres|avant|depuis|nach|vor|seit|despues de|antes de|dopo|prima di)"
    rf" (?:\w+ )?(?:{SEIZURE})"
    r"|anti ?(?:seizures?|epilep\w*|convuls\w*|konvuls\w*|crise)|asms?|aeds?|meds?|medication|medikation|medikament\w*"
    r"|medicament\w*|farmac\w*|drugs?|dose|tablets?|pills?|precautions?|protocol|tests?|testing|example|exemple"
    r"|ejemplo|esempio|beispiel|demo|simulat\w*|threshold|focus|clinic|disorder|risk|diary|pads?|log|zone|semiology|related"
    r"|kalender|tagebuch|protokoll|frequenz|haufigkeit|anamnese|risiko|schwelle|prophylaxe|bereitschaft|schutz"
)
NEGATION = (
    r"no|not|non(?! (?:motor|convuls|focal))|without|w o|never|free of|absence (?:of|de|d)|denies|denied|negative for"
    r"|pas|sans|aucune?|kein\w*|ohne|nicht|sin|ningun\w*|ausencia de|senza|nessun\w*|assenza di"
)
DOUBT = (
    r"poss|possibl[ey]|probabl[ey]|suspected|suspicious|suspicion|questionable|maybe|equivocal|likely|unclear|doubtful|rule"
    r"|r o|vs|versus|like|fraglich\w*|moglich\w*|verdacht\w*|wahrscheinlich\w*|unklar\w*|vermutlich\w*|evtl|eventuell"
    r"|artig\w*|suspectee?|douteu\w*|posible|sospech\w*|dudos\w*|possibile|probabile|sospett\w*|dubbi[ao]"
    r"|alarms?|alerts?|detect\w*|alarme|reports?|reported|says|said|told|history|hx|yesterday|previous|prior|family"
    r"|mother|father|husband|wife|nurse|asks|asked|gave|given|home"
)
# Somebody pressed a button, or felt an aura: weak evidence.
REPORTED = r"(?:push ?|event )?buttons?|pushbutton|druckknopf|bouton|boton|pulsante|patient event|auras?"
# A longer text is a sentence about a seizure, not the name of one.
MAX_WORDS = 8
ARTEFACT = r"artf|eyem|eybl|chew|shiv|musc|elpp|elst|elec|calb|hphs|trip|impd|intr|slow"
BACKGROUND = r"bckg|bkgd?|background|baseline|hintergrund|fondo|sfondo|inter ?(?:ict|ikt|cri)\w+"
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
_SEIZURE, _START, _END = _any(SEIZURE), _any(START), _any(END)
_NEGATED = _any(
    rf"(?:{NEGATION}) (?:\w+ ){{0,2}}(?:{SEIZURE})|(?:{SEIZURE}) (?:free|frei\w*)"
    rf"|(?:{SEIZURE}) (?:none|no|non|nein|absente?|excluded|negative|ruled out)$"
)
_NON_EPILEPTIC, _OTHER_CRISIS, _ABOUT_SEIZURES = _any(NON_EPILEPTIC), _any(OTHER_CRISIS), _any(ABOUT_SEIZURES)
_DOUBT, _REPORTED, _BACKGROUND, _NOTE = _any(DOUBT), _any(REPORTED), _any(BACKGROUND), _any(NOTE)
_TYPE, _ONLY_TYPE = _any(TYPE), re.compile(rf"(?:(?:{TYPE}|{BESIDE_TYPE}|\w)(?: |$))+")
_ARTEFACTS = re.compile(rf"(?:(?:{ARTEFACT})(?: |$))+")
_NORMAL = re.compile(r"(?:(?:normal|eeg|ecg|ekg|sinus|rhythm|recording)(?: |$))*normal(?: (?:eeg|ecg|ekg|recording))?")
# `EEG onset JB`, and `Z EVENT OVER`, whose first letter was cut off.
_EDGE_OF_EEG = re.compile(r"(?:(?:eeg|clin\w*|klin\w*|electro?\w*) )+(on|off)set(?: \w{1,2})?")
_CUT_END = re.compile(rf"z (?:event )?(?:{END})")
# These are marks of seizures only in a file that has both a start and an end.
_BARE_START = re.compile(r"(?:definite )?(?:onset|start|begin|beginn|debut|inicio|inizio)(?: \w)?|dc")
_BARE_END = re.compile(r"(?:definite )?(?:offset|off|end|stop|ende|fin|fine)(?: \w)?|offset with \w+|end fast|fc")


def is_missing(text: str) -> bool:
    """Whether a cell of a table says nothing, as ``n/a`` does."""
    return text.strip().casefold() in MISSING


def is_seizure(text: str) -> bool:
    """Whether a text names a seizure, or its start.

    Examples
    --------
    >>> [text for text in ("cpsz", "Focal seizure", "crise", "nesz", "sz end", "no seizure") if is_seizure(text)]
    ['cpsz', 'Focal seizure', 'crise']
    """
    return meaning(text) in (Meaning.SEIZURE, Meaning.SEIZURE_START)


def meaning(text: str, own: Words = NO_WORDS) -> Meaning:
    """Return what a text means by itself.

    Parameters
    ----------
    text
        Type or comment of an event.
    own
        Words of the clinic that wrote it.

    Examples
    --------
    >>> [meaning(text).name for text in ("SZ OFF", "nesz", "Anfall?", "Turnus 3")]
    ['SEIZURE_END', 'NON_EPILEPTIC', 'UNCERTAIN', 'UNKNOWN']
    >>> meaning("Turnus 3", Words(seizure=("Turnus",))).name
    'SEIZURE'
    """
    folded, words = _folded(text), " ".join(_words(text))
    for phrases, said in ((own.seizure, Meaning.SEIZURE), (own.background, Meaning.BACKGROUND)):
        if any(folded == _folded(phrase) for phrase in phrases):
            return said
    if folded in MISSING:
        return Meaning.NOTE
    if any(_holds(words, phrase) for phrase in own.background):
        return Meaning.BACKGROUND
    for phrase in own.seizure:
        if pattern := _holds(words, phrase):
            words = pattern.sub("seizure", words)
    return _meaning(words, "?" in text)


def meanings(texts: Iterable[str], own: Words = NO_WORDS) -> dict[str, Meaning]:
    """Return what each text of a file means; a bare ``onset`` or ``end`` is of a seizure where both occur."""
    known = {text: meaning(text, own) for text in dict.fromkeys(texts)}
    edges = {}
    for text, said in known.items():
        if said is Meaning.UNKNOWN:
            words = " ".join(_words(text))
            if _BARE_START.fullmatch(words):
                edges[text] = Meaning.SEIZURE_START
            elif _BARE_END.fullmatch(words):
                edges[text] = Meaning.SEIZURE_END
    return known | edges if len(set(edges.values())) == 2 else known


@lru_cache(maxsize=4096)
def _meaning(words: str, questioned: bool) -> Meaning:
    """Return the meaning of words in lower case; ``questioned`` where a question mark was among them."""
    names_seizure = _SEIZURE.search(words) is not None
    if _NON_EPILEPTIC.search(words) or (names_seizure and _OTHER_CRISIS.search(words)):
        return Meaning.NON_EPILEPTIC
    if _ABOUT_SEIZURES.search(words):
        return Meaning.NOTE
    if _NEGATED.search(words) or _BACKGROUND.search(words):
        return Meaning.BACKGROUND
    if not names_seizure:
        return _meaning_of_others(words, questioned)
    if questioned or _DOUBT.search(words) or _REPORTED.search(words) or len(words.split()) > MAX_WORDS:
        return Meaning.UNCERTAIN
    return _edge(words) or Meaning.SEIZURE


def _meaning_of_others(words: str, questioned: bool) -> Meaning:
    """Return the meaning of words none of which names a seizure by itself."""
    if eeg := _EDGE_OF_EEG.fullmatch(words):
        return Meaning.SEIZURE_START if eeg[1] == "on" else Meaning.SEIZURE_END
    if _CUT_END.fullmatch(words):
        return Meaning.SEIZURE_END
    if _TYPE.search(words) and _ONLY_TYPE.fullmatch(words):
        return Meaning.UNCERTAIN if questioned else Meaning.SEIZURE
    if _REPORTED.search(words):
        return Meaning.UNCERTAIN
    if _ARTEFACTS.fullmatch(words) or _NORMAL.fullmatch(words):
        return Meaning.BACKGROUND
    return Meaning.NOTE if _NOTE.search(words) else Meaning.UNKNOWN


def _edge(words: str) -> Meaning | None:
    """Whether a text that names a seizure is about its end or its start: the later word of these decides."""
    starts, ends = ([found.start() for found in edge.finditer(words)] for edge in (_START, _END))
    if not starts and not ends:
        return None
    return Meaning.SEIZURE_END if max(ends, default=-1) > max(starts, default=-1) else Meaning.SEIZURE_START


def _holds(words: str, phrase: str) -> re.Pattern[str] | None:
    """Pattern of a phrase, where it is among the words."""
    pattern = re.compile(rf"\b{re.escape(' '.join(_words(phrase)))}\b")
    return pattern if _words(phrase) and pattern.search(words) else None


def _words(text: str) -> list[str]:
    """Words in lower case, without numbers; compounds such as Anfallsende and seizureStart are taken apart."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", text)
    plain = _COMPOUND.sub(r"\1\2 ", _NUMBER.sub(" ", _folded(spaced)))
    return re.findall(r"[^\W\d_]+", plain)


def _folded(text: str) -> str:
    """Text in lower case without accents and repeated blanks."""
    if not text.isascii():
        text = "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
    return " ".join(text.casefold().split())
