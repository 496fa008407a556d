// Controls: what is pressed, dragged and typed changes the state, and the stage shows it.

let byPointer = false; // the last thing done was done with a pointer: focus must not stay where it would eat keys

// ---------------------------------------------------------------- frames and playback

function go(frame) {
  state.frame = clamp(frame, 0, count - 1);
  $("frame").value = state.frame;
  $("time").value = `frame ${state.frame + 1} of ${count}, ${facts.times[state.frame].toFixed(3)} s`;
  plots.forEach(mark);
  return show();
}

let due = 0, clock = [];
async function play(on) {
  state.playing = on && count > 1;
  $("play").setAttribute("aria-label", state.playing ? "Pause" : "Play");
  $("play-shape").setAttribute("d", state.playing ? "M3 2h3.5v12H3zM9.5 2H13v12H9.5z" : "M3 1.5 14 8 3 14.5z");
  $("rate").value = "";
  clock = [];
  due = performance.now();
  while (state.playing) await step(); // every frame is shown; where decoding is slow, later
}

async function step() {
  const now = state.frame, last = now === count - 1;
  const gap = last ? gapAt(now - 1) : gapAt(now);
  due = Math.max(due + (1000 * gap) / state.speed, performance.now());
  for (let k = 1; k < 6; k++) for (const n of [state.left, state.right]) picture(n, (now + k) % count);
  while (performance.now() < due - 4) await new Promise(requestAnimationFrame);
  if (!state.playing) return;
  await go(last ? 0 : now + 1);
  await new Promise(requestAnimationFrame);
  clock = [...clock.slice(-12), performance.now()];
  if (clock.length > 6) $("rate").value = `${((1000 * (clock.length - 1)) / (clock.at(-1) - clock[0])).toFixed(1)} per second`;
}
const gapAt = (k) => clamp(facts.times[k + 1] - facts.times[k], 0.001, 2);

// ---------------------------------------------------------------- what is shown, and how

function choose(side, input) {
  if (input >= facts.inputs.length) return;
  state[side] = input;
  refresh(`${side}: ${facts.inputs[input].name}`);
}

function mode(name) {
  state.mode = name;
  refresh({ slider: "slider", sides: "side by side", difference: "map of the difference" }[name]);
}

function toggle(name, words) {
  state[name] = !state[name];
  refresh(words[+state[name]]);
}

// All controls as the state has them, then the stage.
function refresh(words) {
  for (const side of ["left", "right"]) $(side).value = state[side];
  for (const b of document.querySelectorAll("[data-mode]")) b.setAttribute("aria-pressed", b.dataset.mode === state.mode);
  $("smooth").textContent = state.smooth ? "Smooth" : "Pixels";
  $("loupe").setAttribute("aria-pressed", state.loupe);
  $("loupes").hidden = !state.loupe;
  $("heat").hidden = state.mode !== "difference";
  $("power").value = state.power;
  if (words) say(words);
  return show();
}

function split(share) {
  state.split = clamp(share, 0, 1);
  paint();
}

function lookAt(x, y) {
  [state.lx, state.ly] = [clamp(x, 0, 1), clamp(y, 0, 1)];
  paint();
}

function power(percent) {
  state.power = clamp(percent, 100, 800);
  $("power").value = state.power;
  if (state.loupe) paint();
}

// ---------------------------------------------------------------- pointers

const fingers = new Map();
let drag = null; // where a drag began: what it moves, and whether it has moved

$("divider").addEventListener("pointerdown", (e) => {
  e.preventDefault(); // the focus stays where arrows step frames
  $("divider").setPointerCapture(e.pointerId);
  drag = { what: "divider" };
});
canvas.addEventListener("pointerdown", (e) => {
  if (e.button) return;
  fingers.set(e.pointerId, e);
  if (fingers.size === 2) drag = { what: "pinch", apart: apart(), zoom: placed(...paneSize()).s };
  else {
    const what = state.zoom ? "picture" : state.loupe ? "loupe" : state.mode === "slider" ? "divider" : "";
    drag = { what, x: e.clientX, y: e.clientY, at: [state.x, state.y], moved: false };
  }
  if (drag.what === "divider") splitAt(e);
  if (e.pointerType === "mouse" || state.zoom) canvas.setPointerCapture(e.pointerId);
});
for (const element of [canvas, $("divider")]) {
  element.addEventListener("pointermove", (e) => {
    if (fingers.has(e.pointerId)) fingers.set(e.pointerId, e);
    if (!drag) {
      const follows = state.loupe && !state.held && e.pointerType === "mouse" && element === canvas;
      if (follows) lookAt(...placeAt(e.clientX, e.clientY));
      return;
    }
    drag.moved ||= Math.hypot(e.clientX - drag.x, e.clientY - drag.y) > 4;
    if (drag.what === "divider") splitAt(e);
    else if (drag.what === "loupe" && e.pointerType !== "mouse") lookAt(...placeAt(e.clientX, e.clientY));
    else if (drag.what === "picture" && drag.moved) pan(e);
    else if (drag.what === "pinch") zoomTo((drag.zoom * apart()) / drag.apart, ...middle());
  });
  for (const end of ["pointerup", "pointercancel"])
    element.addEventListener(end, (e) => {
      const click = drag && !drag.moved && end === "pointerup" && element === canvas && drag.what !== "pinch";
      fingers.delete(e.pointerId);
      if (!fingers.size) drag = null;
      stage.classList.remove("moving");
      if (!click || !state.loupe) return;
      state.held = e.pointerType === "mouse" ? !state.held : true;
      lookAt(...placeAt(e.clientX, e.clientY));
    });
}
canvas.addEventListener("wheel", (e) => {
  if (!e.ctrlKey) return; // the wheel alone scrolls the page
  e.preventDefault();
  const now = placed(...paneSize()).s;
  zoomTo(now * Math.exp(-clamp(e.deltaY, -60, 60) / 150), e.clientX, e.clientY);
}, { passive: false });

const pair = () => [...fingers.values()];
const apart = () => Math.hypot(pair()[0].clientX - pair()[1].clientX, pair()[0].clientY - pair()[1].clientY) || 1;
const middle = () => [(pair()[0].clientX + pair()[1].clientX) / 2, (pair()[0].clientY + pair()[1].clientY) / 2];
const splitAt = (e) => split((e.clientX - canvas.getBoundingClientRect().left) / paneSize()[0]);
function pan(e) {
  const at = placed(...paneSize());
  stage.classList.add("moving");
  moveTo(drag.at[0] - (e.clientX - drag.x) / at.w, drag.at[1] - (e.clientY - drag.y) / at.h);
}

// ---------------------------------------------------------------- keys

const KEYS = {
  s: () => mode("slider"), b: () => mode("sides"), d: () => mode(state.mode === "difference" ? "slider" : "difference"),
  z: () => toggle("loupe", ["loupe off", "loupe on"]), p: () => toggle("smooth", ["pixels", "smooth"]),
  x: () => { [state.left, state.right] = [state.right, state.left]; refresh("swapped"); },
  t: theme, "?": () => $("help").showModal(), "0": () => zoomTo(0),
  "[": () => split(state.split - 0.02), "]": () => split(state.split + 0.02),
  "+": () => zoomStep(true), "=": () => zoomStep(true), "-": () => zoomStep(false),
  Home: () => go(0), End: () => go(count - 1), " ": () => play(!state.playing),
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

document.addEventListener("keydown", (e) => {
  byPointer = false;
  const target = e.target, arrow = ARROWS[e.key];
  if (e.ctrlKey || e.metaKey || $("help").open || target.matches("select")) return;
  if (target.matches("button, summary") && (e.key === " " || e.key === "Enter")) return;
  if (target.matches("input") && (arrow || e.key === "Home" || e.key === "End")) return;
  const digit = /^(?:Digit|Numpad)([1-9])$/.exec(e.code);
  if (arrow && e.altKey && state.loupe) lookAt(state.lx + (arrow[0] * 4) / WIDE, state.ly + (arrow[1] * 4) / HIGH);
  else if (e.altKey) return;
  else if (arrow && target === $("divider")) split(state.split + 0.02 * (arrow[0] - arrow[1]));
  else if (arrow && arrow[0]) go(state.frame + arrow[0] * (e.shiftKey ? 10 : 1));
  else if (e.shiftKey && state.loupe && "+-_*=".includes(e.key)) power(state.power + ("-_".includes(e.key) ? -100 : 100));
  else if (digit) choose(e.shiftKey ? "left" : "right", digit[1] - 1);
  else if (KEYS[e.key]) KEYS[e.key]();
  else return;
  e.preventDefault();
});

// ---------------------------------------------------------------- controls

const on = (id, event, action) => $(id).addEventListener(event, action);
document.addEventListener("pointerdown", () => { byPointer = true; }, true);
document.addEventListener("click", (e) => { const b = e.target.closest("button"); if (b && byPointer) b.blur(); });
document.addEventListener("change", (e) => { if (e.target.matches("select") && byPointer) e.target.blur(); });
for (const side of ["left", "right"]) {
  for (const [n, input] of facts.inputs.entries()) {
    const option = new Option(`${n + 1}  ${short(input.name)}`, n);
    option.title = input.name;
    $(side).append(option);
  }
  on(side, "change", () => choose(side, +$(side).value));
}
for (const b of document.querySelectorAll("[data-mode]")) b.addEventListener("click", () => mode(b.dataset.mode));
on("swap", "click", KEYS.x);
on("out", "click", () => zoomStep(false));
on("in", "click", () => zoomStep(true));
on("fit", "click", () => zoomTo(0));
on("full", "click", () => zoomTo(1));
on("smooth", "click", KEYS.p);
on("loupe", "click", KEYS.z);
on("theme", "click", theme);
on("help-button", "click", KEYS["?"]);
on("back", "click", () => go(state.frame - 1));
on("next", "click", () => go(state.frame + 1));
on("play", "click", KEYS[" "]);
on("frame", "input", () => go(+$("frame").value));
on("speed", "change", () => { state.speed = +$("speed").value; });
on("reach", "change", () => { state.reach = +$("reach").value; paint(); });
on("power", "input", () => power(+$("power").value));
on("every", "toggle", frameTable);
addEventListener("resize", () => { plots.forEach(drawPlot); paint(); });

// ---------------------------------------------------------------- begin

tables();
plots.forEach(drawPlot);
refresh();
go(0);
