"""The vocabulary of annotations, in both directions: what is a seizure, and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura.formats.vocabulary import Meaning, Words, is_missing, is_seizure, meaning, meanings

TEXTS = {
    Meaning.SEIZURE: """
        FAS | GTKA | focal unaware | ausencia | assenza | crisi di assenza | crisis de ausencia
        seiz | SEIZ | seizure | seizures | Seizure 3 | SEIZURE #17 | seizure_2 | sz | SZ | Sz3 | sz1 | SZ10
        SZ1P | szr | fnsz | gnsz | spsz | cpsz | absz | tnsz | cnsz | tcsz | atsz | mysz | CPSZ | sz_foc
        sz_foc_a | sz_foc_ia | sz_foc_ua | sz_foc_ia_nm | sz_foc_ia_m_automatisms | sz_foc_f2b | sz_gen
        sz_gen_m_tonicClonic | sz_gen_nm_absence | sz_uo | sz_uo_m_hyperkinetic | sz_uo_m_tonicMyio | Sz_gen
        ictal | ICTAL | Ictal EEG | EEG SZ | SZ EVENT # (PB SZ) | SZ EVENT | clinical seizure
        electrographic seizure | subclinical seizure | Seizure (L temporal) | left temporal seizure
        Seizure no. 3 | Seizure n 1 | seizure nr 4 | Focal seizure | focal aware seizure
        focal impaired awareness seizure | focal non-motor seizure | sGTCS
        Focal to bilateral tonic-clonic seizure | generalized tonic-clonic seizure | non-convulsive seizure
        GTC | nonconvulsive seizure | Generalised seizure | FBTCS | FBTC | GTCS | FIAS | FIA | IAS | WIAS | NCSE
        convulsion | focal | generalized | generalised | Focal aware | focal impaired awareness | tonic | clonic
        Tonic-clonic | atonic | myoclonic | absence | Absence | typical absence | fit | CPS | status epilepticus
        grand mal | absence seizure | febrile seizure | epileptic spasms | epileptic event
        seizure over left temporal | focal preserved consciousness seizure | unclassified seizure
        seizure with head turning left | crise | Crise 2 | crises | crise épileptique | crise électrique
        crise infraclinique | crise clinique | CGTC | crise TC | crise partielle complexe
        crise tonico-clonique | Crise n°3 | état de mal | crise droite | Anfall | ANFALL | Anfälle | Anfaelle
        Krampfanfall | epileptischer Anfall | fokaler Anfall | iktal | Anfall Nr. 2 | elektrographischer Anfall
        Absencen | generalisierter tonisch-klonischer Anfall | Anfallsereignis | crisis | crisis epiléptica
        crisis electrográfica | Crisis 4 | crisis focal | crisis tónico-clónica | crisi | crisi epilettica
        crisi 1 | Crisi focale | crisi tonico-clonica""",
    Meaning.SEIZURE_START: """
        deb crise | clin. onset
        Seizure onset | seizure onset JB | SZ ONSET | sz onset #18 | SEIZURE #17 ONSET | ictal onset
        eeg sz start | seizure start | Seizure begins | Seizure started | SeizureStart | szonset | EEG onset
        EEG onset JB | clinical onset | sz_onset | GTCS onset | electrographic onset | EEG/clinical onset
        onset of seizure 2 | Anfall Start | début de crise | debut crise | Début de la crise 3 | Anfallsbeginn
        Anfallsanfang | Beginn Anfall | inicio de la crisis | inicio crisis | inizio crisi | esordio crisi""",
    Meaning.SEIZURE_END: """
        Anfall vorbei
        SZ OFF | sz off | sz end | SZ END | seizure end | Seizure End 3 | sz offset | seizure offset
        eeg sz end | sz_end | ictal end | seizure ended | Seizure stopped | seizure over | end of seizure
        SeizureEnd | seizure stops | EEG offset | clinical offset | Z OVER | Z EVENT OVER | Z STOPPING
        SZ EVENT OVER | sz stop | fin de crise | fin crise | Fin de la crise | Anfallsende | Anfall Ende
        Ende Anfall | Krampfanfallsende | fin de la crisis | fin crisis | final de la crisis | fine crisi
        fine della crisi | crisi fine""",
    Meaning.NON_EPILEPTIC: """
        pseudo-crise | pseudocrisis | NEAD | Pseudoanfall
        nesz | NESZ | PNES | NES | pseudoseizure | pseudo-seizure | psychogenic seizure
        psychogenic nonepileptic seizure | non-epileptic seizure | nonepileptic event | functional seizure
        dissociative seizure | crise non épileptique | psychogener Anfall | dissoziativer Anfall
        nicht-epileptischer Anfall | crisis no epiléptica | crisis psicógena | crisi non epilettica | CNEP
        crise de panique | crise d'angoisse | crise cardiaque | crisis de ansiedad""",
    Meaning.BACKGROUND: """
        bckg | BCKG | background | Background EEG | baseline | no seizure | No seizures | non-seizure
        seizure-free | seizure free | without seizure | not a seizure | no clinical seizure
        no electrographic seizures | seizure: none | interictal | inter-ictal | interictal spike | inter-crise
        intercritique | normal | normal EEG | Seizure: no | pas de crise | pas d'une crise | sans crise
        aucune crise | absence de crise | absence of seizures | keine Anfälle | kein Anfall | anfallsfrei
        ohne Anfall | interiktal | sin crisis | ninguna crisis | senza crisi | nessuna crisi | artf | eyem
        chew | shiv | musc | elpp | elst | calb | hphs | trip | elec | impd | musc_elec | eyem_chew | slow
        intr""",
    Meaning.UNCERTAIN: """
        poss. seizure
        seizure? | sz? | SZ ?? | Anfall? | crise ? | possible seizure | probable sz | suspected seizure
        seizure-like | questionable seizure | Verdacht auf Anfall | Anfallsverdacht | fraglicher Anfall
        crise possible | crise douteuse | posible crisis | sospecha de crisis | possibile crisi | seizure button
        seizure push button | event button | pushbutton | patient event | aura | Aura 2
        family reported seizure | seizure at home yesterday | seizure alarm | seizure detected | focal?
        r/o seizure | the patient was reading when a short seizure of the left arm came up""",
    Meaning.NOTE: """
        Artefakt | seizure-related | seizure onset zone
        post-ictal | postictal | Post ictal | postictal slowing | pre-ictal | preictal | peri-ictal
        post seizure | postkritisch | postcritique | postiktal | after seizure | after the seizure
        après la crise | nach Anfall | anti-seizure | anti-seizure medication | ASM | AED | antiepileptic
        sz med | seizure medication | seizure meds | seizure precautions | seizure test | test seizure
        example seizure | crise test | seizure diary | Anfall Test | Anfallskalender
        Anfallshäufigkeit | spike | spikes | spsw | gped | pled
        calibration | CAL | REC START 12:00 | IMP CHECK ON | IMP CHECK OFF | Recording Gap | Segment: REC START
        photic stimulation | eyes closed | artifact | start recording | end recording | n/a | null | None""",
    Meaning.UNKNOWN: """
        szmed | szabo | Krampf | nez | Szenario | jazz | Rosz | seizeit | fitness | exercise | standing | lunch
        PAT I EO | stimulus | response | target | rest | fixation | stim/left | S 12 | 7 | ??? | onset | offset
        start | end | fin | fine | stop | over | off | off bed | DC | FC | DC offset | A1+A2 OFF | critical
        absent | Absence of nurse | focal slow wave | tonic posture of arm | fit to work | 3 Hz | event
        Ereignis | 発作 | приступ | Fokus | Turnus""",
}
# A refusal refuses only the seizure word that it is attached to.
BESIDE_REFUSALS = {
    Meaning.SEIZURE: """
        Seizure, then return to baseline | Seizure, back to baseline | Anfall, danach Hintergrund
        Seizure with background slowing | Seizure with interictal spikes | crisi, poi ritorno al fondo
        Non-responsive seizure | non-lateralised seizure | Patient not responding, seizure
        Patient nicht ansprechbar: Anfall | Patient reagiert nicht, Anfall | ne répond pas, crise
        no responde, crisis | non risponde, crisi | no aura, seizure | without warning seizure | sans aura, crise
        ohne Vorboten Anfall | Seizure, no aura | Seizure, patient not responding | seizure free of artefact
        crise sans perte de connaissance | Anfall ohne Bewusstseinsverlust | Seizure with no EEG correlate
        Focal seizure with syncope | Focal seizure, panic | ictal panic | crise focale avec syncope
        Focal seizure, then PNES | Seizure - postictal phase | seizure, postictal confusion
        GTCS after missed dose | seizure, meds given | Anfall, Medikation gegeben | Seizure, focus left temporal
        sleep related hypermotor seizure | second seizure after first seizure | seizure during HV test
        Seizure drug-resistant | Seizure onset left, ends bilateral | Seizure start, stops talking
        seizure onset to end | Seizure, stops talking | Patient stops talking, seizure""",
    Meaning.SEIZURE_START: "Seizure onset, postictal at 12:05",
    Meaning.SEIZURE_END: """
        End of seizure, return to baseline | Seizure end, postictal | seizure, end | Seizure, ended with lorazepam""",
    Meaning.UNCERTAIN: """
        baseline, seizure | Hintergrund: Anfall | Postictal, second seizure | no spikes, seizures
        PNES, then epileptic seizure | PNES vs seizure | seizure or PNES | panic seizure | dissociated from seizure
        Seizure during functional MRI | Absence, postictal confusion | GTCS meds given | ASM withdrawal seizure
        interictal seizure | non viste crisi""",
    Meaning.NON_EPILEPTIC: """
        Seizure (PNES) | seizure, not epileptic | crise partielle non épileptique | crise aiguë d'angoisse
        convulsive syncope | psychogenic non-epileptic seizure (PNES)""",
    Meaning.BACKGROUND: """
        No spikes or seizures | no focal or generalized seizures | no tonic-clonic seizures | Seizure: No
        keine weiteren klinischen Anfälle | pas de nouvelle crise | non ci sono crisi | no seizure-like activity
        no seizures or status epilepticus | seizures not seen""",
    Meaning.NOTE: """
        Postictal after seizure | post-ictal phase of seizure 3 | post GTCS | focal postictal slowing
        sz medication increased | risk of seizures | before seizure onset | Seizure - test""",
}
CASES = [
    (text.strip(), said)
    for said, lines in (*TEXTS.items(), *BESIDE_REFUSALS.items())
    for line in lines.strip().split("\n")
    for text in line.split(" | ")
]


@pytest.mark.parametrize(("text", "said"), CASES)
def test_each_text_has_its_meaning(text: str, said: Meaning) -> None:
    assert meaning(text) is said


@pytest.mark.parametrize(("text", "said"), CASES)
def test_case_and_blanks_do_not_change_a_meaning(text: str, said: Meaning) -> None:
    assert meaning(f"  {text.upper()} ") is said
    assert meaning(text.lower().replace(" ", "  ")) is said


def test_seizures_are_whole_seizures_and_starts() -> None:
    assert is_seizure("seizure 3")
    assert is_seizure("Seizure onset")
    assert not any(is_seizure(text) for text in ("SZ OFF", "nesz", "szmed", "seizure?", "no seizure"))


def test_bare_marks_belong_to_seizures_if_both_occur() -> None:
    assert meanings(["onset", "spike"]) == {"onset": Meaning.UNKNOWN, "spike": Meaning.NOTE}
    assert meanings(["offset", "sz"])["offset"] is Meaning.UNKNOWN
    for start, end in (("onset", "offset"), ("Onset", "End 2"), ("DC", "FC"), ("onset", "offset with attenuat")):
        assert meanings([start, end]) == {start: Meaning.SEIZURE_START, end: Meaning.SEIZURE_END}
    # A start and an end can be those of the recording.
    assert meanings(["Start", "End 2", "bckg"]) == {
        "Start": Meaning.UNCERTAIN,
        "End 2": Meaning.UNCERTAIN,
        "bckg": Meaning.BACKGROUND,
    }
    for other in ("EEG onset", "seizure", "sz end"):
        said = meanings(["début", "fin", other])
        assert (said["début"], said["fin"]) == (Meaning.SEIZURE_START, Meaning.SEIZURE_END)
    assert meanings(["start recording", "end recording"]) == dict.fromkeys(
        ("start recording", "end recording"), Meaning.NOTE
    )


def test_words_of_a_clinic_take_precedence() -> None:
    own = Words(seizure=("Turnus", "KA", "401"), background=("Seizure alarm", "hyperkinetic"))
    expected = {
        "turnus 3": Meaning.SEIZURE,
        "Linker Turnus": Meaning.SEIZURE,
        "Turnus Ende": Meaning.SEIZURE_END,
        "kein Turnus": Meaning.BACKGROUND,
        "KA": Meaning.SEIZURE,
        "401": Meaning.SEIZURE,
        "402": Meaning.UNKNOWN,
        "Kardiologie": Meaning.UNKNOWN,
        "seizure alarm 2": Meaning.BACKGROUND,
        "Hyperkinetic": Meaning.BACKGROUND,
        "seizure": Meaning.SEIZURE,
    }
    assert {text: meaning(text, own) for text in expected} == expected
    assert meaning("Turnus") is Meaning.UNKNOWN


def test_cells_without_a_value() -> None:
    assert all(is_missing(text) for text in ("", " ", "n/a", "N/A", "None", "null"))
    assert not any(is_missing(text) for text in ("0", "sz", "nap"))


@pytest.mark.slow
@given(st.text(max_size=60))
def test_any_text_has_a_meaning(text: str) -> None:
    assert isinstance(meaning(text, Words(("x",), ("y",))), Meaning)
