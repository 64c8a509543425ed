"use strict";
const token = new URLSearchParams(location.search).get("token");
const at = (id) => document.getElementById(id);
const address = (path, query = "") => `${path}?token=${encodeURIComponent(token)}${query}`;
const DIGIT = 9;
let refs = [], place = 0, ref = null, first = 0, plain = false, busy = false;
const made = [];  // refs that were decided in this tab, for Z

async function ask(path, body) {
  const options = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer, found;
  try {
    answer = await fetch(address(path), options);
    found = await answer.json();
  } catch {
    throw new Error("No answer: has `ssc review` ended? What was decided is saved; start it again and open its address.");
  }
  if (!answer.ok) throw new Error(found.error);
  return found;
}

function element(name, properties, ...inside) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...inside);
  return made;
}

function swatch(colour, label) {
  const [red, green, blue] = colour, light = 0.299 * red + 0.587 * green + 0.114 * blue > 110;
  const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg");
  const circle = document.createElementNS(space, "circle"), text = document.createElementNS(space, "text");
  svg.setAttribute("viewBox", "0 0 24 24");
  for (const [key, value] of Object.entries({ cx: 12, cy: 12, r: 11, fill: `rgb(${colour})` })) circle.setAttribute(key, value);
  const style = { x: 12, y: 17, "text-anchor": "middle", "font-size": 14, "font-weight": 700, fill: light ? "#1c2028" : "#fff" };
  for (const [key, value] of Object.entries(style)) text.setAttribute(key, value);
  text.textContent = label;
  svg.append(circle, text);
  return svg;
}

const picture = (id, from) => address(`/marked/${id}`, `&first=${from}`);
const settled = (decision) => decision && decision !== "skipped";

function show() {
  const done = refs.filter((one) => settled(one.decision)).length;
  at("progress").textContent = `${done} of ${refs.length} decided · ref ${ref.ref} of ${ref.photo}` +
    (ref.decision ? ` · ${ref.decision}${ref.who ? ` by ${ref.who}` : ""}` : "");
  Object.assign(at("bar"), { max: refs.length, value: done });
  at("sentences").replaceChildren(...ref.sentences.map((text) => element("li", { textContent: text })));
  const looked = ref.asked ? [`looked for: ${ref.asked}`] : [];
  const nothing = ref.candidates.length ? [] : ["no candidate to choose; 0 says that this is right"];
  at("about").textContent = [...ref.why, ...looked, ...nothing].join(" · ");
  const shown = ref.candidates.slice(first, first + DIGIT);
  at("candidates").replaceChildren(...shown.map((one, index) => {
    const said = [one.decided && "decided", one.select && "Select"].filter(Boolean).join(", ");
    const button = element("button", { className: one.decided ? "mine" : "" },
      swatch(one.colour, index + 1), element("span", { className: "score", textContent: one.score.toFixed(2) }),
      element("span", { className: "share", textContent: `${(100 * one.share).toFixed(1)} % of the photo` }),
      element("span", { className: "said", textContent: said }));
    button.addEventListener("click", () => press(String(index + 1)));
    return element("li", {}, button);
  }));
  at("more").hidden = ref.candidates.length <= DIGIT;
  at("picture").src = plain ? address(`/photo/${ref.ref}`) : picture(ref.ref, first);
  at("picture").alt = `${ref.photo} with numbered candidates`;
  const next = refs[nextPlace(place)];
  if (next) new Image().src = picture(next.ref, 0);
}

/* The next ref after `from` without a decision, then one that was skipped; else the one after it. */
function nextPlace(from) {
  const order = [...refs.keys()].map((step) => (from + 1 + step) % refs.length);
  for (const wanted of ["", "skipped"])
    for (const index of order) if (index !== from && refs[index].decision === wanted) return index;
  return (from + 1) % refs.length;
}

async function go(to) {
  place = (to + refs.length) % refs.length;
  [first, plain] = [0, false];
  ref = await ask(`/ref/${refs[place].ref}`);
  refs[place].decision = ref.decision;
  show();
}

async function decide(decision, number = null) {
  const found = await ask("/decide", { ref: ref.ref, decision, number });
  made.push(place);
  refs[place].decision = found.decision;
  await go(nextPlace(place));
}

async function undo() {
  if (!made.length) return;
  const back = made[made.length - 1];
  await ask("/decide", { ref: refs[back].ref, decision: "undo" });
  made.pop();
  await go(back);
}

async function act(key) {
  if (/^[1-9]$/.test(key)) {
    const number = first + Number(key);
    if (Number(key) <= DIGIT && number <= ref.candidates.length) await decide("chosen", number);
  } else if (key === "0") await decide("none");
  else if (key === "s") await decide("skipped");
  else if (key === "z") await undo();
  else if (key === "arrowright") await go(place + 1);
  else if (key === "arrowleft") await go(place - 1);
  else if (key === "m") { first = first + DIGIT < ref.candidates.length ? first + DIGIT : 0; show(); }
  else if (key === "p") { plain = !plain; show(); }
}

/* One key at a time: a second one while the first is being saved would be meant for another picture. */
async function press(key) {
  if (busy || !ref) return;
  busy = true;
  try {
    await act(key);
    at("error").hidden = true;
  } catch (error) {
    Object.assign(at("error"), { textContent: error.message, hidden: false });
  } finally {
    busy = false;
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const key = event.key.toLowerCase();
  if (!/^([0-9szmp]|arrowleft|arrowright)$/.test(key)) return;
  event.preventDefault();
  press(key);
});
for (const button of document.querySelectorAll("nav button")) button.addEventListener("click", () => press(button.dataset.key));

(async () => {
  try {
    refs = await ask("/refs");
    await go(nextPlace(-1));
  } catch (error) {
    Object.assign(at("error"), { textContent: error.message, hidden: false });
  }
})();
