// Where two pictures differ: the largest difference of R, G and B in code values, as colours from black to white.

const STOPS = [
  [0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [250, 193, 39], [252, 255, 164],
];
const palette = new Uint8Array(256 * 3);
for (let v = 0; v < 256; v++) {
  const at = (v / 255) * (STOPS.length - 1), k = Math.min(Math.floor(at), STOPS.length - 2);
  for (let c = 0; c < 3; c++) palette[3 * v + c] = Math.round(STOPS[k][c] + (at - k) * (STOPS[k + 1][c] - STOPS[k][c]));
}

const sheets = [0, 1, 2].map(() => document.createElement("canvas")); // left, right, heat
let heatOf = {};

// { canvas, mean, largest } of two bitmaps, the smaller enlarged as chosen; null where one is missing.
function difference(a, b) {
  if (!a || !b) return null;
  const same = heatOf.a === a && heatOf.b === b && heatOf.reach === state.reach && heatOf.smooth === state.smooth;
  if (same) return heatOf.heat;
  const w = Math.max(a.width, b.width), h = Math.max(a.height, b.height);
  const [p, q] = [a, b].map((bitmap, n) => samples(sheets[n], bitmap, w, h));
  const out = new ImageData(w, h), codes = out.data;
  let sum = 0, largest = 0;
  for (let k = 0; k < codes.length; k += 4) {
    const d = Math.max(Math.abs(p[k] - q[k]), Math.abs(p[k + 1] - q[k + 1]), Math.abs(p[k + 2] - q[k + 2]));
    const colour = 3 * Math.min(255, Math.round((255 * d) / state.reach));
    sum += d;
    if (d > largest) largest = d;
    codes[k] = palette[colour];
    codes[k + 1] = palette[colour + 1];
    codes[k + 2] = palette[colour + 2];
    codes[k + 3] = 255;
  }
  const sheet = sheets[2];
  [sheet.width, sheet.height] = [w, h];
  sheet.getContext("2d").putImageData(out, 0, 0);
  const heat = { canvas: sheet, mean: (sum * 4) / codes.length, largest };
  heatOf = { a, b, reach: state.reach, smooth: state.smooth, heat };
  return heat;
}

function samples(sheet, bitmap, w, h) {
  [sheet.width, sheet.height] = [w, h];
  const pen = sheet.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingEnabled = state.smooth;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, w, h);
  return pen.getImageData(0, 0, w, h).data;
}

function tellDifference(heat) {
  $("most").textContent = `${state.reach}${state.reach < 255 ? " and more" : ""}, code values of 255`;
  $("differ").value = heat ? `mean ${heat.mean.toFixed(2)}, largest ${heat.largest}` : "";
}
$("ramp").style.background = `linear-gradient(90deg, ${STOPS.map((c) => `rgb(${c})`).join(", ")})`;
