// The stage: one canvas on which panes look at pictures through one view, which zoom and place decide.

const stage = $("stage"), canvas = $("canvas"), pen = canvas.getContext("2d");
const GAP = 6; // pixels between pictures side by side
let current = []; // the bitmaps of what is shown, by input; null where an input has no frame then
let shown = -1; // the frame they are of
let asked = 0;

async function show() {
  const turn = ++asked, frame = state.frame;
  const wanted = facts.inputs.map((_, n) => state.loupe || n === state.left || n === state.right);
  const found = await Promise.all(wanted.map((yes, n) => (yes ? picture(n, frame) : null)));
  if (turn !== asked) return; // something else was asked for meanwhile
  current = found;
  shown = frame;
  paint();
}

const stacked = () => state.mode === "sides" && stage.parentElement.clientWidth < 640;

// The size of a pane on the screen: as wide as there is room for, never so high that what is below leaves the window.
function paneSize() {
  const room = document.body.clientWidth - 2 * parseFloat(getComputedStyle(document.body).paddingLeft);
  const halves = state.mode === "sides" && !stacked();
  const high = Math.max(160, innerHeight * (stacked() ? 0.36 : state.loupe ? 0.5 : 0.7));
  const width = Math.min(halves ? (room - GAP) / 2 : room, (high * WIDE) / HIGH);
  return [Math.floor(width), Math.round((width * HIGH) / WIDE)];
}

function panes() {
  const [w, h] = paneSize();
  if (state.mode !== "sides") return [{ x: 0, y: 0, w, h, input: state.mode === "slider" ? null : -1 }];
  const at = stacked() ? { x: 0, y: h + GAP } : { x: w + GAP, y: 0 };
  return [{ x: 0, y: 0, w, h, input: state.left }, { ...at, w, h, input: state.right }];
}

// Where the whole picture lies relative to a pane, in screen pixels, and how large it is there.
function placed(w, h) {
  const s = state.zoom || w / WIDE;
  const pw = WIDE * s, ph = HIGH * s;
  const along = (room, size, at) => (size <= room ? (room - size) / 2 : clamp(room / 2 - at * size, room - size, 0));
  return { x: along(w, pw, state.x), y: along(h, ph, state.y), w: pw, h: ph, s };
}

function paint() {
  const all = panes(), last = all[all.length - 1], density = devicePixelRatio || 1;
  const [w, h] = [last.x + last.w, last.y + last.h];
  if (canvas.width !== Math.round(w * density) || canvas.height !== Math.round(h * density)) {
    canvas.width = Math.round(w * density);
    canvas.height = Math.round(h * density);
    canvas.style.width = stage.style.width = `${w}px`;
    canvas.style.height = `${h}px`;
  }
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.clearRect(0, 0, w, h);
  for (const pane of all) {
    if (state.mode === "slider") {
      const cut = pane.w * state.split;
      draw(pen, current[state.left], pane, { x: 0, w: cut });
      draw(pen, current[state.right], pane, { x: cut, w: pane.w - cut });
    } else if (state.mode === "difference") {
      const heat = difference(current[state.left], current[state.right]);
      draw(pen, heat && heat.canvas, pane, { x: 0, w: pane.w });
      tellDifference(heat);
    } else draw(pen, current[pane.input], pane, { x: 0, w: pane.w });
    if (state.loupe) outline(pane);
  }
  label(all);
  if (state.loupe) paintLenses();
}

// A picture in a pane, as much of it as `part` shows.
function draw(pen, bitmap, pane, part) {
  const at = placed(pane.w, pane.h);
  pen.save();
  pen.beginPath();
  pen.rect(pane.x + part.x, pane.y, part.w, pane.h);
  pen.clip();
  if (bitmap) {
    pen.imageSmoothingEnabled = state.smooth || at.w * (devicePixelRatio || 1) < bitmap.width; // shrunk pixels would only alias
    pen.imageSmoothingQuality = "high";
    pen.drawImage(bitmap, pane.x + at.x, pane.y + at.y, at.w, at.h);
  } else {
    pen.fillStyle = "#999";
    pen.font = "14px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.fillText("no frame at this time", pane.x + part.x + part.w / 2, pane.y + pane.h / 2);
  }
  pen.restore();
}

function outline(pane) {
  const at = placed(pane.w, pane.h), side = lensSize(), s = (at.s * 100) / state.power;
  const [w, h] = [side.w * s, side.h * s];
  const box = [pane.x + at.x + state.lx * at.w - w / 2, pane.y + at.y + state.ly * at.h - h / 2, w, h];
  pen.save();
  pen.beginPath();
  pen.rect(pane.x, pane.y, pane.w, pane.h);
  pen.clip();
  for (const [color, width] of [["#000", 3], ["#fff", 1.2]]) {
    pen.strokeStyle = color;
    pen.lineWidth = width;
    pen.strokeRect(...box);
  }
  pen.restore();
}

function label(all) {
  const name = (n) => `${n + 1}  ${facts.inputs[n].name}`;
  const sides = state.mode === "sides", slider = state.mode === "slider";
  $("tag-left").textContent = state.mode === "difference" ? `${name(state.left)} against ${name(state.right)}` : name(state.left);
  $("tag-left").style.maxWidth = state.mode === "difference" || stacked() ? "95%" : "";
  $("tag-right").textContent = name(state.right);
  $("tag-right").hidden = state.mode === "difference";
  const beside = sides && { left: `${all[1].x + 8}px`, right: "auto", top: `${all[1].y + 8}px` };
  Object.assign($("tag-right").style, beside || { left: "", right: "", top: "" });
  $("divider").hidden = !slider;
  $("divider").style.left = `${all[0].w * state.split}px`;
  $("divider").setAttribute("aria-valuenow", Math.round(100 * state.split));
  $("divider").setAttribute("aria-valuetext", `${Math.round(100 * state.split)} per cent ${facts.inputs[state.left].name}`);
  const what = { slider: "under a divider", sides: "side by side", difference: "as a map of their difference" }[state.mode];
  const both = `${facts.inputs[state.left].name} and ${facts.inputs[state.right].name}`;
  canvas.setAttribute("aria-label", `${both} ${what}, frame ${shown + 1} of ${count}`);
  stage.classList.toggle("zoomed", !!state.zoom);
  $("zoom").value = `${Math.round(100 * placed(all[0].w, all[0].h).s)} %`;
}

// The place in the picture, as shares of its sides, under a point of the window.
function placeAt(clientX, clientY) {
  const box = canvas.getBoundingClientRect(), x = clientX - box.left, y = clientY - box.top;
  const pane = panes().find((p) => x >= p.x && x < p.x + p.w && y >= p.y && y < p.y + p.h) || panes()[0];
  const at = placed(pane.w, pane.h);
  return [clamp((x - pane.x - at.x) / at.w, 0, 1), clamp((y - pane.y - at.y) / at.h, 0, 1), x - pane.x, y - pane.y, pane];
}

// Zoom so that what lies under a point stays there; without one, the middle stays.
function zoomTo(zoom, clientX, clientY) {
  const [w, h] = paneSize(), whole = w / WIDE;
  const [px, py, x, y] = clientX === undefined ? [state.x, state.y, w / 2, h / 2] : placeAt(clientX, clientY);
  state.zoom = zoom <= whole * 1.001 && zoom < 1 ? 0 : clamp(zoom, Math.min(1, whole), 16);
  const s = state.zoom || whole;
  moveTo(px + (w / 2 - x) / (WIDE * s), py + (h / 2 - y) / (HIGH * s));
}

function moveTo(x, y) {
  const [w, h] = paneSize(), s = state.zoom || w / WIDE;
  const along = (at, room, size) => (size <= room ? 0.5 : clamp(at, room / 2 / size, 1 - room / 2 / size));
  state.x = along(x, w, WIDE * s);
  state.y = along(y, h, HIGH * s);
  paint();
}

function zoomStep(up, clientX, clientY) {
  const now = placed(...paneSize()).s, steps = [0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 16];
  const next = up ? steps.find((s) => s > now * 1.01) : steps.findLast((s) => s < now / 1.01);
  zoomTo(next || (up ? 16 : 0), clientX, clientY);
}
