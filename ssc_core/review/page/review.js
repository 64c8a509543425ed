"use strict";
const token = new URLSearchParams(location.search).get("token");
const at = (id) => document.getElementById(id);
const address = (path, query = "") => `${path}?token=${encodeURIComponent(token)}${query}`;
const DIGIT = 9;
const HINTS = {
  box: "Drag a box around the object, or move it by arrows and size it by shift and arrows; Enter asks the segmenter for its mask.",
  draft: "Enter takes this mask as it is. D draws another box, Esc leaves.",
};
let refs = [], place = 0, ref = null, first = 0, plain = false, busy = false;
let mode = "look", box = null, draft = null;
const made = [];  // decisions of this tab, for Z: whose, and which of its lines

async function ask(path, body, query = "") {
  const kind = body instanceof Blob ? "image/png" : "application/json";
  const options = body && { method: "POST", headers: { "Content-Type": kind }, body: body instanceof Blob ? body : JSON.stringify(body) };
  let answer, found;
  try {
    answer = await fetch(address(path, query), options);
    found = await answer.json();
  } catch {
    throw new Error("No answer: has `ssc review` ended? What was decided is saved; start it again and open its address.");
  }
  if (!answer.ok) throw Object.assign(new Error(found.error), { status: answer.status });
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
const settled = (one) => one.decision && one.decision !== "skipped" && one.fits;
const open = (one) => settled(one) ? "" : one.decision === "skipped" ? "later" : "now";

function show() {
  const done = refs.filter(settled).length;
  at("progress").textContent = `${done} of ${refs.length} decided · ref ${ref.ref} of ${ref.photo}` +
    (ref.decision ? ` · ${ref.decision}${ref.who ? ` by ${ref.who}` : ""}` : "");
  Object.assign(at("bar"), { max: refs.length, value: done });
  at("sentences").replaceChildren(...ref.sentences.map((text) => element("li", { textContent: text })));
  const looked = ref.asked ? [`looked for: ${ref.asked}`] : [];
  const nothing = ref.candidates.length ? [] : ["no candidate to choose; D draws the object, 0 says that there is none"];
  const lost = ref.fits ? [] : ["no candidate is the object that was chosen before; decide again"];
  const shared = ref.shared ? ["a decision is of all these sentences; another object needs a row of its own"] : [];
  at("about").textContent = [...lost, ...shared, ...ref.why, ...looked, ...nothing].join(" · ");
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
  showMode();
  const next = refs[nextPlace(place)];
  if (next) new Image().src = picture(next.ref, 0);
}

/* What depends on whether somebody looks, draws a box, or looks at a draft. */
function showMode() {
  const pictures = { look: plain ? address(`/photo/${ref.ref}`) : picture(ref.ref, first), box: address(`/photo/${ref.ref}`) };
  at("picture").src = mode === "draft" ? address(`/draft/${draft.draft}`) : pictures[mode];
  at("picture").alt = ref.photo + { look: " with numbered candidates", box: "", draft: " with the mask" }[mode];
  for (const button of document.querySelectorAll("nav button")) button.hidden = !button.dataset.in.split(" ").includes(mode);
  at("more").hidden ||= ref.candidates.length <= DIGIT;
  at("candidates").hidden = mode !== "look";
  at("canvas").toggleAttribute("hidden", mode !== "box");
  at("drawing").hidden = mode !== "box";
  at("hint").hidden = mode === "look";
  at("hint").textContent = mode === "draft" ? `${(100 * draft.share).toFixed(1)} % of the photo. ${HINTS.draft}` : HINTS[mode] ?? "";
  at("enter").textContent = mode === "draft" ? "take it" : "find its mask";
  if (mode === "box") showBox();
}

function showBox() {
  const [width, height] = ref.size, canvas = at("canvas"), [left, top, right, bottom] = box;
  canvas.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const rect of canvas.querySelectorAll("rect"))
    for (const [key, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) rect.setAttribute(key, value);
  const space = "http://www.w3.org/2000/svg", scale = canvas.getScreenCTM()?.a || 1;
  canvas.querySelector("g").replaceChildren(...corners().map(([x, y]) => {
    const circle = document.createElementNS(space, "circle");
    for (const [key, value] of Object.entries({ cx: x, cy: y, r: 7 / scale })) circle.setAttribute(key, value);
    return circle;
  }));
  if (document.activeElement !== at("box")) at("box").value = box.join(", ");
}

const corners = () => [[box[0], box[1]], [box[2], box[1]], [box[0], box[3]], [box[2], box[3]]];
const within = (value, most) => Math.min(Math.max(Math.round(value), 0), most);

/* A box between two points, in order and inside the photo. */
function between([x, y], [u, v]) {
  const [width, height] = ref.size;
  const [left, right] = [within(x, width), within(u, width)].sort((a, b) => a - b);
  const [top, bottom] = [within(y, height), within(v, height)].sort((a, b) => a - b);
  return [left, top, right, bottom];
}

function startBox() {
  const [width, height] = ref.size, near = ref.candidates.find((one) => one.select) || ref.candidates[0];
  box ??= near ? near.box : between([width / 4, height / 4], [3 * width / 4, 3 * height / 4]);
  mode = "box";
  showMode();
}

/* Arrows move the box, with shift its right and lower edge. */
function moveBox(key, size) {
  const [width, height] = ref.size, step = Math.max(1, Math.round(Math.max(width, height) / 100));
  const [x, y] = { arrowleft: [-step, 0], arrowright: [step, 0], arrowup: [0, -step], arrowdown: [0, step] }[key];
  const [left, top, right, bottom] = box;
  if (size) box = [left, top, within(Math.max(right + x, left + 1), width), within(Math.max(bottom + y, top + 1), height)];
  else {
    const across = Math.min(Math.max(x, -left), width - right), down = Math.min(Math.max(y, -top), height - bottom);
    box = [left + across, top + down, right + across, bottom + down];
  }
  showBox();
}

function leave() {
  [mode, box, draft] = ["look", null, null];
  at("box").blur();
  showMode();
}

async function askMask() {
  at("hint").textContent = "The segmenter is at work; the first time it is loaded, which takes a while.";
  try {
    draft = await ask("/draw", { ref: ref.ref, box });
  } catch (error) {
    showMode();
    throw error;
  }
  mode = "draft";
  at("box").blur();
  showMode();
}

async function upload(file) {
  if (file.size > 16 * 2 ** 20) throw new Error("That file is larger than 16 MB; a mask is a PNG of the photo's size.");
  draft = await ask("/upload", file, `&ref=${ref.ref}`);
  mode = "draft";
  showMode();
}

/* The next ref after `from` without a decision that fits, then one that was skipped; else the one after it. */
function nextPlace(from) {
  const order = [...refs.keys()].map((step) => (from + 1 + step) % refs.length);
  for (const wanted of ["now", "later"])
    for (const index of order) if (index !== from && open(refs[index]) === wanted) return index;
  return (from + 1) % refs.length;
}

async function go(to) {
  place = (to + refs.length) % refs.length;
  [first, plain, mode, box, draft] = [0, false, "look", null, null];
  ref = await ask(`/ref/${refs[place].ref}`);
  Object.assign(refs[place], { decision: ref.decision, fits: ref.fits });
  show();
}

async function decide(decision, more = {}) {
  const found = await ask("/decide", { ref: ref.ref, decision, ...more });
  made.push({ back: place, turn: found.turn });
  Object.assign(refs[place], { decision: found.decision, fits: found.fits });
  await go(nextPlace(place));
}

async function undo() {
  if (!made.length) return;
  const { back, turn } = made[made.length - 1];
  try {
    await ask("/decide", { ref: refs[back].ref, decision: "undo", turn });
  } catch (error) {
    if (error.status !== 409) throw error;
    made.pop();  // what was decided elsewhere since stays, and is shown
    await go(back);
    throw error;
  }
  made.pop();
  await go(back);
}

async function act(key, shift) {
  if (mode !== "look") await actDrawing(key, shift);
  else if (/^[1-9]$/.test(key)) {
    const number = first + Number(key);
    if (Number(key) <= DIGIT && number <= ref.candidates.length) await decide("chosen", { number });
  } else if (key === "0") await decide("none");
  else if (key === "s") await decide("skipped");
  else if (key === "z") await undo();
  else if (key === "arrowright") await go(place + 1);
  else if (key === "arrowleft") await go(place - 1);
  else if (key === "m") { first = first + DIGIT < ref.candidates.length ? first + DIGIT : 0; show(); }
  else if (key === "p") { plain = !plain; show(); }
  else if (key === "d") startBox();
  else if (key === "u") at("file").click();
}

async function actDrawing(key, shift) {
  if (key === "escape") leave();
  else if (key === "d") startBox();
  else if (mode === "box" && key.startsWith("arrow")) moveBox(key, shift);
  else if (mode === "box" && key === "c") at("box").focus();
  else if (mode === "box" && key === "enter") await askMask();
  else if (mode === "draft" && key === "enter") await decide(draft.decision, { draft: draft.draft });
  else if (mode === "draft" && key === "u") at("file").click();
}

/* One key at a time: a second one while the first is being saved would be meant for another picture. */
const press = (key, shift = false) => once(() => act(key, shift));

async function once(action) {
  if (busy || !ref) return;
  busy = true;
  try {
    await action();
    at("error").hidden = true;
  } catch (error) {
    Object.assign(at("error"), { textContent: error.message, hidden: false });
  } finally {
    busy = false;
  }
}

document.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase(), moves = mode === "box" && key.startsWith("arrow");
  if (event.ctrlKey || event.metaKey || event.altKey || (event.repeat && !moves)) return;
  const typing = event.target === at("box") && !/^(enter|escape)$/.test(key);
  const pressed = event.target.matches("button") && key === "enter" && mode === "look";
  const known = mode === "look" ? /^([0-9szmpdu]|arrowleft|arrowright)$/ : /^(enter|escape|[duc]|arrow(left|right|up|down))$/;
  if (typing || pressed || !known.test(key)) return;
  event.preventDefault();
  press(key, event.shiftKey);
});
at("box").addEventListener("input", () => {
  const numbers = at("box").value.match(/\d+/g)?.map(Number) ?? [];
  if (mode !== "box" || numbers.length !== 4) return;
  box = between(numbers.slice(0, 2), numbers.slice(2));
  showBox();
});
at("box").addEventListener("blur", () => mode === "box" && showBox());
at("drawing").addEventListener("submit", (event) => event.preventDefault());
at("file").addEventListener("change", () => {
  const [file] = at("file").files;
  at("file").value = "";
  if (file) once(() => upload(file));
});

/* A picture that does not come says nothing; its answer says why, as of a photo that is gone. */
at("picture").addEventListener("error", async () => {
  const found = await fetch(at("picture").src).then((answer) => answer.json(), () => ({})).catch(() => ({}));
  if (found.error) Object.assign(at("error"), { textContent: found.error, hidden: false });
});

let held = null;  // the corner of the box that stays while a pointer drags the other
function pointAt(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(at("canvas").getScreenCTM().inverse());
  return [point.x, point.y];
}
at("canvas").addEventListener("pointerdown", (event) => {
  if (busy || event.button) return;
  const point = pointAt(event), reach = 24 / at("canvas").getScreenCTM().a;
  const near = corners().findIndex(([x, y]) => Math.hypot(x - point[0], y - point[1]) < reach);
  held = near < 0 ? point : corners()[3 - near];
  at("canvas").setPointerCapture(event.pointerId);
  at("box").blur();
  event.preventDefault();
});
at("canvas").addEventListener("pointermove", (event) => {
  if (!held) return;
  box = between(held, pointAt(event));
  showBox();
});
for (const end of ["pointerup", "pointercancel"]) at("canvas").addEventListener(end, () => { held = null; });
addEventListener("resize", () => mode === "box" && showBox());
for (const button of document.querySelectorAll("nav button")) button.addEventListener("click", () => press(button.dataset.key));

(async () => {
  try {
    refs = await ask("/refs");
    await go(nextPlace(-1));
  } catch (error) {
    Object.assign(at("error"), { textContent: error.message, hidden: false });
  }
})();
