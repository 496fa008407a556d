// The loupe: the same place of every input, magnified alike, whatever is on the stage.

const lenses = facts.inputs.map((input, n) => {
  const figure = document.createElement("figure");
  figure.className = "lens";
  const name = `<span class="number">${n + 1}</span> ${html(input.name)}`;
  figure.innerHTML = `<canvas role="img"></canvas><figcaption>${name}</figcaption>`;
  $("lenses").append(figure);
  return figure.firstChild;
});

const lensSize = () => ({ w: lenses[0].clientWidth || 240, h: lenses[0].clientHeight || 240 });

function paintLenses() {
  const density = devicePixelRatio || 1, { w, h } = lensSize(), s = state.power / 100;
  lenses.forEach((lens, n) => {
    lens.width = Math.round(w * density);
    lens.height = Math.round(h * density);
    lens.setAttribute("aria-label", `${facts.inputs[n].name}, magnified to ${state.power} per cent`);
    const pen = lens.getContext("2d"), bitmap = current[n];
    if (!bitmap) return;
    pen.setTransform(density, 0, 0, density, 0, 0);
    pen.imageSmoothingEnabled = state.smooth;
    pen.imageSmoothingQuality = "high";
    pen.drawImage(bitmap, w / 2 - state.lx * WIDE * s, h / 2 - state.ly * HIGH * s, WIDE * s, HIGH * s);
  });
  $("power-told").value = `${state.power} %`;
  const at = `${Math.round(state.lx * WIDE)}, ${Math.round(state.ly * HIGH)}`;
  $("place").textContent = `at ${at} of ${WIDE}×${HIGH}${state.held ? ", held: click the picture to let go" : ""}`;
}
