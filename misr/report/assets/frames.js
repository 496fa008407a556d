// What the page of a comparison shows now, and how many of its pictures stay decoded.

const count = facts.times.length;
const [WIDE, HIGH] = facts.shape; // pixels of the largest input, square

const state = {
  left: 0, right: Math.min(1, facts.inputs.length - 1), frame: 0,
  mode: "slider", split: 0.5, // slider, sides, difference; share of the left picture
  zoom: 0, x: 0.5, y: 0.5, // 0: the whole; else screen pixels for one of the largest input, and the place in the middle
  smooth: true, reach: 32,
  loupe: false, power: 400, lx: 0.5, ly: 0.5, held: false,
  playing: false, speed: 1,
};

const largest = Math.max(...facts.inputs.map((i) => i.size[0] * i.size[1]));
const most = Math.max(3 * facts.inputs.length + 12, Math.floor(KEPT_PIXELS / largest));

// A name that fits a control: its beginning and its end, where names differ.
function short(name) {
  const stem = name.replace(/\.\w{2,4}$/, "");
  return stem.length <= 16 ? stem : `${stem.slice(0, 5)}…${stem.slice(-10)}`;
}
