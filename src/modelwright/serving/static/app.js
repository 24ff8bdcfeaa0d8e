"use strict";
const word = document.querySelector("meta[name=csrf-token]").content;
const headers = { "Content-Type": "application/json", ...(word && { "X-CSRF-Token": word }) };

function rowOf(form) {
  const row = {};
  for (const field of form.querySelectorAll("[data-column]")) {
    const text = field.value;
    const number = Number(text);
    if (text === "") row[field.dataset.column] = null;
    else if (field.dataset.type === "number" && Number.isFinite(number)) row[field.dataset.column] = number;
    else if (field.dataset.type === "boolean") row[field.dataset.column] = text === "true";
    else row[field.dataset.column] = text;
  }
  return row;
}

function shown(form, reply, answer) {
  const output = form.querySelector("output");
  output.replaceChildren();
  output.className = reply.ok ? "" : "bad";
  for (const field of form.querySelectorAll("[data-column]")) field.removeAttribute("aria-invalid");
  if (!reply.ok) {
    output.textContent = [answer.column, answer.error, answer.expected && `Expected: ${answer.expected}.`].filter(Boolean).join(" – ");
    const wrong = [...form.querySelectorAll("[data-column]")].find((field) => field.dataset.column === answer.column);
    if (wrong) { wrong.setAttribute("aria-invalid", "true"); wrong.focus(); }
    return;
  }
  const says = document.createElement("strong");
  says.textContent = String(answer.prediction);
  output.append("Prediction: ", says);
  if (!answer.probabilities) return;
  const table = document.createElement("table");
  for (const [name, share] of Object.entries(answer.probabilities)) {
    const line = table.insertRow();
    line.insertCell().textContent = name;
    line.insertCell().textContent = `${(100 * share).toFixed(1)} %`;
    const meter = document.createElement("meter");
    meter.value = share;
    line.insertCell().append(meter);
  }
  output.append(table);
}

for (const form of document.querySelectorAll("form[data-model]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = JSON.stringify(rowOf(form), null, 1);
    form.querySelector("pre").textContent = `POST /predict/${form.dataset.model}\n${body}`;
    try {
      const reply = await fetch(`/predict/${form.dataset.model}`, { method: "POST", headers, body });
      shown(form, reply, await reply.json());
    } catch (error) {
      shown(form, { ok: false }, { error: "The server cannot be reached." });
    }
  });
}

const logout = document.querySelector("#logout");
if (logout) logout.addEventListener("click", async () => {
  await fetch("/logout", { method: "POST", headers });
  location.reload();
});
