// Scores against the reference, a plot for each metric: hover tells values, a click goes to the frame.

const PLOT = { high: 150, left: 46, right: 10, top: 8, bottom: 20 };
const DASHES = ["", "", "6 3", "2 3", "9 3 2 3"];
const told = (v, digits) => (v === null || v === undefined ? "–" : v === "inf" ? "∞" : v.toFixed(digits));
const scored = (n) => facts.inputs[n].name + (facts.inputs[n].resized ? ", bicubic" : "");
const meanOf = (metric, n) => told(facts.inputs[n].mean[metric.key], metric.digits);
const line = (n) => `stroke="var(--c${n})" stroke-dasharray="${DASHES[n % DASHES.length]}"`;

const plots = facts.metrics.map((metric) => {
  const figure = document.createElement("figure");
  figure.className = "plot";
  figure.innerHTML = "<figcaption></figcaption><svg role='img'></svg>";
  $("curves").append(figure);
  const plot = { metric, caption: figure.firstChild, svg: figure.lastChild, hover: null };
  const frameAt = (e) => {
    const x = e.clientX - plot.svg.getBoundingClientRect().left - PLOT.left;
    return clamp(Math.round((x / (plot.width - PLOT.left - PLOT.right)) * (count - 1)), 0, count - 1);
  };
  plot.svg.addEventListener("pointermove", (e) => hover(frameAt(e)));
  plot.svg.addEventListener("pointerleave", () => hover(null));
  plot.svg.addEventListener("click", (e) => go(frameAt(e)));
  return plot;
});
$("plots").hidden = !plots.length;

function hover(frame) {
  for (const plot of plots) {
    plot.hover = frame;
    mark(plot);
  }
}

// The plot from anew, at the width there is.
function drawPlot(plot) {
  const { metric, svg } = plot, { high, left, right, top, bottom } = PLOT;
  const rows = metric.scores.map((row, n) => [row, n]).filter(([row]) => row);
  const values = rows.flatMap(([row]) => row).filter((v) => typeof v === "number");
  let [low, up] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const spare = (up - low) * 0.08 || Math.abs(up) * 0.01 || 1;
  [low, up] = [low - spare, up + spare];
  plot.width = Math.max(200, $("curves").clientWidth);
  plot.x = (k) => left + (count > 1 ? (k / (count - 1)) * (plot.width - left - right) : (plot.width - left - right) / 2);
  plot.y = (v) => top + ((up - v) / (up - low)) * (high - top - bottom);
  const ticks = round(low, up);
  const label = (x, y, anchor, words) => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${words}</text>`;
  const grid = ticks.map((v) => {
    const across = `<path class="grid" d="M${left} ${plot.y(v).toFixed(1)}H${plot.width - right}"/>`;
    return across + label(left - 5, plot.y(v) + 4, "end", v.toFixed(digitsOf(ticks)));
  });
  const lines = rows.map(([row, n]) => `<path class="line" ${line(n)} d="${path(plot, row)}"/>`);
  const ends = [0, count - 1].map((k, n) => label(plot.x(k), high - 4, n ? "end" : "start", `${facts.times[k].toFixed(2)} s`));
  const means = rows.map(([, n]) => `${scored(n)} ${meanOf(metric, n)} ${metric.unit} on average`);
  svg.setAttribute("viewBox", `0 0 ${plot.width} ${high}`);
  svg.setAttribute("height", high);
  svg.setAttribute("aria-label", `${metric.name} by frame: ${means.join(", ")}`);
  svg.innerHTML = `${grid.join("")}${lines.join("")}${(count > 1 ? ends : []).join("")}<path class="now"/><path class="hover"/>`;
  mark(plot);
}

// Round values within a range: three to six of them, 1, 2 or 5 times a power of ten apart.
function round(low, up) {
  const power = 10 ** Math.floor(Math.log10((up - low) / 3));
  const step = [5, 2, 1].map((f) => f * power).find((s) => (up - low) / s >= 3);
  const first = Math.ceil(low / step), last = Math.floor(up / step);
  return Array.from({ length: last - first + 1 }, (_, k) => (first + k) * step);
}
const digitsOf = (ticks) => Math.max(0, Math.ceil(-Math.log10(ticks[1] - ticks[0]) - 1e-9));

// A path through the values; where there is none it breaks off, and a value alone is a dash.
function path(plot, row) {
  let d = "", on = false;
  row.forEach((v, k) => {
    const there = typeof v === "number";
    if (there) d += `${on ? "L" : "M"}${plot.x(k).toFixed(1)} ${plot.y(v).toFixed(1)}${on ? "" : "h.5"}`;
    on = there;
  });
  return d;
}

// What changes as frames pass: two lines and the values in the caption.
function mark(plot) {
  const { metric, svg, caption } = plot, frame = plot.hover ?? state.frame;
  const upright = (k) => `M${plot.x(k).toFixed(1)} ${PLOT.top}V${PLOT.high - PLOT.bottom}`;
  svg.querySelector(".now").setAttribute("d", upright(state.frame));
  svg.querySelector(".hover").setAttribute("d", plot.hover === null ? "" : upright(plot.hover));
  const keys = metric.scores.map((row, n) => {
    if (!row) return "";
    const stroke = `<svg viewBox="0 0 22 8" aria-hidden="true"><path class="line" ${line(n)} d="M0 4h22"/></svg>`;
    const value = `<span class="value">${told(row[frame], metric.digits)}</span>`;
    return `<span class="key">${stroke}${html(scored(n))} ${value} <span class="dim">mean ${meanOf(metric, n)}</span></span>`;
  });
  const name = `<b>${html(metric.name)}${metric.unit ? `, ${html(metric.unit)}` : ""}</b>`;
  caption.innerHTML = `${name}${keys.join("")}<span class="dim">frame ${frame + 1}</span>`;
}
