// The words of the page: what inputs are, what there is to know, every frame's times and scores.

const cells = (words) => words.map((word) => `<td>${html(String(word))}</td>`).join("");
const row = (word, words) => `<tr><th scope="row">${html(word)}</th>${cells(words)}</tr>`;
const table = (head, rows) => `<thead><tr>${head.join("")}</tr></thead><tbody>${rows.join("")}</tbody>`;

function tables() {
  const head = facts.inputs.map((input, n) => {
    const path = `<span class="path">${html(input.role)}: ${html(input.path)}</span>`;
    return `<th scope="col"><span class="number">${n + 1}</span> ${html(input.name)}${path}</th>`;
  });
  const words = [...new Set(facts.inputs.flatMap((input) => Object.keys(input.facts)))];
  const known = words.map((word) => row(word, facts.inputs.map((input) => input.facts[word] ?? "")));
  const there = (input) => input.at.filter((time) => time !== null).length;
  const here = row("frames here", facts.inputs.map((input) => `${there(input)} of ${count}, ${input.size.join("×")}`));
  const means = facts.metrics.map((metric) => {
    const unit = metric.unit ? `, ${metric.unit}` : "";
    return row(`${metric.name}, mean${unit}`, facts.inputs.map((input) => told(input.mean[metric.key], metric.digits)));
  });
  $("inputs").innerHTML = table(["<td></td>", ...head], [...known, here, ...means]);
  $("title").innerHTML = facts.inputs.map((input) => html(input.name)).join('<span class="versus">|</span>');
  $("notes").innerHTML = facts.notes.map((note) => `<li>${html(note)}</li>`).join("");
  $("command").textContent = facts.command;
  $("made").textContent = `misr ${facts.misr}`;
  $("frame").max = count - 1;
  document.querySelector(".transport").hidden = count < 2;
}

// Every frame's times and scores, made when first looked at.
function frameTable() {
  if ($("frames").rows.length) return;
  const columns = facts.inputs.map((input) => ({
    name: `${input.name}, s`,
    value: (k) => (input.at[k] === null ? "–" : input.at[k].toFixed(3)),
  }));
  for (const { name, digits, scores } of facts.metrics)
    scores.forEach((values, n) => {
      if (values) columns.push({ name: `${name}, ${scored(n)}`, value: (k) => told(values[k], digits) });
    });
  const head = ["frame", ...columns.map((column) => column.name)].map((name) => `<th scope="col">${html(name)}</th>`);
  const rows = facts.times.map((_, k) => `<tr>${cells([k + 1, ...columns.map((column) => column.value(k))])}</tr>`);
  $("frames").innerHTML = table(head, rows);
  $("frames").tBodies[0].addEventListener("click", (e) => go(e.target.closest("tr").rowIndex - 1));
}
