"""The page of a recording, in a browser: looked at, stepped through, annotated, reloaded, saved, read again."""

import hashlib
import json
import shutil
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from aura.core.events import Event
from aura.core.recordings import Ecg, Segment
from aura.core.series import RRSeries
from aura.formats.tabular import read_events_tsv
from aura.formats.tse import read_tse
from aura.formats.vocabulary import is_seizure
from aura.reports.colours import ORANGE, PURPLE
from aura.reports.excerpts import MAX_EVENT_S, MAX_SAMPLES, cut_excerpts, select_within
from aura.reports.page import draw_index, draw_page
from aura.reports.page_content import Recording

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
IN_A_BROWSER = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium")
# Nothing that looks for news or accounts.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DAY_S = 86_400.0
FS_HZ = 250.0


def recording(duration_s: float = DAY_S) -> Recording:
    """A day without a name that could be trusted, three seizures found, of which one is in the reference."""
    rng = np.random.default_rng(0)
    rr_ms = 800 + 60 * np.sin(np.arange(int(duration_s / 0.9)) / 9) + rng.normal(0, 20, int(duration_s / 0.9))
    t_s = np.cumsum(rr_ms) / 1000
    kept = t_s < duration_s
    score = rng.random(int(duration_s)) * 0.2
    score[:150] = np.nan
    n = int(duration_s * FS_HZ)
    ecg = Ecg(
        rng.integers(-500, 500, n).astype(np.int16),
        0.001,
        0.0,
        (-32768, 32767),
        FS_HZ,
        "ECG",
        None,
        (Segment(0, n, 0.0),),
    )
    return Recording(
        name="it's <b>night</b> 1",
        duration_s=duration_s,
        start=datetime(2020, 1, 1, 22, 30),
        rr=RRSeries(t_s[kept], rr_ms[kept], duration_s),
        step_s=1.0,
        score=score,
        threshold=0.4,
        detected=(Event(600.0, 60.0, "seiz", 0.9), Event(1200.0, 30.0, "seiz", 0.5), Event(1800.0, 10.5, "seiz", 0.6)),
        not_assessed=(Event(0.0, 150.0), Event(3000.0, 100.0)),
        reference=(Event(590.0, 50.0),),
        faults=(Event(3000.0, 100.0, "flat"),),
        normal_share=0.97,
        doubt=None,
        ecg=ecg,
        model="aura-seizure-detector-ours version 3",
        provenance="model aura-seizure-detector-ours version 3, trained on the corpus ours",
        warning=None,
    )


@pytest.fixture(scope="module")
def night() -> str:
    return draw_page(recording())


@pytest.fixture
def html(night: str, tmp_path: Path) -> Path:
    path = tmp_path / "night.html"
    path.write_text(night, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def browser(chromium: Browser, html: Path) -> Iterator[Page]:
    """The page, opened in a browser without a history; whatever it complains of or asks for is a failure."""
    with chromium.new_context(viewport={"width": 1200, "height": 900}) as context:
        tab = context.new_page()
        wrong: list[str] = []
        tab.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        local = ("file:", "data:", "blob:")
        tab.on("request", lambda asked: None if asked.url.startswith(local) else wrong.append(asked.url))
        opened(tab, html)
        yield tab
        assert not wrong


def opened(tab: Page, html: Path) -> None:
    tab.goto(html.as_uri())
    tab.wait_for_selector("html[data-ready=true]")


def view(tab: Page) -> tuple[float, float]:
    """What part of the recording is shown, in seconds."""
    code = "(() => { const r = Bokeh.documents[0].get_model_by_name('overview').x_range; return [r.start, r.end] })()"
    start_s, end_s = tab.evaluate(code)
    return start_s, end_s


def choose(tab: Page, from_s: float, to_s: float, *, chart: str = "Events") -> None:
    """Drag over a chart."""
    start_s, end_s = view(tab)
    frame = tab.evaluate(
        "(title) => { const figures = [...Bokeh.documents[0].all_models].filter((m) => m.type === 'Figure');"
        " const v = Bokeh.index.find_one_by_id(figures.find((m) => m.title.text === title).id);"
        " const b = v.el.getBoundingClientRect(), f = v.frame.bbox;"
        " return [b.left + f.left, b.top + f.top, f.width, f.height] }",
        chart,
    )
    x = [frame[0] + (s - start_s) / (end_s - start_s) * frame[2] for s in (from_s, to_s)]
    y = frame[1] + frame[3] / 2
    tab.mouse.move(x[0], y)
    tab.mouse.down()
    tab.mouse.move((x[0] + x[1]) / 2, y)
    tab.mouse.move(x[1], y)
    tab.mouse.up()


def saved(tab: Page, button: str, folder: Path) -> Path:
    with tab.expect_download() as download:
        tab.click(button)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def seizures(events: tuple[Event, ...]) -> list[tuple[float, float]]:
    return [(event.onset_s, event.duration_s) for event in events if is_seizure(event.kind)]


def test_the_page_of_a_day_is_small_and_escapes_names(html: Path) -> None:
    text = html.read_text(encoding="utf-8")
    assert len(text) < 6_000_000
    assert "<b>night</b>" not in text


@IN_A_BROWSER
def test_arrow_keys_step_through_events(browser: Page) -> None:
    assert view(browser) == (0, DAY_S)
    browser.keyboard.press("ArrowRight")
    assert "event 1 of 4: 22:39:50, 50 s, reference" in browser.inner_text("#where")
    assert view(browser) == (560, 670)
    browser.keyboard.press("ArrowRight")
    assert "event 2 of 4: 22:40:00, 60 s, detected" in browser.inner_text("#where")
    browser.keyboard.press("ArrowLeft")
    browser.keyboard.press("ArrowLeft")
    assert "event 4 of 4" in browser.inner_text("#where")
    browser.keyboard.press("0")
    assert view(browser) == (0, DAY_S)


@IN_A_BROWSER
def test_unedited_detections_are_saved_unchanged(browser: Page, tmp_path: Path) -> None:
    tse, tsv = saved(browser, "#tse", tmp_path), saved(browser, "#tsv", tmp_path)
    expected = [(event.onset_s, event.duration_s) for event in recording(3600).detected]
    events = read_tse(tse)
    assert seizures(events) == seizures(read_events_tsv(tsv)) == expected
    assert [(e.onset_s, e.end_s) for e in events if e.kind == "null"] == [(0, 150), (3000, 3100)]
    assert events[-1].end_s == DAY_S
    assert tsv.read_text().splitlines()[1].split("\t")[5] == "2020-01-01 22:30:00"


@IN_A_BROWSER
def test_a_person_annotates_and_nothing_is_lost_on_reload(browser: Page, html: Path, tmp_path: Path) -> None:
    for _ in range(3):
        browser.keyboard.press("ArrowRight")
    assert "22:50:00, 30 s, detected" in browser.inner_text("#where")
    # The second is no seizure; the view stays where it was, so that another stretch of it can be chosen.
    browser.keyboard.press("Delete")
    start_s, end_s = view(browser)
    assert (start_s, end_s) == (1170, 1260)
    choose(browser, 1180, 1195)
    assert browser.inner_text("#where").startswith("selection: 22:49:")
    browser.keyboard.press("s")
    browser.click("#whole")
    opened(browser, html)
    assert "3 seizures detected, with your changes" in browser.inner_text("#where")
    events = read_tse(saved(browser, "#tse", tmp_path))
    first, marked, last = seizures(events)
    assert (first, last) == ((600, 60), (1800, 10.5))
    assert marked == pytest.approx((1180, 15), abs=0.5)
    # Background over a part of the first takes that part away; and all can be taken back.
    browser.keyboard.press("ArrowRight")
    choose(browser, 630, 665)
    browser.keyboard.press("b")
    assert seizures(read_tse(saved(browser, "#tse", tmp_path)))[0] == pytest.approx((600, 30), abs=0.5)
    for _ in range(3):
        browser.keyboard.press("z")
    assert browser.is_disabled("#undo")
    assert len(seizures(read_tse(saved(browser, "#tse", tmp_path)))) == 3


@IN_A_BROWSER
def test_a_selection_can_be_cleared(browser: Page) -> None:
    choose(browser, 20_000, 30_000)
    assert browser.is_enabled("#seizure")
    drawn = "[...Bokeh.documents[0].all_models].filter((m) => m.type === 'BoxSelectTool' && m.overlay.visible).length"
    assert browser.evaluate(drawn) == 1
    # On another chart: what is drawn there is what counts.
    choose(browser, 40_000, 50_000, chart="Heart rate (1/min)")
    assert browser.evaluate(drawn) == 1
    said = browser.inner_text("#where")
    assert said.startswith("selection: ")
    browser.keyboard.press("0")
    assert browser.inner_text("#where") == said
    browser.keyboard.press("Escape")
    assert browser.is_disabled("#seizure")
    assert browser.evaluate(drawn) == 0
    assert browser.inner_text("#where") == "3 seizures detected"


@IN_A_BROWSER
def test_times_of_day_are_rounded_to_hundredths(browser: Page) -> None:
    written = browser.evaluate("[54.997, 86399.999, 3661.5, -0.25].map((s) => window.auraTime(s, 0))")
    assert written == ["00:00:55", "00:00:00", "01:01:01.50", "23:59:59.75"]


@IN_A_BROWSER
def test_the_printed_page_has_no_tools(browser: Page) -> None:
    tools = browser.locator(".bk-Toolbar").first
    assert tools.is_visible()
    browser.emulate_media(media="print")
    assert not tools.is_visible()
    assert not browser.locator("#tse").is_visible()


def beating(duration_s: float, fs_hz: float = FS_HZ) -> Ecg:
    """An ECG of one beat a second in which no two samples of a beat are equal, interrupted after 30 s for 20 s."""
    beat = np.arange(int(fs_hz)) * 7 % int(fs_hz) - int(fs_hz) // 2
    digital = np.tile(beat, int(duration_s)).astype(np.int16)
    n = int(30 * fs_hz)
    segments = (Segment(0, n, 0.0), Segment(n, len(digital), 50.0))
    return Ecg(digital, 0.002, 0.1, (-32768, 32767), fs_hz, "ECG", None, segments)


def test_excerpts_have_every_sample_around_events_with_gaps() -> None:
    ecg = beating(600)
    excerpts = cut_excerpts(ecg, [Event(25.0, 30.0)], [Event(27.0, 1.0), Event(200.5, 9.5)])
    assert [(one.onset_s, one.end_s) for one in excerpts.stretches] == [(15.0, 65.0), (190.5, 220.0)]
    assert excerpts.onset_s.tolist() == [15.0, 50.0, pytest.approx(190.5, abs=0.004)]
    assert excerpts.length.tolist() == [int(15 * FS_HZ), int(15 * FS_HZ) + 1, int(29.5 * FS_HZ) + 1]
    first = int(15 * FS_HZ)
    assert excerpts.digital[:first].tolist() == ecg.digital[first : 2 * first].tolist()
    after = int((190.5 - 20) * FS_HZ)
    assert excerpts.digital[-7376:].tolist() == ecg.digital[after : after + 7376].tolist()
    assert (excerpts.n_shown, excerpts.n_events) == (3, 3)


def test_excerpts_without_events_show_the_start() -> None:
    excerpts = cut_excerpts(beating(60), [], [])
    assert [(one.onset_s, one.end_s) for one in excerpts.stretches] == [(0.0, 10.0)]
    assert excerpts.n_events == 0


def test_excerpts_over_the_limit_are_left_out_by_rank() -> None:
    ecg = beating(40_000)
    detected = [Event(200.0 * i, 80.0, confidence=(i % 7) / 10) for i in range(1, 190)]
    excerpts = cut_excerpts(ecg, [Event(50.0, 20.0)], detected)
    assert len(excerpts.digital) <= MAX_SAMPLES + len(excerpts.length)
    assert (excerpts.n_shown, excerpts.n_events) == (100, 190)
    assert excerpts.stretches[0].onset_s == 40.0
    shown = [e for e in detected if any(one.onset_s < e.onset_s < one.end_s for one in excerpts.stretches)]
    assert min(e.confidence for e in shown) >= max(e.confidence for e in detected if e not in shown)
    # Of one event that takes the whole recording, the beginning is shown.
    (only,) = cut_excerpts(ecg, [], [Event(0.0, 40_000.0)]).stretches
    assert only.end_s == MAX_EVENT_S + 10


def test_times_within_stretches_are_selected() -> None:
    stretches = [Event(1.0, 1.0), Event(5.0, 2.0)]
    assert select_within(np.arange(10.0), stretches).tolist() == [1, 2, 5, 6, 7]
    assert select_within(np.arange(10.0), []).tolist() == []


@pytest.mark.slow
def test_a_week_with_thousands_of_events_takes_little_memory() -> None:
    week_s = 7 * DAY_S
    n = int(week_s * FS_HZ)
    day = recording()
    week = replace(
        day,
        duration_s=week_s,
        rr=RRSeries(day.rr.t_s, day.rr.rr_ms, week_s),
        # Memory that is never touched: what is measured is the work of the page.
        ecg=Ecg(np.zeros(n, np.int16), 0.001, 0.0, (-32768, 32767), FS_HZ, "ECG", None, (Segment(0, n, 0.0),)),
        detected=tuple(Event(120.0 * i, 40.0) for i in range(5000)),
    )
    tracemalloc.start()
    html = draw_page(week)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 200e6
    assert len(html) < 25e6
    assert "The ECG is shown around" in html


DRAWN = "(() => { const d = Bokeh.documents[0].get_model_by_name('ecg drawn').data; return [[...d.x], [...d.y]] })()"


@IN_A_BROWSER
def test_every_sample_around_an_event_is_drawn(browser: Page, tmp_path: Path) -> None:
    ecg = beating(3600)
    html = tmp_path / "beats.html"
    html.write_text(draw_page(replace(recording(3600), ecg=ecg)), encoding="utf-8")
    opened(browser, html)
    for _ in range(3):
        browser.keyboard.press("ArrowRight")
    assert "30 s, detected" in browser.inner_text("#where")
    browser.wait_for_function("Bokeh.documents[0].get_model_by_name('ecg drawn').data.x.length === 12502")
    x, y = browser.evaluate(DRAWN)
    # 10 s before the event to 10 s after it, which lie behind a gap of 20 s.
    first = int((1190 - 20) * FS_HZ)
    assert y[:-1] == pytest.approx((ecg.digital[first : first + 12_501] * 0.002 + 0.1).tolist(), abs=1e-5)
    assert x[:-1] == pytest.approx((1190 + np.arange(12_501) / FS_HZ).tolist(), abs=1e-6)


@IN_A_BROWSER
def test_the_overview_keeps_every_peak(browser: Page, tmp_path: Path) -> None:
    ecg = beating(3600)
    ecg.digital[int((1210 - 20) * FS_HZ) + 3] = 30_000
    found = tuple(Event(100.0 * i, 60.0) for i in range(36))
    html = tmp_path / "beats.html"
    html.write_text(draw_page(replace(recording(3600), ecg=ecg, detected=found)), encoding="utf-8")
    opened(browser, html)
    x, y = browser.evaluate(DRAWN)
    assert len(x) < 20_000
    assert np.nanmax(np.array(y, dtype=np.float64)) == pytest.approx(60.1, abs=1e-3)
    assert x[int(np.nanargmax(np.array(y, dtype=np.float64)))] == pytest.approx(1210, abs=3600 / 1000)


@IN_A_BROWSER
def test_an_event_in_a_gap_has_no_ecg_to_draw(browser: Page, tmp_path: Path) -> None:
    n = int(600 * FS_HZ)
    late = Ecg(np.zeros(n, np.int16), 0.001, 0.0, (-32768, 32767), FS_HZ, "ECG", None, (Segment(0, n, 3000.0),))
    html = tmp_path / "gap.html"
    html.write_text(draw_page(replace(recording(3600), ecg=late)), encoding="utf-8")
    opened(browser, html)
    assert browser.evaluate(DRAWN) == [[], []]


@IN_A_BROWSER
def test_an_event_without_its_ecg_is_named(browser: Page, tmp_path: Path) -> None:
    found = tuple(Event(200.0 * i, 100.0, confidence=0.5 + (i > 2) / 10) for i in range(400))
    html = tmp_path / "many.html"
    html.write_text(draw_page(replace(recording(), detected=found, reference=None)), encoding="utf-8")
    opened(browser, html)
    browser.keyboard.press("ArrowRight")
    assert browser.inner_text("#where").endswith("100 s, detected; its ECG is not in this page")
    assert "The ECG is shown around 83 of 400 events" in browser.inner_text(".hint")


def other_version() -> Recording:
    """The same recording as another version of the model sees it."""
    found = (Event(595.0, 62.0, "seiz", 0.8), Event(1195.0, 50.0, "seiz", 0.7), Event(9000.0, 40.0, "seiz", 0.6))
    return replace(recording(), model="models:/aura-seizure-detector/3", detected=found, score=recording().score / 2)


@IN_A_BROWSER
def test_edits_stay_with_the_detections_they_were_made_on(browser: Page, html: Path, tmp_path: Path) -> None:
    for _ in range(3):
        browser.keyboard.press("ArrowRight")
    browser.keyboard.press("Delete")
    choose(browser, 1250, 1256)
    browser.keyboard.press("s")
    ours = seizures(read_tse(saved(browser, "#tse", tmp_path)))
    assert "2 changes, kept in this browser" in browser.inner_text("#kept")

    other = tmp_path / "other.html"
    other.write_text(draw_page(other_version()), encoding="utf-8")
    opened(browser, other)
    theirs = [(595, 62), (1195, 50), (9000, 40)]
    assert browser.inner_text("#where") == "3 seizures detected"
    assert seizures(read_tse(saved(browser, "#tse", tmp_path))) == theirs
    offer = browser.inner_text("#offers")
    assert "made on the page of aura-seizure-detector-ours version 3" in offer
    assert "1 event deleted, 1 seizure marked. They are not shown here." in offer

    # The deletion takes away what lies mostly within the event that was deleted; here it does.
    browser.click("#offers button")
    assert browser.inner_text("#where") == "2 changes applied"
    first, marked, last = seizures(read_tse(saved(browser, "#tse", tmp_path)))
    assert (first, last) == (theirs[0], theirs[2])
    assert marked == ours[1]
    assert browser.inner_text("#offers") == ""
    colours = browser.evaluate("Bokeh.documents[0].get_model_by_name('detected').data.colour")
    assert colours == [ORANGE, PURPLE, ORANGE]

    opened(browser, html)
    assert seizures(read_tse(saved(browser, "#tse", tmp_path))) == ours


@IN_A_BROWSER
def test_a_deletion_without_its_event_is_counted(browser: Page, tmp_path: Path) -> None:
    for _ in range(4):
        browser.keyboard.press("ArrowRight")
    browser.keyboard.press("Delete")
    other = tmp_path / "other.html"
    other.write_text(draw_page(other_version()), encoding="utf-8")
    opened(browser, other)
    browser.click("#offers button")
    assert browser.inner_text("#where") == "1 change applied; 1 deletion had no event here to delete"
    assert len(seizures(read_tse(saved(browser, "#tse", tmp_path)))) == 3
    browser.keyboard.press("z")
    assert "They are not shown here" in browser.inner_text("#offers")


@IN_A_BROWSER
def test_edits_of_older_pages_are_offered(browser: Page, html: Path, tmp_path: Path) -> None:
    def listed(*events: tuple[float, float]) -> dict[str, list[dict[str, object]]]:
        seizures = [{"onset_s": a, "end_s": b, "confidence": 0.5, "kind": "seiz"} for a, b in events]
        return {"seizures": seizures, "background": []}

    beats = hashlib.sha256(recording().rr.t_s.tobytes()).hexdigest()[:16]
    kept = {"state": listed((600, 660), (1200, 1240)), "history": [listed((600, 660), (1200, 1230), (1800, 1810.5))]}
    put = "([key, text]) => localStorage.setItem(key, text)"
    browser.evaluate(put, [f"aura {recording(3600).name} {beats}", json.dumps(kept)])
    opened(browser, html)
    assert browser.inner_text("#where") == "3 seizures detected"
    assert "on an earlier page, which did not record the detector: 2 events deleted, 1 seizure marked" in (
        browser.inner_text("#offers")
    )
    browser.click("#offers button")
    assert seizures(read_tse(saved(browser, "#tse", tmp_path))) == [(600, 60), (1200, 40)]
    opened(browser, html)
    assert browser.inner_text("#offers") == ""
    assert browser.inner_text("#where") == "2 seizures detected, with your changes"


@IN_A_BROWSER
def test_a_download_is_not_called_saved(browser: Page, tmp_path: Path) -> None:
    name = saved(browser, "#tse", tmp_path).name
    assert browser.inner_text("#where").startswith("download of it's")
    assert "check that it is among your downloads" in browser.inner_text("#where")
    assert name.endswith(".tse_bi")


@IN_A_BROWSER
def test_another_tab_shows_the_same_edits(browser: Page, html: Path) -> None:
    other = browser.context.new_page()
    opened(other, html)
    browser.keyboard.press("ArrowLeft")
    browser.keyboard.press("Delete")
    other.wait_for_function("document.getElementById('where').textContent === 'changed in another tab'")
    other.keyboard.press("ArrowRight")
    other.keyboard.press("ArrowRight")
    other.keyboard.press("Delete")
    browser.wait_for_function("document.getElementById('kept').textContent.startsWith('2 changes')")


@IN_A_BROWSER
def test_in_a_sandboxed_frame_editing_is_off(browser: Page, html: Path, tmp_path: Path) -> None:
    # As MLflow shows an artifact: from a blob, without downloads, storage or an origin.
    viewer = tmp_path / "viewer.html"
    text = json.dumps(html.read_text(encoding="utf-8")).replace("<", "\\u003c")
    show = f'URL.createObjectURL(new Blob([{text}], {{type: "text/html"}}))'
    frame_html = '<iframe sandbox="allow-scripts" width="1200" height="900"></iframe>'
    viewer.write_text(f"{frame_html}<script>document.querySelector('iframe').src = {show}</script>", encoding="utf-8")
    browser.goto(viewer.as_uri())
    frame = browser.frame_locator("iframe")
    frame.locator("html[data-ready=true]").wait_for(state="attached")
    assert "Download this HTML file" in frame.locator("#readonly").inner_text()
    inside = browser.frames[1]
    for button in ("seizure", "background", "delete", "undo", "reset", "tse", "tsv"):
        assert inside.is_disabled(f"#{button}")
    # Looking works, and no key edits.
    inside.click("#next")
    inside.click("#next")
    assert "22:40:00, 60 s, detected" in inside.inner_text("#where")
    assert inside.is_disabled("#delete")
    browser.keyboard.press("Delete")
    assert "22:40:00, 60 s, detected" in inside.inner_text("#where")
    assert inside.inner_text("#kept") == ""


def test_the_list_of_one_page_is_in_the_singular() -> None:
    row = {"recording": "r", "hours": 1.0, "seizures": 1, "annotated": None, "not_assessed_s": 0.0, "max_score": 0.5}
    one = pd.DataFrame([{**row, "file": "r.tse_bi", "normal_share": 1.0, "remarks": ""}])
    assert "<h1>1 recording, 1 seizure detected</h1>" in draw_index(one, pd.DataFrame(columns=["message"]), "m", None)


@IN_A_BROWSER
def test_the_list_of_pages_says_that_links_need_a_folder(browser: Page, tmp_path: Path) -> None:
    columns = ["recording", "hours", "seizures", "annotated", "not_assessed_s", "max_score", "file"]
    listed = tmp_path / "index.html"
    none = pd.DataFrame(columns=[*columns, "normal_share", "remarks"])
    listed.write_text(draw_index(none, pd.DataFrame(columns=["message"]), "m", None), encoding="utf-8")
    viewer = tmp_path / "viewer.html"
    viewer.write_text('<iframe sandbox="allow-scripts" src="index.html"></iframe>', encoding="utf-8")
    browser.goto(listed.as_uri())
    assert not browser.is_visible("#framed")
    browser.goto(viewer.as_uri())
    assert browser.frame_locator("iframe").locator("#framed").is_visible()


@IN_A_BROWSER
@pytest.mark.parametrize("fault", ["blocked", "full", "forgetful"])
def test_only_edits_read_back_from_storage_count_as_kept(browser: Page, html: Path, fault: str) -> None:
    prepared = {
        "blocked": "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException() } })",
        "full": "for (let n = 1 << 23; n; n >>= 1) try { localStorage.setItem('f' + n, 'x'.repeat(n)) } catch {}",
        "forgetful": "Storage.prototype.setItem = () => {}",
    }
    browser.add_init_script(prepared[fault])
    opened(browser, html)
    assert "save a file before you leave this page" in browser.inner_text("#kept")
    browser.keyboard.press("ArrowLeft")
    browser.keyboard.press("Delete")
    assert "1 change NOT kept: the storage of this browser is full or blocked" in browser.inner_text("#kept")
    # Whoever leaves is asked.
    asked: list[str] = []
    browser.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    opened(browser, html)
    assert asked == ["beforeunload"]
    assert browser.inner_text("#where") == "3 seizures detected"
