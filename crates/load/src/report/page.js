"use strict";
// Draws the report from the data in the page. Nothing is fetched.
const report = JSON.parse(document.getElementById("data").textContent);
const { timeline, verdict, marks } = report;
const by = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const colours = dark
  ? ["#6cb6ff", "#f0b45a", "#f47f8e", "#7ed6a5", "#c39bf5", "#8fd3e8", "#d9c97c", "#aab2bd"]
  : ["#1f6feb", "#b56a00", "#c62a47", "#178a54", "#7a42c8", "#0f7c93", "#8a7400", "#5b6570"];
const ink = dark ? "#9aa4af" : "#626b76";
const line = dark ? "#2c333b" : "#e3e6ea";

const short = (value) => {
  if (value == null || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e9) return (value / 1e9).toFixed(2) + " G";
  if (size >= 1e6) return (value / 1e6).toFixed(2) + " M";
  if (size >= 1e4) return (value / 1e3).toFixed(1) + " k";
  return size >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(size >= 1 ? 1 : 2);
};

function element(parent, name, text, kind) {
  const made = document.createElement(name);
  if (text != null) made.textContent = text;
  if (kind) made.className = kind;
  parent.append(made);
  return made;
}

function table(id, head, rows, bad = () => false) {
  const place = by(id);
  if (!rows.length) return element(place, "caption", "none", "none");
  const top = element(place, "tr");
  head.forEach((text) => element(top, "th", text));
  for (const row of rows) {
    const line = element(place, "tr");
    row.forEach((cell, n) => element(line, "td", cell, bad(cell, n) ? "bad" : ""));
  }
}

// Deeds are marked in every plot over time: what disturbs in red, what the run itself did in grey.
const deed = (what) => /^(kill|drain|restart|freeze|wave|stopped)|join$/.test(what);
const shown = marks.filter(({ what }) => deed(what) || / is back$/.test(what) || /^load /.test(what));
function markers(plot) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  let row = 0;
  for (const { at, what } of shown) {
    const x = plot.valToPos(at, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    const colour = deed(what) ? colours[2] : ink;
    ctx.strokeStyle = ctx.fillStyle = colour;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (deed(what)) {
      const left = x + ctx.measureText(what).width + 8 > bbox.left + bbox.width;
      ctx.textAlign = left ? "right" : "left";
      ctx.fillText(what, x + (left ? -4 : 4) * devicePixelRatio, bbox.top + (12 + 13 * (row++ % 3)) * devicePixelRatio);
    }
  }
  ctx.restore();
}

const axes = (x, y = short) => [
  { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line }, values: x },
  { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line }, size: 60, values: (_, ticks) => ticks.map(y) },
];

function draw(id, xs, series, options = {}) {
  const place = by(id);
  place.replaceChildren();
  const any = series.some(({ values }) => values.some((value) => value != null && value !== 0));
  if (!any) return element(place, "p", "nothing was recorded", "none");
  const plot = new uPlot(
    {
      width: place.clientWidth,
      height: 260,
      cursor: { sync: options.alone ? undefined : { key: "time" } },
      scales: { x: { time: false, ...options.x }, y: { range: options.log ? undefined : (_, least, most) => [Math.min(0, least), most || 1], distr: options.log ? 3 : 1 } },
      axes: axes(options.ticks || ((_, ticks) => ticks.map((tick) => `${tick} s`))),
      series: [
        { label: options.label || "s", value: (_, value) => (options.show ? options.show(value) : value == null ? "–" : value.toFixed(1)) },
        ...series.map(({ name }, n) => ({
          label: name, stroke: colours[n % colours.length], width: 1.75, value: (_, value) => short(value),
          points: { show: xs.length < 40 }, spanGaps: true,
        })),
      ],
      hooks: options.alone ? {} : { draw: [markers] },
    },
    [xs, ...series.map(({ values }) => values)],
    place,
  );
  new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 260 })).observe(place);
}

const seconds = timeline.map(({ at }) => at);
const per = (key) => timeline.map((second) => second[key]);

// ---- the head
by("title").textContent = `starling-load ${report.scenario}`;
document.title = `starling-load ${report.scenario} · ${report.run}`;
by("subtitle").textContent =
  `${report.run} · ${report.started_at.slice(0, 19).replace("T", " ")} UTC · ${report.seconds.toFixed(1)} s` +
  `${report.stopped_early ? ", stopped early" : ""} · ${report.machine.cores} cores · version ${report.machine.load_version}`;

const faults = Object.entries(verdict.faults);
const wrong = faults.reduce((sum, [, count]) => sum + count, 0);
const place = by("verdict");
place.className = wrong ? "bad" : "";
const unproved = verdict.sent > 0 && !wrong && (verdict.acknowledged === 0 || verdict.expected === 0);
if (unproved) place.className = "bad";
element(place, "strong", verdict.sent === 0 ? "Nothing was sent" : wrong
  ? `${wrong} deliveries were wrong` : unproved ? "Nothing was proved" : "Every delivery was right");
(report.broken || []).forEach((broken) => element(place, "p", `broken off: ${broken}`));
if (verdict.unsent) element(place, "p", `${verdict.unsent} were due and never sent: nobody was connected who could say them`);
element(place, "p", faults.map(([name, count]) => `${name} ${count}`).join(" · "));
element(place, "p", `${verdict.sent} sent, ${verdict.acknowledged} acknowledged, ${verdict.unknown} unknown; ` +
  `${verdict.delivered} deliveries of ${verdict.expected} expected, ${verdict.repeated} repeated as the protocol allows`);
verdict.told.forEach((told) => element(place, "p", told));

const { figures } = report;
for (const [value, name] of [
  [figures.messages_per_second, "messages/s"],
  [figures.deliveries_per_second, "deliveries/s"],
  [report.latency.acknowledgement?.p99, "ms acknowledgement, p99"],
  [report.latency.delivery?.p99, "ms delivery, p99"],
  [report.latency.reconnect?.p99, "ms reconnect, p99"],
  [figures.calls_per_second, "REST answers/s"],
  [report.most_open, "sockets at once"],
  [figures.cpu_micros_per_delivery, "server CPU-µs per delivery"],
  [figures.cpu_micros_per_socket_second, "server CPU-µs per socket and second"],
  [figures.bytes_per_socket, "bytes (PSS) per socket"],
]) {
  if (value == null || Number.isNaN(value) || value === 0) continue;
  const card = element(by("figures"), "div");
  element(card, "b", short(value));
  element(card, "span", name);
}

// ---- plots
const kinds = Object.keys(report.latency);
for (const kind of kinds) element(by("kind"), "option", kind);
by("kind").value = ["delivery", "acknowledgement", "list", "connect"].find((kind) => kinds.includes(kind)) || "";
function drawLatency() {
  const kind = by("kind").value;
  const of = (key) => timeline.map(({ latency }) => latency[kind]?.[key] ?? null);
  draw("latency", seconds, ["p50", "p90", "p99", "max"].map((name) => ({ name, values: of(name) })));
}
by("kind").addEventListener("change", drawLatency);

function drawCurve() {
  // A percentile is drawn at 1 ÷ (1 − q): each nine takes as much room as the one before.
  const quantiles = [...new Set(kinds.flatMap((kind) => report.latency[kind].curve.map(([q]) => q)))].sort((a, b) => a - b);
  const xs = quantiles.map((q) => 1 / (1 - q));
  const name = (x) => `${+(100 - 100 / x).toFixed(5)} %`;
  draw("curve", xs, kinds.map((kind) => {
    const values = new Map(report.latency[kind].curve);
    return { name: kind, values: quantiles.map((q) => values.get(q) ?? null) };
  }), {
    alone: true, label: "percentile", show: (x) => (x == null ? "–" : name(x)), x: { distr: 3 },
    ticks: (_, ticks) => ticks.map((tick) => (Math.abs(Math.log10(tick) % 1) < 1e-9 ? name(tick) : "")),
  });
}

drawLatency();
drawCurve();
draw("throughput", seconds, [
  { name: "sent", values: per("sent") }, { name: "acknowledged", values: per("acknowledged") },
  { name: "delivered", values: per("delivered") }, { name: "REST answers", values: per("calls") },
].filter(({ values }) => values.some((value) => value > 0)));
draw("connections", seconds, [
  { name: "open", values: per("open") }, { name: "errors/s", values: per("errors") }, { name: "faults so far", values: per("faults") },
]);
const processes = (key, scale) => report.processes.map(({ name }, n) => ({ name, values: timeline.map((second) => (second[key][n] ?? NaN) / scale) }));
draw("cpu", seconds, processes("cpu", 1));
draw("rss", seconds, processes("rss", 1 << 20));

const metrics = Object.keys(report.metrics);
for (const name of metrics) element(by("metric"), "option", name);
by("metric").value = metrics.find((name) => name === "starling_messages_total") || metrics[0] || "";
by("rate").checked = true;
function drawMetric() {
  const name = by("metric").value;
  const raw = report.metrics[name] || [];
  const values = seconds.map((at, n) => {
    if (!by("rate").checked) return raw[n] ?? null;
    // A node that starts anew counts from 0 again.
    return n === 0 || raw[n] == null || raw[n - 1] == null ? null : Math.max(0, raw[n] - raw[n - 1]) / (at - seconds[n - 1]);
  });
  draw("metrics", seconds, [{ name: by("rate").checked ? `${name}, per second` : name, values }]);
}
by("metric").addEventListener("change", () => { by("rate").checked = /_(total|sum|count)$/.test(by("metric").value); drawMetric(); });
by("rate").addEventListener("change", drawMetric);
drawMetric();

// ---- tables
table("marks", ["", "s"], marks.map(({ at, what }) => [what, at.toFixed(2)]));
table("latencies", ["", "p50", "p90", "p99", "p99.9", "max", "count"],
  Object.entries(report.latency).map(([name, of]) => [name, ...[of.p50, of.p90, of.p99, of.p999, of.max].map((value) => value.toFixed(2)), of.count]));
table("faults", ["", ...faults.map(([name]) => name)],
  verdict.by_event.map(({ event, faults }) => [event, ...Object.values(faults)]), (cell, n) => n > 0 && cell > 0);
table("errors", ["", "how often"],
  [...Object.entries(report.errors), ...Object.entries(report.closes).map(([code, count]) => [`connections closed with ${code}`, count])]);
table("servers", ["", "CPU s", "of it under load", "RSS at most, MiB", "PSS at the end, MiB"], report.processes.map(
  ({ name, cpu_seconds, load_cpu_seconds, most_rss_bytes, pss_bytes }) =>
    [name, cpu_seconds.toFixed(2), load_cpu_seconds.toFixed(2), (most_rss_bytes / 2 ** 20).toFixed(1), pss_bytes.end ? (pss_bytes.end / 2 ** 20).toFixed(1) : "–"]));
by("plan").textContent = JSON.stringify(report.plan, null, 1);
