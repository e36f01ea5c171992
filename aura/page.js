"use strict";
(() => {
  const recording = JSON.parse(document.getElementById("recording").textContent);
  const key = `aura ${recording.name} ${recording.beats}`;
  const at = (id) => document.getElementById(id);
  const as = (events, kind) => events.map((e) => ({ ...e, kind }));
  const detected = () => ({ seizures: as(recording.found, "seiz"), background: [] });
  let state = detected(), history = [], chosen = null, current = -1, doc = null;

  // What a stretch leaves of events.
  const without = (events, a, b) => events.flatMap((e) => (e.end_s <= a || e.onset_s >= b) ? [e] : [
    ...(e.onset_s < a ? [{ ...e, end_s: a }] : []), ...(e.end_s > b ? [{ ...e, onset_s: b }] : []),
  ]);
  const inOrder = (events) => [...events].sort((p, q) => p.onset_s - q.onset_s);
  const time = (s) => window.auraTime(s, startSeconds());
  const startSeconds = () => {
    if (!recording.start) return 0;
    const [h, m, s] = recording.start.slice(11).split(":").map(Number);
    return h * 3600 + m * 60 + s;
  };
  const stops = () => inOrder([...state.seizures, ...recording.reference]);

  const store = () => {
    try { localStorage.setItem(key, JSON.stringify({ state, history })); } catch { say("this browser keeps nothing: save before you leave"); }
  };
  const restore = () => {
    try {
      const kept = JSON.parse(localStorage.getItem(key));
      // What the detector found may be another's now; what a person changed stays.
      if (kept && kept.history.length) ({ state, history } = kept);
    } catch { /* Nothing is kept, or nothing that can be read. */ }
  };
  const overall = () => say(chosen ? `chosen: ${time(chosen[0])} to ${time(chosen[1])}, ${(chosen[1] - chosen[0]).toFixed(0)} s` : `${state.seizures.length} ${state.seizures.length === 1 ? "seizure" : "seizures"} detected` + (history.length ? ", with your changes" : ""));
  const say = (text) => { at("where").textContent = text; };

  // The detected or marked event that was chosen or stepped to; what the reference says stays.
  const deletable = () => {
    const e = chosen ? state.seizures.find((one) => one.onset_s < chosen[1] && one.end_s > chosen[0]) : stops()[current];
    return e && e.kind ? e : null;
  };
  const show = () => {
    const source = doc.get_model_by_name("detected");
    const rows = inOrder(state.seizures);
    source.data = { left: rows.map((e) => e.onset_s), right: rows.map((e) => e.end_s), row: rows.map(() => "detected") };
    at("seizure").disabled = at("background").disabled = !chosen;
    at("delete").disabled = !deletable();
    at("undo").disabled = !history.length;
    at("reset").disabled = JSON.stringify(state) === JSON.stringify(detected());
    at("previous").disabled = at("next").disabled = !stops().length;
  };
  // What is drawn as chosen, but for one chart.
  const wipe = (but) => {
    for (const model of doc.all_models) if (model.type === "BoxSelectTool" && !but?.toolbar.tools.includes(model)) model.overlay.visible = false;
  };
  const forget = () => {
    chosen = null;
    wipe();
  };
  const change = (next, said) => {
    history.push(state);
    state = next;
    forget();
    current = -1;
    store();
    show();
    say(said);
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
    forget();
    view(e.onset_s - 30, e.end_s + 30);
    show();
    say(`event ${current + 1} of ${all.length}: ${time(e.onset_s)}, ${(e.end_s - e.onset_s).toFixed(0)} s, ${e.kind ? (history.length ? "detected or marked" : "detected") : "reference"}${ecgNote(e)}`);
  };
  const mark = (kind) => {
    if (!chosen) return;
    const [a, b] = chosen;
    const seizures = kind === "seiz"
      ? inOrder([...state.seizures.filter((e) => e.end_s < a || e.onset_s > b), state.seizures.filter((e) => !(e.end_s < a || e.onset_s > b)).reduce(
        (all, e) => ({ ...all, onset_s: Math.min(all.onset_s, e.onset_s), end_s: Math.max(all.end_s, e.end_s) }),
        { onset_s: a, end_s: b, confidence: 1, kind: "seiz" })])
      : without(state.seizures, a, b);
    const background = kind === "bckg" ? inOrder([...without(state.background, a, b), { onset_s: a, end_s: b, confidence: 1 }]) : without(state.background, a, b);
    change({ seizures, background }, `${time(a)} to ${time(b)} is ${kind === "seiz" ? "a seizure" : "background"} now`);
  };
  const remove = () => {
    const e = deletable();
    change({ ...state, seizures: state.seizures.filter((one) => one !== e && one.onset_s !== e.onset_s) }, `the event at ${time(e.onset_s)} is deleted`);
  };
  const leave = () => {
    current = -1;
    forget();
    show();
    overall();
  };
  const undo = () => {
    if (!history.length) return;
    state = history.pop();
    forget();
    current = -1;
    store();
    show();
    say("undone");
  };

  // All of the recording: seizures, what could not be assessed and nobody looked at, and background between.
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
    // Some browsers read it a little later.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    say(`${name} is saved`);
  };

  // Text and lines of the charts, in the dark as well.
  const paint = () => {
    const colour = getComputedStyle(document.documentElement).getPropertyValue("--fg").trim();
    for (const model of doc.all_models) {
      if (model.type.endsWith("Axis")) model.setv({ axis_label_text_color: colour, major_label_text_color: colour, axis_line_color: colour, major_tick_line_color: colour, minor_tick_line_color: colour });
      if (model.type === "Title") model.setv({ text_color: colour });
    }
  };

  // The ECG in view: every sample, or, of more than can be told apart, the lowest and highest of each pixel.
  const MOST_SAMPLES = 100_000;
  const drawEcg = () => {
    const { fs_hz, mv_per_step, zero_mv } = recording.ecg, { start, end } = doc.get_model_by_name("overview").x_range;
    const digital = doc.get_model_by_name("ecg samples").data.digital, { onset_s, length } = doc.get_model_by_name("ecg runs").data;
    const parts = [];
    let first = 0, total = 0;
    for (let i = 0; i < length.length; first += length[i], i += 1) {
      // One sample more on each side, so that the line reaches the edges.
      const from = Math.max(Math.ceil((start - onset_s[i]) * fs_hz) - 1, 0), to = Math.min(Math.floor((end - onset_s[i]) * fs_hz) + 2, length[i]);
      if (to <= from) continue;
      parts.push({ from: first + from, to: first + to, t0: onset_s[i] - first / fs_hz });
      total += to - from;
    }
    const pixels = doc.get_model_by_name("ecg").inner_width || 1000;
    const bin = total > MOST_SAMPLES ? Math.max(Math.floor((end - start) * fs_hz / pixels), 1) : 1;
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
    choose: (chart, a, b) => {
      wipe(chart);
      chosen = [Math.max(Math.min(a, b), 0), Math.min(Math.max(a, b), recording.duration_s)];
      show();
      overall();
    },
  };
  const actions = { previous: () => step(-1), next: () => step(1), whole: () => { current = -1; view(0, recording.duration_s); show(); overall(); }, seizure: () => mark("seiz"),
    background: () => mark("bckg"), delete: remove, undo, reset: () => change(detected(), "as detected"),
    tse: () => save(`${recording.name}.tse_bi`, tse()), tsv: () => save(`${recording.name}_events.tsv`, tsv()) };
  for (const [id, action] of Object.entries(actions)) at(id).addEventListener("click", action);
  const keys = { ArrowLeft: "previous", ArrowRight: "next", 0: "whole", s: "seizure", b: "background", Delete: "delete", z: "undo" };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && (chosen || current >= 0)) leave();
    const isUndo = (event.ctrlKey || event.metaKey) && event.key === "z";
    if (!isUndo && (event.ctrlKey || event.altKey || event.metaKey || !(event.key in keys))) return;
    event.preventDefault();
    if (!at(keys[event.key]).disabled) actions[keys[event.key]]();
  });

  const begin = () => {
    if (!window.Bokeh || !Bokeh.documents.length || !Bokeh.documents[0].is_idle) { setTimeout(begin, 50); return; }
    doc = Bokeh.documents[0];
    restore();
    paint();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
    show();
    if (recording.ecg) drawEcg();
    overall();
    document.documentElement.dataset.ready = "true";
  };
  begin();
})();
