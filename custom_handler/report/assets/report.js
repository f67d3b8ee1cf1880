"use strict";
// The data is within the page of a file, or comes from GET /report/data with the key of this tab.
const at = id => document.getElementById(id);
const COLOURS = ["#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#56b4e9"]; // Okabe and Ito: for colour blindness, too
const SPANS = 60; // at most, on the axis of time
const FAILURES = 50, SLOWEST = 20;
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const money = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", maximumFractionDigits: 4 });
let data = JSON.parse(at("data").textContent), range = null, plots = [];

const count = value => (value === null || value === undefined ? "–" : number.format(value));
const seconds = ms => (ms === null ? "–" : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`);
const clock = ms => new Date(ms).toLocaleString();
const sum = values => values.reduce((total, value) => total + value, 0);

// The smallest value that `percent` % of the values do not exceed.
function percentile(values, percent) {
  if (!values.length) return null;
  const ordered = Float64Array.from(values).sort();
  return ordered[Math.max(0, Math.ceil((ordered.length * percent) / 100) - 1)];
}

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function table(place, head, rows, text = false) {
  at(place).replaceChildren();
  if (!rows.length) return element("p", "None.", at(place)).classList.add("soft");
  const made = element("table", undefined, at(place)), top = element("tr", undefined, element("thead", undefined, made));
  made.classList.toggle("text", text);
  head.forEach(cell => { element("th", cell, top).scope = "col"; });
  const body = element("tbody", undefined, made);
  for (const row of rows) {
    const line = element("tr", undefined, body);
    row.forEach(cell => element("td", cell, line));
  }
}

// The numbers of the calls that the filters let through.
function chosen() {
  const { calls } = data, model = at("model").value, key = at("api-key").value, found = [];
  for (let call = 0; call < calls.at.length; call++) {
    if (model !== "" && calls.model[call] !== Number(model)) continue;
    if (key !== "" && calls.key[call] !== Number(key)) continue;
    if (range && (calls.at[call] < range[0] || calls.at[call] > range[1])) continue;
    found.push(call);
  }
  return found;
}

function figures(found) {
  const { calls } = data, answered = found.filter(call => calls.error[call] < 0);
  const latencies = answered.map(call => calls.latency[call]);
  const firsts = answered.map(call => calls.first[call]).filter(value => value !== null);
  return {
    calls: found.length, failed: found.length - answered.length,
    latency: [50, 95, 99].map(percent => percentile(latencies, percent)), first: [50, 95].map(percent => percentile(firsts, percent)),
    ...Object.fromEntries(["in", "out", "cost", "tools", "retries", "repairs"].map(name => [name, sum(found.map(call => calls[name][call]))])),
  };
}

function grouped(found, column) {
  const groups = new Map();
  for (const call of found) {
    const name = data.calls[column][call];
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(call);
  }
  return [...groups].sort((one, other) => other[1].length - one[1].length);
}

const HEAD = ["Calls", "Failed", "p50", "p95", "p99", "First token p50", "Tokens in", "Tokens out", "Cost", "Tool calls", "Retries", "Repairs"];
function cells(found) {
  const all = figures(found);
  return [count(all.calls), count(all.failed), ...all.latency.map(seconds), seconds(all.first[0]), count(all.in), count(all.out),
    money.format(all.cost), count(all.tools), count(all.retries), count(all.repairs)];
}

function spans(found) {
  const { calls } = data, [first, last] = range ?? minmax(found);
  // A minute is the shortest span until the reader chooses a time: one call is then one call per minute, not 60.
  const length = Math.max(range ? 1000 : 60000, Math.ceil((last - first + 1) / SPANS)), groups = [];
  for (const call of found) (groups[Math.floor((calls.at[call] - first) / length)] ??= []).push(call);
  const amount = Math.max(1, Math.ceil((last - first + 1) / length));
  return { x: Array.from({ length: amount }, (_, span) => (first + (span + 0.5) * length) / 1000),
    groups: Array.from({ length: amount }, (_, span) => groups[span] ?? []), minutes: length / 60000 };
}

function minmax(found) {
  let low = Infinity, high = -Infinity;
  for (const call of found) { low = Math.min(low, data.calls.at[call]); high = Math.max(high, data.calls.at[call]); }
  return [low, high];
}

// The time of a tick, with the date at the first one and where a day begins.
function moment(tick, before) {
  const [now, earlier] = [tick, before].map(value => (value === undefined ? null : new Date(value * 1000)));
  const date = now.toLocaleDateString(undefined, { day: "numeric", month: "short" });
  const time = now.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: tick % 60 ? "2-digit" : undefined });
  return earlier?.toDateString() === now.toDateString() ? time : `${time}\n${date}`;
}

function plot(place, { x, minutes }, series, format) {
  const style = getComputedStyle(document.documentElement), ink = style.getPropertyValue("--soft"), line = style.getPropertyValue("--line");
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
  const made = new uPlot({
    width: at(place).clientWidth || 900, height: 240, cursor: { drag: { x: true, y: false, setScale: false } },
    scales: { x: { range: () => [x[0] - 30 * minutes, x[x.length - 1] + 30 * minutes] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.05 : 1] } },
    axes: [{ ...axis, space: 70, values: (_, ticks) => ticks.map((tick, place) => moment(tick, ticks[place - 1])) }, { ...axis, size: 70, values: (_, ticks) => ticks.map(format) }],
    series: [{ label: "Time", value: (_, value) => (value === null ? "–" : clock(value * 1000)) },
      ...series.map(({ label }, place_) => ({ label, stroke: COLOURS[place_ % COLOURS.length], width: 2, spanGaps: true,
        points: { show: true, size: 5 }, value: (_, value) => (value === null ? "–" : format(value)) }))],
    hooks: { setSelect: [shown => {
      if (shown.select.width < 4) return;
      range = [shown.posToVal(shown.select.left, "x"), shown.posToVal(shown.select.left + shown.select.width, "x")].map(value => Math.round(value * 1000));
      show();
    }] },
  }, [x, ...series.map(({ values }) => values)], at(place));
  made.root.setAttribute("role", "img");
  made.root.setAttribute("aria-label", `${place}: ${series.map(({ label }) => label).join(", ")}`);
  plots.push(made);
}

function draw(found) {
  plots.forEach(made => made.destroy());
  plots = [];
  if (!found.length) return;
  const { calls } = data, times = spans(found), { groups, minutes } = times, perMinute = values => values.map(value => value / minutes);
  const rate = value => (value < 10 && value % 1 ? value.toFixed(1) : number.format(value));
  const all = groups.map(figures), line = (label, values) => ({ label, values });
  plot("calls", times, [line("answered", perMinute(all.map(one => one.calls - one.failed))), line("failed", perMinute(all.map(one => one.failed)))], rate);
  plot("latency", times, [50, 95, 99].map((percent, place) => line(`${percent} % within`, all.map(one => one.latency[place]))), seconds);
  plot("first", times, [50, 95].map((percent, place) => line(`${percent} % within`, all.map(one => one.first[place]))), seconds);
  plot("tokens", times, [line("to the models", perMinute(all.map(one => one.in))), line("from the models", perMinute(all.map(one => one.out)))], rate);
  const kinds = grouped(found.filter(call => calls.error[call] >= 0), "error").slice(0, COLOURS.length);
  plot("errors", times, kinds.map(([kind]) => line(data.errors[kind], perMinute(groups.map(group => group.filter(call => calls.error[call] === kind).length)))), rate);
}

function show() {
  const { calls } = data, found = chosen(), all = figures(found);
  at("totals").replaceChildren();
  for (const [name, value] of [["Calls", count(all.calls)], ["Failed", count(all.failed)], ["Latency p50", seconds(all.latency[0])],
    ["Latency p95", seconds(all.latency[1])], ["First token p50", seconds(all.first[0])], ["Tokens in", count(all.in)], ["Tokens out", count(all.out)],
    ["Cost", money.format(all.cost)], ["Tool calls", count(all.tools)], ["Retries", count(all.retries)], ["Repairs", count(all.repairs)]]) {
    const place = element("div", undefined, at("totals"));
    element("dt", name, place);
    element("dd", value, place);
  }
  const local = ms => new Date(ms - new Date(ms).getTimezoneOffset() * 60000).toISOString().slice(0, 19);
  [at("from").value, at("to").value] = range ? range.map(local) : ["", ""];
  draw(found);
  table("by-model", ["Model", ...HEAD], grouped(found, "model").map(([name, group]) => [data.models[name], ...cells(group)]));
  table("by-key", ["API key", ...HEAD], grouped(found, "key").map(([name, group]) => [data.keys[name], ...cells(group)]));
  const failed = found.filter(call => calls.error[call] >= 0);
  table("by-error", ["Error", "Calls", "Last"], grouped(failed, "error").map(([kind, group]) => [data.errors[kind], count(group.length), clock(calls.at[group.at(-1)])]));
  const row = call => [clock(calls.at[call]), data.models[calls.model[call]], data.keys[calls.key[call]]];
  table("failures", ["Time", "Model", "API key", "Error", "After", "Request id"], failed.slice(-FAILURES).reverse().map(call =>
    [...row(call), data.errors[calls.error[call]], seconds(calls.latency[call]), calls.id[call]]), true);
  const slow = [...found].sort((one, other) => calls.latency[other] - calls.latency[one]).slice(0, SLOWEST);
  table("slowest", ["Time", "Model", "API key", "Latency", "Tokens out", "Request id"], slow.map(call =>
    [...row(call), seconds(calls.latency[call]), count(calls.out[call]), calls.id[call]]), true);
}

function options(select, names, all) {
  const before = select.value;
  select.replaceChildren();
  if (all) element("option", all, select).value = "";
  names.forEach((name, place) => { element("option", name, select).value = all ? String(place) : name; });
  if ([...select.options].some(option => option.value === before)) select.value = before;
}

function begin() {
  document.title = `Report of ${data.run}`;
  at("facts").textContent = data.facts.join(" · ");
  at("access").hidden = true;
  at("report").hidden = false;
  options(at("model"), data.models, "all models");
  options(at("api-key"), data.keys, "all keys");
  at("run-label").hidden = at("again").hidden = !data.runs;
  if (data.runs) { options(at("run"), data.runs); at("run").value = data.run; }
  show();
}

function fail(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

async function load(run) {
  fail("");
  at("facts").textContent = "Loading …";
  try {
    const answer = await fetch(`report/data${run ? `?run=${encodeURIComponent(run)}` : ""}`, { headers: { authorization: `Bearer ${sessionStorage.getItem("key") ?? ""}` } });
    const body = await answer.json();
    if (!answer.ok) {
      if (answer.status === 401 || answer.status === 403) { at("access").hidden = false; at("report").hidden = true; }
      throw new Error(body.error?.message ?? `HTTP ${answer.status}`);
    }
    data = body;
    range = null;
    begin();
  } catch (error) {
    at("facts").textContent = "";
    fail(error.message);
  }
}

at("access").onsubmit = event => { event.preventDefault(); sessionStorage.setItem("key", at("key").value); load(); };
at("run").onchange = () => load(at("run").value);
at("again").onclick = () => load(at("run").value);
at("model").onchange = at("api-key").onchange = () => show();
at("from").onchange = at("to").onchange = () => {
  const [first, last] = [at("from").value, at("to").value].map(value => (value ? Date.parse(value) : null)), known = minmax(data.calls.at.keys());
  range = first === null && last === null ? null : [first ?? known[0], last ?? known[1]];
  show();
};
at("all").onclick = () => { range = null; at("model").value = at("api-key").value = ""; show(); };
let width = innerWidth;
addEventListener("resize", () => { if (data && innerWidth !== width) { width = innerWidth; draw(chosen()); } });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (data) draw(chosen()); });

if (data) begin();
else if (sessionStorage.getItem("key")) load();
else at("access").hidden = false;
