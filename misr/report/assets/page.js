"use strict";
// What every page of pictures has: what it is told, its pictures, decoded when first looked at, the latest kept, and its theme.

const $ = (id) => document.getElementById(id);
const facts = JSON.parse($("facts").textContent);
const KEPT_PIXELS = 100e6; // decoded, at 4 bytes each

const kept = new Map(); // "input-frame": a promise of an ImageBitmap, null where there is none; the latest at the end

function picture(input, frame) {
  const key = `${input}-${frame}`;
  const media = facts.media || facts.stimuli[input].media;
  const found = kept.get(key) || decode($(`p${key}`), media);
  kept.delete(key);
  kept.set(key, found);
  for (const old of kept.keys()) {
    if (kept.size <= most) break;
    kept.delete(old);
  }
  return found;
}

async function decode(element, type) {
  if (!element) return null;
  const text = atob(element.textContent);
  const bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
  return createImageBitmap(new Blob([bytes], { type }), { colorSpaceConversion: "none" });
}

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const html = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const say = (text) => { $("said").textContent = text; };

const THEMES = [["system", ""], ["dark", "dark"], ["light", "light"]];
function theme() {
  THEMES.push(THEMES.shift());
  document.documentElement.style.colorScheme = THEMES[0][1];
  $("theme").textContent = `Theme: ${THEMES[0][0]}`;
}
