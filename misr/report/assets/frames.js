"use strict";
// What the page is told, what it shows now, and its pictures: decoded when first looked at, the latest kept.

const $ = (id) => document.getElementById(id);
const facts = JSON.parse($("facts").textContent);
const count = facts.times.length;
const [WIDE, HIGH] = facts.shape; // pixels of the largest input, square
const KEPT_PIXELS = 100e6; // decoded, at 4 bytes each

const state = {
  left: 0, right: Math.min(1, facts.inputs.length - 1), frame: 0,
  mode: "slider", split: 0.5, // slider, sides, difference; share of the left picture
  zoom: 0, x: 0.5, y: 0.5, // 0: the whole; else screen pixels for one of the largest input, and the place in the middle
  smooth: true, reach: 32,
  loupe: false, power: 400, lx: 0.5, ly: 0.5, held: false,
  playing: false, speed: 1,
};

const kept = new Map(); // "input-frame": a promise of an ImageBitmap, null where there is none; the latest at the end
const largest = Math.max(...facts.inputs.map((i) => i.size[0] * i.size[1]));
const most = Math.max(3 * facts.inputs.length + 12, Math.floor(KEPT_PIXELS / largest));

function picture(input, frame) {
  const key = `${input}-${frame}`;
  const found = kept.get(key) || decode($(`p${key}`));
  kept.delete(key);
  kept.set(key, found);
  for (const old of kept.keys()) {
    if (kept.size <= most) break;
    kept.delete(old);
  }
  return found;
}

async function decode(element) {
  if (!element) return null;
  const text = atob(element.textContent);
  const bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  return createImageBitmap(new Blob([bytes], { type: facts.media }), { colorSpaceConversion: "none" });
}

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
// A name that fits a control: its beginning and its end, where names differ.
function short(name) {
  const stem = name.replace(/\.\w{2,4}$/, "");
  return stem.length <= 16 ? stem : `${stem.slice(0, 5)}…${stem.slice(-10)}`;
}
const html = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
