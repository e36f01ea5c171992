"""The page of a recording, in a browser: looked at, stepped through, annotated, reloaded, saved, read again."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, sync_playwright

from aura.datasets.annotations import is_seizure
from aura.datasets.tables import read_events_tsv
from aura.datasets.tse import read_tse
from aura.page import Recording, excerpt, page
from aura.types import Ecg, Event, RRSeries, Segment

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
        found=(Event(600.0, 60.0, "seiz", 0.9), Event(1200.0, 30.0, "seiz", 0.5), Event(1800.0, 10.5, "seiz", 0.6)),
        not_assessed=(Event(0.0, 150.0), Event(3000.0, 100.0)),
        reference=(Event(590.0, 50.0),),
        faults=(Event(3000.0, 100.0, "flat"),),
        ecg=ecg,
        model="aura-seizure-detector-ours version 3",
        provenance="model aura-seizure-detector-ours version 3, trained on the corpus ours",
        warning=None,
    )


@pytest.fixture
def html(tmp_path: Path) -> Path:
    path = tmp_path / "night.html"
    path.write_text(page(recording()), encoding="utf-8")
    return path


@pytest.fixture
def browser(html: Path) -> Iterator[Page]:
    """The page, opened; whatever it complains of or asks for is a failure."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        tab = chromium.new_page(viewport={"width": 1200, "height": 900})
        wrong: list[str] = []
        tab.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        local = ("file:", "data:", "blob:")
        tab.on("request", lambda asked: None if asked.url.startswith(local) else wrong.append(asked.url))
        opened(tab, html)
        yield tab
        assert not wrong
        chromium.close()


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


def test_a_day_is_a_small_file_in_which_names_are_text(html: Path) -> None:
    text = html.read_text(encoding="utf-8")
    assert len(text) < 6_000_000
    assert "<b>night</b>" not in text


@IN_A_BROWSER
def test_it_is_stepped_through_with_the_keyboard(browser: Page) -> None:
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
def test_what_was_detected_is_saved_as_it_is(browser: Page, tmp_path: Path) -> None:
    tse, tsv = saved(browser, "#tse", tmp_path), saved(browser, "#tsv", tmp_path)
    expected = [(event.onset_s, event.duration_s) for event in recording(3600).found]
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
    assert browser.inner_text("#where").startswith("chosen: 22:49:")
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
def test_what_was_chosen_is_left_again(browser: Page) -> None:
    choose(browser, 20_000, 30_000)
    assert browser.is_enabled("#seizure")
    drawn = "[...Bokeh.documents[0].all_models].filter((m) => m.type === 'BoxSelectTool' && m.overlay.visible).length"
    assert browser.evaluate(drawn) == 1
    # On another chart: what is drawn there is what counts.
    choose(browser, 40_000, 50_000, chart="Heart rate (1/min)")
    assert browser.evaluate(drawn) == 1
    said = browser.inner_text("#where")
    assert said.startswith("chosen: ")
    browser.keyboard.press("0")
    assert browser.inner_text("#where") == said
    browser.keyboard.press("Escape")
    assert browser.is_disabled("#seizure")
    assert browser.evaluate(drawn) == 0
    assert browser.inner_text("#where") == "3 seizures detected"


@IN_A_BROWSER
def test_paper_has_no_tools(browser: Page) -> None:
    tools = browser.locator(".bk-Toolbar").first
    assert tools.is_visible()
    browser.emulate_media(media="print")
    assert not tools.is_visible()
    assert not browser.locator("#tse").is_visible()


def test_no_peak_of_an_ecg_is_lost() -> None:
    digital = np.zeros(10_000, dtype=np.int16)
    digital[4321] = 1500
    segments = (Segment(0, 5000, 0.0), Segment(5000, 10_000, 30.0))
    ecg = Ecg(digital, 0.001, 0.0, (-32768, 32767), FS_HZ, "ECG", None, segments)
    t_s, mv = excerpt(ecg, 10.0, 40.0, 0.2)
    assert np.nanmax(mv) == 1.5
    assert t_s[np.nanargmax(mv)] == pytest.approx(4321 / FS_HZ, abs=0.2)
    # A gap stays one, and every sample is there where there is room for them.
    assert np.isnan(mv).sum() == 1
    assert len(excerpt(ecg, 10.0, 12.0, 1 / FS_HZ)[0]) == 501
    assert len(excerpt(ecg, 22.0, 28.0, 1 / FS_HZ)[0]) == 0
