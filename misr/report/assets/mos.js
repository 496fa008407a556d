// A rating: introduction, practice, every picture once in the rater's own order, and the file of answers.

const most = 4 * facts.longest + 12; // pictures that stay decoded
const GAP_MS = 500; // grey between two pictures, so that they are not compared with each other
const seen = facts.stimuli;
let order = [], at = -1, votes = [], shown = -1, ready = false, turn = 0, since = 0, began = "", saved = false;

// ---------------------------------------------------------------- the order

// Numbers in [0, 1) that a text decides: FNV-1a for the seed, then mulberry32.
function numbers(text) {
  let state = 2166136261;
  for (const c of text) state = Math.imul(state ^ c.codePointAt(0), 16777619);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

// Any order in which no content follows itself, as long as there are enough others.
function ordered(contents, random, last = -1) {
  const left = contents.map((_, n) => n), found = [];
  while (left.length) {
    const many = new Map();
    for (const n of left) many.set(contents[n], (many.get(contents[n]) || 0) + 1);
    const crowded = [...many].find(([c, k]) => c !== last && 2 * k > left.length); // must come now, or twice in a row later
    const open = left.filter((n) => (crowded ? contents[n] === crowded[0] : contents[n] !== last));
    const among = open.length ? open : left;
    const next = among[Math.floor(random() * among.length)];
    left.splice(left.indexOf(next), 1);
    found.push(next);
    last = contents[next];
  }
  return found;
}

// ---------------------------------------------------------------- showing

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function present(place) {
  const mine = ++turn;
  at = place;
  ready = false;
  controls();
  $("canvas").classList.add("away");
  const which = order[at], { frames } = seen[which];
  const first = await picture(which, 0);
  await wait(GAP_MS);
  if (mine !== turn) return;
  const canvas = $("canvas"), scale = devicePixelRatio || 1;
  [canvas.width, canvas.height] = [first.width, first.height];
  [canvas.style.width, canvas.style.height] = [`${first.width / scale}px`, `${first.height / scale}px`];
  canvas.classList.remove("away");
  since = performance.now();
  draw(first);
  shown = at;
  if (frames > 1) await play(mine);
  else vote();
}

// A clip: every frame at its time, over and over; it may be rated when all of it was seen.
async function play(mine) {
  const which = order[at], { frames, times } = seen[which];
  let due = performance.now();
  for (let n = 0; mine === turn; n = (n + 1) % frames) {
    const found = await picture(which, n);
    if (mine !== turn) return;
    draw(found);
    if (n === frames - 1 && !ready) vote();
    for (let k = 1; k < 6; k++) picture(which, (n + k) % frames);
    const last = times[frames - 1] - times[frames - 2];
    due = Math.max(due + 1000 * clamp(n < frames - 1 ? times[n + 1] - times[n] : last, 0.001, 2), performance.now());
    while (mine === turn && performance.now() < due - 4) await new Promise(requestAnimationFrame);
  }
}

const draw = (bitmap) => $("canvas").getContext("2d").drawImage(bitmap, 0, 0);

function vote() {
  ready = true;
  controls();
}

function controls() {
  const practice = at === 0;
  $("place").value = practice ? "practice" : `${at} of ${order.length - 1}`;
  $("done").value = at / order.length;
  for (const b of document.querySelectorAll("[data-vote]")) b.disabled = !ready;
  $("again").hidden = seen[order[at]].frames < 2;
  $("undo").disabled = at < 1;
}

// ---------------------------------------------------------------- rating

function rate(score) {
  if (!ready || $("test").hidden) return;
  votes[at] = { score, seconds: +((performance.now() - since) / 1000).toFixed(2) };
  say(`${score}`);
  if (at + 1 < order.length) present(at + 1);
  else finish();
}

function back() {
  if (!$("end").hidden) show("test");
  else if (at < 1) return;
  else at -= 1;
  present(at);
}

function show(name) {
  for (const id of ["intro", "test", "end"]) $(id).hidden = id !== name;
}

function begin() {
  const counted = ordered(seen.map((s) => s.content), numbers(`${facts.seed} ${$("rater").value.trim()}`), seen[facts.practice].content);
  order = [facts.practice, ...counted];
  votes = [];
  began = new Date().toISOString();
  saved = false;
  show("test");
  return present(0);
}

function finish() {
  turn++;
  show("end");
  $("save").focus();
}

// What is saved: the ratings with the names of what was rated, which the page itself keeps out of sight.
function answers() {
  const key = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob($("key").textContent), (c) => c.charCodeAt(0))));
  return {
    format: "misr mos", schema: 1, test: facts.test, rater: $("rater").value.trim(), seed: facts.seed,
    began, ended: new Date().toISOString(), window: [innerWidth, innerHeight], pixel_ratio: devicePixelRatio,
    contents: key.contents, methods: key.methods, reference: key.reference,
    ratings: order.slice(1).map((which, n) => ({
      content: key.stimuli[which][0], method: key.stimuli[which][1], ...votes[n + 1],
    })),
  };
}

function save() {
  const link = document.createElement("a"), name = $("rater").value.trim().replace(/[^\p{L}\p{N}_-]+/gu, "-") || "rater";
  link.href = URL.createObjectURL(new Blob([JSON.stringify(answers(), null, 1) + "\n"], { type: "application/json" }));
  link.download = `mos-${name}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60e3);
  saved = true;
  $("saved").value = `${link.download} is among your downloads`;
}

// ---------------------------------------------------------------- controls

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches("input")) return;
  const digit = /^(?:Digit|Numpad)([1-5])$/.exec(e.code);
  if (e.repeat) return;
  if (digit) rate(+digit[1]);
  else if (e.key === "Backspace") back();
  else if (e.key === "t") theme();
  else if (e.key === " " && !$("test").hidden && !e.target.matches("button")) present(at);
  else if (e.key === "Enter" && !$("end").hidden && !e.target.matches("button")) save();
  else return;
  e.preventDefault();
});
for (const b of document.querySelectorAll("[data-vote]"))
  b.addEventListener("click", () => { b.blur(); rate(+b.dataset.vote); });
$("again").addEventListener("click", () => { $("again").blur(); present(at); });
$("undo").addEventListener("click", () => { $("undo").blur(); back(); });
$("save").addEventListener("click", save);
$("theme").addEventListener("click", theme);
$("begin").addEventListener("submit", (e) => { e.preventDefault(); if ($("rater").value.trim()) begin(); });
addEventListener("beforeunload", (e) => { if (votes.length && !saved) e.preventDefault(); });

const clips = seen.some((s) => s.frames > 1), scale = devicePixelRatio || 1;
$("task").textContent = `You will see ${seen.length} ${clips ? "short clips" : "pictures"}, one after the other, and say how good each looks to ` +
  `you. It takes about ${facts.minutes === 1 ? "a minute" : `${facts.minutes} minutes`}.`;
const wide = Math.max(...seen.map((s) => s.size[0])) / scale, high = Math.max(...seen.map((s) => s.size[1])) / scale;
$("wide").hidden = wide <= innerWidth - 80 && high <= innerHeight - 40;
$("wide").textContent = "Some pictures are larger than this window: make it larger, or scroll within them.";
$("rater").focus();
