// SPDX-License-Identifier: MIT
//
// Draws what the server tells.  Whatever comes from the machine becomes text, never HTML.
"use strict";

const EVENTS_MAX = 300; // in the list
const BROKEN_MS = 30000; // how long a slot shows that its stack overflowed
const GUARD_SHARE = 0.32; // of a well's height, as in watch.css

const byId = (id) => document.getElementById(id);
const told = { slots: new Map(), harts: [], broken: new Map(), state: "running", events: 0 };
let facts = { size: 16384, guard: 16384, slot: 32768, reserve: 8192, base: "0x0", map: [] };
let chosen = -1; // the slot that is chosen
let tabbed = -1; // the slot that the tab key reaches
const cards = new Map();

// --- small things --------------------------------------------------------------------------------

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const bytes = (n) => n.toLocaleString("en-US");
const hex = (n) => "0x" + n.toString(16);

async function post(what, value) {
  try {
    const answer = await fetch(what, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value),
    });
    return answer.ok ? await answer.json() : null;
  } catch {
    return null; // the server has ended: the page says so already
  }
}

// --- slots ---------------------------------------------------------------------------------------

const STATES = {
  thread: "", idle: "idle thread", interrupt: "interrupts", emergency: "emergency",
  cached: "cached", lazy: "awaits fences", freed: "freed", moving: "in transit",
};

function owner(slot) {
  if (slot.pid > 0) return `pid ${slot.pid}`;
  return slot.pid === 0 ? "kernel" : "nobody";
}

function marks(slot, broke) {
  if (broke && broke.past > 0) return `✖ ${bytes(broke.past)} B past`;
  if (broke) return `✖ ${broke.class}`;
  if (slot.on) return `▶ hart ${slot.hart}`;
  if (slot.wrong) return "!! guard mapped";
  if (slot.stained) return "⚑ stained";
  return "";
}

// The same in a sentence, for whoever hears the page.
function sentence(index, slot, broke) {
  const says = [`Slot ${index}`];
  says.push(!slot.owned ? `${STATES[slot.state]}, last owner ${owner(slot)} ${slot.name}` :
    `stack of ${owner(slot)} ${slot.name}${STATES[slot.state] ? ", " + STATES[slot.state] : ""}`);
  if (slot.owned && slot.now === null) says.push("depth not known now");
  else if (slot.owned) says.push(`${bytes(slot.now)} bytes in use`);
  says.push(`at most ${bytes(slot.peak)} of ${bytes(facts.size)}`);
  if (slot.on) says.push(`hart ${slot.hart} runs on it`);
  if (slot.stained) says.push("stained: it will not be used again");
  if (slot.reserve) says.push("its reserve is in use");
  if (slot.wrong) says.push("its guard is mapped, which must not be");
  if (broke) says.push(broke.text);
  return says.join(", ");
}

function newCard(index) {
  const item = make("li", "slot");
  const button = make("button", "card");
  button.dataset.slot = index;
  button.tabIndex = -1;
  const parts = { item, button };
  for (const name of ["who", "kind"]) parts[name] = button.appendChild(make("span", name));
  const well = parts.well = button.appendChild(make("span", "well"));
  const stack = well.appendChild(make("span", "stack"));
  parts.peak = stack.appendChild(make("span", "peak"));
  parts.now = stack.appendChild(make("span", "now"));
  parts.unmapped = well.appendChild(make("span", "unmapped"));
  const guard = well.appendChild(make("span", "guard"));
  parts.reserve = guard.appendChild(make("span", "reserve"));
  parts.past = well.appendChild(make("span", "past"));
  parts.wrong = well.appendChild(make("span", "wrong", "!!!"));
  for (const name of ["marks", "foot"]) parts[name] = button.appendChild(make("span", name));
  item.append(button);
  return parts;
}

function share(n) {
  return `${Math.min(100, Math.max(0, n * 100 / facts.size))}%`;
}

function draw(index) {
  const slot = told.slots.get(index);
  const broke = told.broken.get(index);
  const parts = cards.get(index);
  const now = broke && !slot.owned ? facts.size : slot.now ?? 0;
  put(parts.who, slot.pid > 0 ? slot.name || "?" : slot.name || "nobody");
  put(parts.kind, slot.pid > 0 ? `pid ${slot.pid}` : owner(slot));
  parts.now.style.height = share(now);
  parts.peak.style.height = share(broke ? facts.size : slot.peak);
  const missing = ["lazy", "freed"].includes(slot.state) ? 0 : facts.size - slot.mapped;
  parts.unmapped.style.height = `${missing / facts.size * 100 * (1 - GUARD_SHARE)}%`;
  parts.reserve.hidden = !slot.reserve;
  parts.past.hidden = !(broke && broke.past > 0);
  parts.wrong.hidden = !slot.wrong;
  parts.well.classList.toggle("bare", !slot.guarded);
  put(parts.marks, marks(slot, broke));
  const word = STATES[slot.state];
  const depth = slot.now === null ? "?" : bytes(slot.now);
  const last = broke && !slot.owned ? "killed" : `${bytes(slot.peak)} used`;
  put(parts.foot, slot.owned ? `${depth} now\n${bytes(slot.peak)} peak` : `${word}\n${last}`);
  const names = ["card", slot.state];
  if (slot.on) names.push("on");
  if (slot.stained) names.push("stained");
  if (broke) names.push("broke");
  parts.button.className = names.join(" ");
  parts.button.setAttribute("aria-label", sentence(index, slot, broke));
  parts.button.title = `slot ${index}, stack at ${slot.lo}`;
  parts.button.setAttribute("aria-current", String(index === chosen));
}

// Put cards and gaps in order of address, moving as little as possible.
function arrange() {
  const list = byId("slots");
  const order = [...told.slots.keys()].sort((a, b) => a - b);
  let at = list.firstChild;
  let before = -1;
  for (const index of order) {
    const free = index - before - 1;
    if (free > 0 && before >= 0) {
      if (at && at.className === "gap") {
        put(at, `${free} free`);
        at = at.nextSibling;
      } else {
        list.insertBefore(make("li", "gap", `${free} free`), at);
      }
    }
    const item = cards.get(index).item;
    if (at === item) at = at.nextSibling;
    else list.insertBefore(item, at);
    before = index;
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
  if (!told.slots.has(tabbed)) tabbed = order.length ? order[0] : -1;
  for (const [index, parts] of cards) parts.button.tabIndex = index === tabbed ? 0 : -1;
}

function ghost(index, broke) {
  return { owned: false, pid: broke.pid, name: broke.name, state: "freed", now: 0,
    peak: facts.size, mapped: 0, lo: broke.lo, hart: -1, on: false, stained: false,
    reserve: false, wrong: false, guarded: true };
}

function takeSlots(slots, gone) {
  const held = document.activeElement?.dataset?.slot;
  for (const index of gone) {
    const broke = told.broken.get(index);
    if (broke) {
      told.slots.set(index, ghost(index, broke));
    } else {
      told.slots.delete(index);
      cards.get(index)?.item.remove();
      cards.delete(index);
    }
  }
  for (const [key, slot] of Object.entries(slots)) {
    const index = Number(key);
    slot.owned = !["cached", "lazy", "freed", "moving"].includes(slot.state);
    const broke = told.broken.get(index);
    if (broke && slot.owned && slot.pid !== broke.pid) told.broken.delete(index); // used again
    told.slots.set(index, slot);
    if (!cards.has(index)) cards.set(index, newCard(index));
  }
  arrange();
  for (const index of cards.keys()) draw(index);
  if (held !== undefined && !cards.has(Number(held))) cards.get(tabbed)?.button.focus();
}

function lift() {
  const now = Date.now();
  for (const [index, broke] of told.broken) {
    if (now - broke.since < BROKEN_MS) continue;
    told.broken.delete(index);
    const slot = told.slots.get(index);
    if (slot && slot.mapped === 0 && slot.state === "freed") takeSlots({}, [index]);
    else if (slot) draw(index);
  }
}

// --- harts, map, counts --------------------------------------------------------------------------

const MODES = { user: "in user mode", kernel: "in the kernel", idle: "idle",
  interrupt: "handles an interrupt", emergency: "reports a fault", firmware: "in the firmware",
  boot: "boots" };

function showHarts() {
  const list = byId("harts");
  while (list.children.length > told.harts.length) list.lastChild.remove();
  const choice = byId("hart");
  while (choice.options.length > told.harts.length) choice.lastChild.remove();
  told.harts.forEach((hart, i) => {
    if (!list.children[i]) {
      const item = list.appendChild(make("li"));
      item.append(make("b"), make("span"), make("span", "where"));
    }
    if (!choice.options[i]) choice.add(new Option(`hart ${i}`, String(i)));
    const [name, who, where] = list.children[i].children;
    put(name, `hart ${hart.index}`);
    const runs = hart.pid > 0 ? `pid ${hart.pid} (${hart.name}), ` : "";
    put(who, runs + (MODES[hart.mode] || hart.mode));
    put(where, hart.where ? `${hart.where}  ${hart.pc}` : hart.pc);
    where.title = hart.pc;
  });
}

function showMap() {
  const list = byId("map");
  list.replaceChildren();
  for (const region of facts.map) {
    const button = make("button", region.name === "kernel stacks" ? "here" : "");
    button.append(make("span", "", region.name), make("span", "at", region.lo),
      make("span", "what", region.what), make("span", "harts"));
    button.addEventListener("click", () => explain(region.lo));
    list.appendChild(make("li")).append(button);
  }
}

function showPlaces() {
  facts.map.forEach((region, i) => {
    const lo = BigInt(region.lo);
    const hi = BigInt(region.hi);
    const here = told.harts.filter((h) => h.mode !== "firmware" && h.mode !== "boot" &&
      lo <= BigInt(h.pc) && BigInt(h.pc) < hi).map((h) => h.index);
    put(byId("map").children[i].querySelector(".harts"), here.length ?
      `▶ hart${here.length > 1 ? "s" : ""} ${here.join(", ")} execute${here.length > 1 ? "" : "s"
      } here` : "");
  });
}

function showCounts(counts) {
  if (!("slots" in counts)) return;
  put(byId("counts"), `${bytes(counts.taken)} of ${bytes(counts.slots)} slots taken: ${
    bytes(counts.cached)} cached, ${bytes(counts.lazy)} awaiting fences. ${
    bytes(counts.processes)} processes. Since boot ${bytes(counts.mapped)} stacks were mapped, ${
    bytes(counts.unmapped)} unmapped.`);
  const beyond = counts.taken - facts.most;
  put(byId("beyond"), beyond > 0 ? `And ${bytes(beyond)} more, at higher addresses.` : "");
}

// --- state ---------------------------------------------------------------------------------------

const WORDS = { running: ["●", "running"], stopped: ["❚❚", "paused"], stepping: ["▷", "stepping"],
  ended: ["■", "ended"], lost: ["■", "not connected"] };

function showState(state, why, slow) {
  told.state = state;
  document.body.dataset.state = state;
  const [sign, word] = WORDS[state];
  put(byId("sign"), sign);
  put(byId("word"), slow && state !== "ended" ? "slow motion" : word);
  put(byId("why"), why);
  const over = state === "ended" || state === "lost";
  for (const id of ["pause", "call", "trap", "slow"]) byId(id).disabled = over;
  byId("call").disabled = byId("trap").disabled = over || state === "stepping";
  const runs = state === "running" || (state === "stepping" && !slow);
  const label = byId("pause").firstChild;
  if (label.data !== (runs ? "Pause " : "Go on ")) label.data = runs ? "Pause " : "Go on ";
  byId("slow").setAttribute("aria-pressed", String(Boolean(slow)));
}

// --- events --------------------------------------------------------------------------------------

const TAGS = { fork: "+ begins", exec: "→ exec", exit: "− ends", missed: "⋯ missed",
  fault: "✖ fault", killed: "✖ killed", panic: "✖ panic" };

function showEvent(event) {
  const item = make("li", event.kind);
  item.append(make("time", "", event.at), make("span", "tag", TAGS[event.kind] || event.kind));
  if (event.report) {
    const details = make("details");
    details.append(make("summary", "", event.text), make("pre", "", event.report));
    item.append(details);
  } else {
    item.append(make("span", "", event.text));
  }
  const list = byId("events");
  list.prepend(item);
  while (list.children.length > EVENTS_MAX) list.lastChild.remove();
}

function noteFault(event) {
  const slot = Number((BigInt(event.lo) - BigInt(facts.base)) / BigInt(facts.slot));
  const name = /\((.*?)\)/.exec(event.text)?.[1] ?? "";
  const broke = { pid: Number(event.pid), name, class: event.class, past: Number(event.past),
    text: event.text, lo: event.lo, since: Date.now() };
  if (event.verdict === "killed" && slot >= 0 && slot < 1 << 20) {
    told.broken.set(slot, broke);
    if (!told.slots.has(slot)) {
      told.slots.set(slot, ghost(slot, broke));
      cards.set(slot, newCard(slot));
    }
  }
  byId("alarm").hidden = false;
  put(byId("alarm-text"), event.text);
  byId("alarm").dataset.slot = slot;
}

function takeEvents(events) {
  const counts = {};
  const says = [];
  const fresh = told.events > 0;
  for (const event of events) {
    told.events = event.id;
    showEvent(event);
    counts[event.kind] = (counts[event.kind] || 0) + 1;
    if (event.kind === "panic" || event.kind === "killed") says.push(event.text);
    if (event.kind === "fault") noteFault(event); // an alert of its own
  }
  if (counts.fork > 0) says.push(counts.fork === 1 ? "a process began" : `${counts.fork} began`);
  if (counts.exit > 0) says.push(counts.exit === 1 ? "a process ended" : `${counts.exit} ended`);
  if (fresh && says.length) put(byId("live"), says.slice(-4).join(". "));
}

// --- what is this address? -----------------------------------------------------------------------

async function explain(expression) {
  byId("address").value = expression;
  put(byId("answer"), "…");
  const answer = await post("explain", { address: expression,
    hart: Number(byId("hart").value || 0) });
  put(byId("answer"), answer ? answer.lines.join("\n") : "The machine does not answer.");
}

function showSpots(index) {
  const slot = told.slots.get(index);
  const spots = byId("spots");
  spots.replaceChildren();
  if (!slot) return;
  const lo = BigInt(slot.lo);
  const hi = lo + BigInt(facts.size);
  const places = [["top", hi - 8n], ["lowest byte", lo], ["in the guard", lo - 8n],
    ["guard's lowest", lo - BigInt(facts.guard)]];
  if (slot.now) places.splice(1, 0, ["sp", hi - BigInt(slot.now)]);
  if (slot.peak) places.splice(-3, 0, ["deepest ever", hi - BigInt(slot.peak)]);
  for (const [name, at] of places) {
    const button = spots.appendChild(make("button", "", name));
    button.addEventListener("click", () => explain(hex(at)));
  }
}

function choose(index, address) {
  const before = chosen;
  chosen = tabbed = index;
  if (cards.has(before)) draw(before);
  draw(index);
  for (const [other, parts] of cards) parts.button.tabIndex = other === index ? 0 : -1;
  showSpots(index);
  explain(address);
}

// Where in the slot a click has met the well, as an address.
function addressAt(index, well, y) {
  const box = well.getBoundingClientRect();
  const at = Math.min(0.999, Math.max(0, (y - box.top) / box.height));
  const edge = 1 - GUARD_SHARE;
  const lo = BigInt(told.slots.get(index).lo);
  const past = at < edge ? Math.floor((1 - at / edge) * facts.size) & ~7 :
    -(Math.floor((at - edge) / GUARD_SHARE * facts.guard) & ~7) - 8;
  return hex(lo + BigInt(past));
}

function clicked(event) {
  const button = event.target.closest(".card");
  if (!button) return;
  const index = Number(button.dataset.slot);
  const slot = told.slots.get(index);
  const well = event.target.closest(".well");
  const middle = hex(BigInt(slot.lo) + BigInt(facts.size - (slot.now || 8)));
  choose(index, well && event.detail ? addressAt(index, well, event.clientY) : middle);
}

// The arrow keys go from slot to slot, by rows as they stand.
function moved(event) {
  const order = [...cards.keys()].sort((a, b) => a - b);
  const at = order.indexOf(Number(event.target.dataset?.slot));
  if (at < 0) return;
  const place = (i) => cards.get(order[i]).button.getBoundingClientRect();
  const vertical = (step) => {
    const here = place(at);
    let best = at;
    let least = Infinity;
    for (let i = at + step; i >= 0 && i < order.length; i += step) {
      const there = place(i);
      if (Math.abs(there.top - here.top) < 5) continue;
      const far = Math.abs(there.left - here.left) + Math.abs(there.top - here.top) * 100;
      if (far < least) [best, least] = [i, far];
    }
    return best;
  };
  const to = { ArrowRight: () => at + 1, ArrowLeft: () => at - 1, Home: () => 0,
    End: () => order.length - 1, ArrowDown: () => vertical(1), ArrowUp: () => vertical(-1),
  }[event.key]?.();
  if (to === undefined) return;
  event.preventDefault();
  const next = order[Math.min(order.length - 1, Math.max(0, to))];
  cards.get(tabbed).button.tabIndex = -1;
  tabbed = next;
  cards.get(next).button.tabIndex = 0;
  cards.get(next).button.focus();
}

// --- buttons and keys ----------------------------------------------------------------------------

function pauseOrRun() {
  const runs = byId("pause").firstChild.data.startsWith("Pause");
  post("do", { do: runs ? "pause" : "run" });
}

function slowMotion() {
  if (byId("slow").getAttribute("aria-pressed") === "true") {
    post("do", { do: "run" });
    return;
  }
  post("do", { do: "slow", unit: byId("unit").value, period: 1 / Number(byId("speed").value) });
}

const ACTIONS = { pause: pauseOrRun, call: () => post("do", { do: "step", unit: "call" }),
  trap: () => post("do", { do: "step", unit: "trap" }), slow: slowMotion };
const KEYS = { p: "pause", c: "call", t: "trap", m: "slow" };

function typed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey ||
      event.target.matches("input, select, textarea")) return;
  if (event.key === "Escape") byId("alarm").hidden = true;
  const id = KEYS[event.key];
  if (id && !byId(id).disabled) {
    event.preventDefault();
    ACTIONS[id]();
  }
}

function changeSlow() {
  if (byId("slow").getAttribute("aria-pressed") === "true") {
    post("do", { do: "slow", unit: byId("unit").value, period: 1 / Number(byId("speed").value) });
  }
}

for (const [id, action] of Object.entries(ACTIONS)) byId(id).addEventListener("click", action);
byId("unit").addEventListener("change", changeSlow);
byId("speed").addEventListener("change", changeSlow);
byId("slots").addEventListener("click", clicked);
byId("slots").addEventListener("keydown", moved);
document.addEventListener("keydown", typed);
byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (byId("address").value.trim()) explain(byId("address").value.trim());
});
byId("alarm-close").addEventListener("click", () => { byId("alarm").hidden = true; });
byId("alarm-show").addEventListener("click", () => {
  const index = Number(byId("alarm").dataset.slot);
  if (cards.has(index)) {
    cards.get(index).button.scrollIntoView({ block: "center" });
    choose(index, hex(BigInt(told.slots.get(index).lo) - 8n));
    cards.get(index).button.focus();
  }
  document.querySelector("#events details")?.setAttribute("open", "");
});

// --- what the server tells -----------------------------------------------------------------------

function take(message) {
  if (message.hello) {
    facts = message.hello;
    told.slots.clear();
    cards.clear();
    byId("slots").replaceChildren();
    showMap();
    return;
  }
  showState(message.state, message.booted ? message.why : message.why || "The kernel comes up.",
    message.slow);
  told.harts = message.harts;
  takeEvents(message.events.filter((event) => event.id > told.events));
  takeSlots(message.slots, message.gone);
  showHarts();
  showPlaces();
  showCounts(message.counts);
  lift();
}

const source = new EventSource("events");
source.onmessage = (message) => take(JSON.parse(message.data));
source.onerror = () => {
  if (told.state === "ended") {
    source.close();
    return;
  }
  showState("lost", "make watch has ended, or this page cannot reach it.", "");
};
