"use strict";
(() => {
  const recording = JSON.parse(document.getElementById("recording").textContent);
  const at = (id) => document.getElementById(id);
  const as = (events, kind) => events.map((e) => ({ ...e, kind }));
  const detected = () => ({ seizures: as(recording.detected, "seiz"), background: [] });
  // Edits of a person, in order. The events are computed from the detections and these edits.
  let edits = [], state = detected(), selection = null, current = -1, doc = null, isKept = true;

  // The parts of events outside a stretch.
  const without = (events, a, b) => events.flatMap((e) => (e.end_s <= a || e.onset_s >= b) ? [e] : [
    ...(e.onset_s < a ? [{ ...e, end_s: a }] : []), ...(e.end_s > b ? [{ ...e, onset_s: b }] : []),
  ]);
  const inOrder = (events) => [...events].sort((p, q) => p.onset_s - q.onset_s);
  const touches = (e, a, b) => e.onset_s <= b && e.end_s >= a;
  // A deletion made on other detections removes the events that lie mostly within it.
  const isMostlyIn = (e, a, b) => e.onset_s < b && e.end_s > a && 2 * (Math.min(e.end_s, b) - Math.max(e.onset_s, a)) >= e.end_s - e.onset_s;
  const apply = ({ seizures, background }, { act, onset_s: a, end_s: b }) => {
    if (act === "reset") return detected();
    if (act === "delete") return { seizures: seizures.filter((e) => !isMostlyIn(e, a, b)), background };
    if (act === "background") return { seizures: without(seizures, a, b), background: inOrder([...without(background, a, b), { onset_s: a, end_s: b, confidence: 1 }]) };
    const joined = seizures.filter((e) => touches(e, a, b)).reduce(
      (all, e) => ({ ...all, onset_s: Math.min(all.onset_s, e.onset_s), end_s: Math.max(all.end_s, e.end_s) }),
      { onset_s: a, end_s: b, confidence: 1, kind: "seiz", marked: true });
    return { seizures: inOrder([...seizures.filter((e) => !touches(e, a, b)), joined]), background: without(background, a, b) };
  };
  const time = (s) => window.auraTime(s, startSeconds());
  const startSeconds = () => {
    if (!recording.start) return 0;
    const [h, m, s] = recording.start.slice(11).split(":").map(Number);
    return h * 3600 + m * 60 + s;
  };
  const stops = () => inOrder([...state.seizures, ...recording.reference]);
  const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
  const showStatus = (text) => { at("where").textContent = text; };

  // A frame may block downloads, which a page cannot detect; in a sandbox without a frame, the origin is "null".
  const isReadOnly = window.top !== window || (self.origin === "null" && location.protocol !== "file:");

  // Edits are stored under a digest of this recording, this detector and its detections.
  const PREFIX = "aura-edits ";
  const key = PREFIX + recording.made_on;
  const read = (name) => {
    try { return JSON.parse(localStorage.getItem(name)); } catch { return null; }
  };
  // Whether the browser stored a text: it counts as stored only if it can be read back.
  const isStored = (name, text) => {
    try {
      localStorage.setItem(name, text);
      return localStorage.getItem(name) === text;
    } catch { return false; }
  };
  const showKept = () => {
    const n = count(edits.length, "change");
    at("kept").className = isKept ? "" : "lost";
    at("kept").textContent = isKept ? (edits.length ? `${n}, kept in this browser` : "")
      : edits.length ? `${n} NOT kept: the storage of this browser is full or blocked. Save a file before you leave this page.`
        : "The storage of this browser is full or blocked: save a file before you leave this page.";
  };
  const keep = () => {
    const { name, beats, duration_s, model } = recording;
    isKept = isStored(key, JSON.stringify({ name, beats, duration_s, model, changed: new Date().toISOString(), edits }));
    showKept();
  };
  const canStore = () => {
    const probe = `${PREFIX}probe`, works = isStored(probe, "1");
    try { localStorage.removeItem(probe); } catch { /* Storage is blocked, as `works` says. */ }
    return works;
  };
  const restore = () => {
    const stored = read(key)?.edits;
    edits = Array.isArray(stored) ? stored : [];
    state = edits.reduce(apply, detected());
  };

  // Earlier pages stored lists of events instead of edits; the first list holds the detections.
  const editsOfLists = ({ state: last, history: [first] }) => {
    const lacks = (events) => (e) => !events.some((other) => other.onset_s === e.onset_s && other.end_s === e.end_s);
    const acts = (act, events) => events.map(({ onset_s, end_s }) => ({ act, onset_s, end_s }));
    return [...acts("delete", first.seizures.filter(lacks(last.seizures))), ...acts("seizure", last.seizures.filter(lacks(first.seizures))), ...acts("background", last.background)];
  };
  // A reset refers to the detections of its own page: only later edits can be applied to another page.
  const afterReset = (made) => made.slice(made.findLastIndex((e) => e.act === "reset") + 1);
  const readOffer = (name) => {
    const stored = name === key ? null : read(name), older = `aura ${recording.name} `;
    try {
      if (name.startsWith(PREFIX) && stored?.edits?.length) {
        const isSame = stored.beats === recording.beats || (stored.name === recording.name && stored.duration_s === recording.duration_s);
        return isSame ? { ...stored, edits: afterReset(stored.edits), from: name, by: `on the page of ${stored.model}, ${stored.changed.slice(0, 16).replace("T", " ")} UTC` } : null;
      }
      if (name.startsWith(older) && /^[0-9a-f]{16}$/.test(name.slice(older.length)) && stored?.history?.length) {
        return { from: name, beats: name.slice(older.length), by: "on an earlier page, which did not record the detector", edits: editsOfLists(stored) };
      }
    } catch { /* Not written by a page of Aura. */ }
    return null;
  };
  const findOffers = () => {
    let names = [];
    try { names = Array.from({ length: localStorage.length }, (_, i) => localStorage.key(i)); } catch { /* Storage is blocked. */ }
    const taken = new Set(edits.map((e) => e.from));
    return names.map(readOffer).filter((offer) => offer?.edits.length && !taken.has(offer.from));
  };
  const inWords = (made) => {
    const n = (act) => made.filter((e) => e.act === act).length;
    return [[n("delete"), "event deleted", "events deleted"], [n("seizure"), "seizure marked", "seizures marked"],
      [n("background"), "stretch marked as background", "stretches marked as background"]]
      .filter(([k]) => k).map(([k, one, many]) => count(k, one, many)).join(", ");
  };
  const showOffers = () => {
    at("offers").replaceChildren(...findOffers().map((offer) => {
      const box = document.createElement("p"), take = document.createElement("button"), leave = document.createElement("button");
      box.className = "notice";
      const other = offer.beats === recording.beats ? "" : " The heartbeats there differ from those of this page.";
      box.append(`This browser holds changes to this recording made ${offer.by}: ${inWords(offer.edits)}. They are not shown here.${other}`, take, leave);
      take.textContent = "apply to this page";
      take.addEventListener("click", () => takeOver(offer));
      leave.textContent = "not now";
      leave.addEventListener("click", () => box.remove());
      return box;
    }));
  };
  const takeOver = ({ edits: made, from }) => {
    let missing = 0, after = state;
    for (const e of made) {
      if (e.act === "delete" && !after.seizures.some((one) => isMostlyIn(one, e.onset_s, e.end_s))) missing += 1;
      after = apply(after, e);
    }
    change(made.map((e) => ({ ...e, from })), `${count(made.length, "change")} applied` + (missing ? `; ${count(missing, "deletion")} had no event here to delete` : ""));
    showOffers();
  };

  const showSummary = () => showStatus(selection ? `selection: ${time(selection[0])} to ${time(selection[1])}, ${(selection[1] - selection[0]).toFixed(0)} s` : `${count(state.seizures.length, "seizure")} detected` + (edits.length ? ", with your changes" : ""));

  // The detected or marked event that is selected or was stepped to; reference events cannot be deleted.
  const deletable = () => {
    const e = selection ? state.seizures.find((one) => one.onset_s < selection[1] && one.end_s > selection[0]) : stops()[current];
    return e && e.kind ? e : null;
  };
  const show = () => {
    const source = doc.get_model_by_name("detected");
    const rows = inOrder(state.seizures);
    source.data = { left: rows.map((e) => e.onset_s), right: rows.map((e) => e.end_s), row: rows.map(() => "detected"), colour: rows.map((e) => recording.colours[e.marked ? "marked" : "detected"]) };
    at("seizure").disabled = at("background").disabled = isReadOnly || !selection;
    at("delete").disabled = isReadOnly || !deletable();
    at("undo").disabled = isReadOnly || !edits.length;
    at("reset").disabled = isReadOnly || JSON.stringify(state) === JSON.stringify(detected());
    at("tse").disabled = at("tsv").disabled = isReadOnly;
    at("previous").disabled = at("next").disabled = !stops().length;
  };
  // Hide the selection, except in one chart.
  const wipe = (but) => {
    for (const model of doc.all_models) if (model.type === "BoxSelectTool" && !but?.toolbar.tools.includes(model)) model.overlay.visible = false;
  };
  const clearSelection = () => {
    selection = null;
    wipe();
  };
  const redraw = () => {
    state = edits.reduce(apply, detected());
    clearSelection();
    current = -1;
    show();
  };
  const change = (more, message) => {
    edits = [...edits, ...more];
    keep();
    redraw();
    showStatus(message);
  };
  const view = (a, b) => {
    const range = doc.get_model_by_name("overview").x_range;
    range.setv({ start: Math.max(a, 0), end: Math.min(b, recording.duration_s) });
  };
  const ecgNote = (e) => {
    if (!recording.ecg) return "";
    const shown = recording.ecg.stretches.reduce((sum, [a, b]) => sum + Math.max(Math.min(b, e.end_s) - Math.max(a, e.onset_s), 0), 0);
    return shown <= 0 ? "; its ECG is not in this page" : shown < e.end_s - e.onset_s - 1e-6 ? "; a part of its ECG is in this page" : "";
  };
  const step = (by) => {
    const all = stops();
    if (!all.length) return;
    current = current < 0 ? (by > 0 ? 0 : all.length - 1) : (current + by + all.length) % all.length;
    const e = all[current];
    clearSelection();
    view(e.onset_s - 30, e.end_s + 30);
    show();
    const kind = !e.kind ? "reference" : e.marked ? "marked by you" : "detected";
    showStatus(`event ${current + 1} of ${all.length}: ${time(e.onset_s)}, ${(e.end_s - e.onset_s).toFixed(0)} s, ${kind}${ecgNote(e)}`);
  };
  const mark = (act) => {
    if (!selection) return;
    const [a, b] = selection;
    change([{ act, onset_s: a, end_s: b }], `${time(a)} to ${time(b)} is ${act === "seizure" ? "a seizure" : "background"} now`);
  };
  const remove = () => {
    const { onset_s, end_s } = deletable();
    change([{ act: "delete", onset_s, end_s }], `the event at ${time(onset_s)} is deleted`);
  };
  const leave = () => {
    current = -1;
    clearSelection();
    show();
    showSummary();
  };
  const undo = () => {
    if (!edits.length) return;
    edits = edits.slice(0, -1);
    keep();
    redraw();
    showOffers();
    showStatus("undone");
  };

  // The whole recording: seizures, stretches neither assessed nor marked, and background between them.
  const tiles = () => {
    let blind = recording.not_assessed;
    for (const e of [...state.seizures, ...state.background]) blind = without(blind, e.onset_s, e.end_s);
    const rows = [];
    let done = 0;
    for (const e of inOrder([...as(state.seizures, "seiz"), ...as(blind, "null")])) {
      if (e.onset_s > done) rows.push({ onset_s: done, end_s: e.onset_s, kind: "bckg", confidence: 1 });
      rows.push(e);
      done = e.end_s;
    }
    if (done < recording.duration_s) rows.push({ onset_s: done, end_s: recording.duration_s, kind: "bckg", confidence: 1 });
    return rows;
  };
  const tse = () => "version = tse_v1.0.0\n\n" + tiles().map(
    (e) => `${e.onset_s.toFixed(4)} ${e.end_s.toFixed(4)} ${e.kind} ${(e.kind === "null" ? 1 : e.confidence).toFixed(4)}\n`).join("");
  const tsv = () => {
    const start = new Date((recording.start || "1985-01-01T00:00:00") + (/Z$/.test(recording.start || "") ? "" : "Z"));
    const rows = state.seizures.length ? [...as(inOrder(state.seizures), "sz")] : [{ onset_s: 0, end_s: recording.duration_s, kind: "bckg", confidence: 1 }];
    const blind = tiles().filter((e) => e.kind === "null").map((e) => ({ ...e, kind: "bckg", confidence: 0 }));
    const line = (e) => [e.onset_s.toFixed(4), (e.end_s - e.onset_s).toFixed(4), e.kind, e.confidence.toFixed(4), "n/a",
      new Date(start.getTime() + e.onset_s * 1000).toISOString().slice(0, 19).replace("T", " "), recording.duration_s.toFixed(4)].join("\t");
    return ["onset\tduration\teventType\tconfidence\tchannels\tdateTime\trecordingDuration", ...inOrder([...rows, ...blind]).map(line)].join("\n") + "\n";
  };
  const save = (name, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = name;
    link.click();
    // Some browsers read the URL a little later.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    // A page cannot detect whether a download was blocked or cancelled.
    showStatus(`download of ${name} requested; check that it is among your downloads`);
  };

  // Colours of text and lines of the charts, for the light and the dark scheme.
  const paint = () => {
    const colour = getComputedStyle(document.documentElement).getPropertyValue("--fg").trim();
    for (const model of doc.all_models) {
      if (model.type.endsWith("Axis")) model.setv({ axis_label_text_color: colour, major_label_text_color: colour, axis_line_color: colour, major_tick_line_color: colour, minor_tick_line_color: colour });
      if (model.type === "Title") model.setv({ text_color: colour });
    }
  };

  // The ECG in view: every sample or, if there are too many, the lowest and highest sample of each pixel.
  const MAX_SAMPLES = 100_000;
  const drawEcg = () => {
    const { fs_hz, mv_per_step, zero_mv } = recording.ecg, { start, end } = doc.get_model_by_name("overview").x_range;
    const digital = doc.get_model_by_name("ecg samples").data.digital, { onset_s, length } = doc.get_model_by_name("ecg runs").data;
    const parts = [];
    let first = 0, total = 0;
    for (let i = 0; i < length.length; first += length[i], i += 1) {
      // One more sample on each side, so that the line reaches the edges.
      const from = Math.max(Math.ceil((start - onset_s[i]) * fs_hz) - 1, 0), to = Math.min(Math.floor((end - onset_s[i]) * fs_hz) + 2, length[i]);
      if (to <= from) continue;
      parts.push({ from: first + from, to: first + to, t0: onset_s[i] - first / fs_hz });
      total += to - from;
    }
    const pixels = doc.get_model_by_name("ecg").inner_width || 1000;
    const bin = total > MAX_SAMPLES ? Math.max(Math.floor((end - start) * fs_hz / pixels), 1) : 1;
    const room = parts.reduce((sum, { from, to }) => sum + (bin === 1 ? to - from : 2 * Math.ceil((to - from) / bin)) + 1, 0);
    const x = new Float64Array(room), y = new Float32Array(room);
    let n = 0;
    const put = (t_s, mv) => { x[n] = t_s; y[n] = mv; n += 1; };
    for (const { from, to, t0 } of parts) {
      if (bin === 1) for (let k = from; k < to; k += 1) put(t0 + k / fs_hz, zero_mv + digital[k] * mv_per_step);
      else for (let k = from; k < to; k += bin) {
        let low = digital[k], high = low;
        for (let j = k + 1; j < Math.min(k + bin, to); j += 1) { if (digital[j] < low) low = digital[j]; if (digital[j] > high) high = digital[j]; }
        put(t0 + k / fs_hz, zero_mv + low * mv_per_step);
        put(t0 + k / fs_hz, zero_mv + high * mv_per_step);
      }
      put(NaN, NaN);
    }
    doc.get_model_by_name("ecg drawn").data = { x, y };
  };
  let isDrawing = false;
  const moved = () => {
    if (!recording.ecg || !doc || isDrawing) return;
    isDrawing = true;
    requestAnimationFrame(() => { isDrawing = false; drawEcg(); });
  };

  window.aura = {
    moved,
    select: (chart, a, b) => {
      wipe(chart);
      selection = [Math.max(Math.min(a, b), 0), Math.min(Math.max(a, b), recording.duration_s)];
      show();
      showSummary();
    },
  };
  const actions = { previous: () => step(-1), next: () => step(1), whole: () => { current = -1; view(0, recording.duration_s); show(); showSummary(); }, seizure: () => mark("seizure"),
    background: () => mark("background"), delete: remove, undo, reset: () => change([{ act: "reset" }], "reset to detections"),
    tse: () => save(`${recording.name}.tse_bi`, tse()), tsv: () => save(`${recording.name}_events.tsv`, tsv()) };
  for (const [id, action] of Object.entries(actions)) at(id).addEventListener("click", action);
  const keys = { ArrowLeft: "previous", ArrowRight: "next", 0: "whole", s: "seizure", b: "background", Delete: "delete", z: "undo" };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && (selection || current >= 0)) leave();
    const isUndo = (event.ctrlKey || event.metaKey) && event.key === "z";
    if (!isUndo && (event.ctrlKey || event.altKey || event.metaKey || !(event.key in keys))) return;
    event.preventDefault();
    if (!at(keys[event.key]).disabled) actions[keys[event.key]]();
  });
  // Another tab shows this page as well: both show and store the same edits.
  window.addEventListener("storage", (event) => {
    if (event.key !== key || !doc) return;
    restore();
    showKept();
    redraw();
    showStatus("changed in another tab");
  });
  window.addEventListener("beforeunload", (event) => {
    if (!isKept && edits.length) event.preventDefault();
  });

  const begin = () => {
    if (!window.Bokeh || !Bokeh.documents.length || !Bokeh.documents[0].is_idle) { setTimeout(begin, 50); return; }
    doc = Bokeh.documents[0];
    if (isReadOnly) at("readonly").hidden = false;
    else {
      restore();
      isKept = edits.length > 0 || canStore();
      showKept();
      showOffers();
    }
    paint();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
    show();
    if (recording.ecg) drawEcg();
    showSummary();
    document.documentElement.dataset.ready = "true";
  };
  begin();
})();
