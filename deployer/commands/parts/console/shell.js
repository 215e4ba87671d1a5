// Does for the page what the CloudWatch console does: calls its function, shows what came back, and sends its
// buttons' commands to the deployer's function after asking. It talks to the server it came from alone.
//
// The page's markup is never handed to the browser as markup: it is parsed into a document that runs nothing, and
// what is on the lists below is made anew from it, element by element. Nothing that runs, loads or leads anywhere
// is on them, so that injected markup could do nothing even if the page's escaping failed. The content security
// policy of server.py says the same once more.
"use strict";

const HTML = "http://www.w3.org/1999/xhtml";
const SVG = "http://www.w3.org/2000/svg";
const ELEMENTS = {
  [HTML]: new Set(["br", "button", "caption", "code", "dd", "div", "dl", "dt", "form", "h2", "h3", "input", "label",
    "li", "ol", "p", "pre", "section", "span", "strong", "table", "tbody", "td", "th", "thead", "tr"]),
  [SVG]: new Set(["circle", "g", "path", "rect", "svg", "text", "title"]),
};
const ATTRIBUTES = new Set(["class", "dir", "title", "scope", "tabindex", "role", "name", "maxlength", "required",
  "value", "viewBox", "width", "height", "x", "y", "r", "rx", "d", "transform", "text-anchor", "focusable",
  "aria-label", "aria-hidden", "data-part", "data-outcome", "data-verb", "data-label"]);

const key = location.hash.slice(1);
const find = (id) => document.getElementById(id);
const shadow = find("widget").attachShadow({ mode: "open" });
let busy = false; // a command is at work
let looking = false;
let caller = "";
let drawn = 0;

// -- the server

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Key": key },
    body: JSON.stringify(body),
  });
  const told = await response.json();
  if (!response.ok || typeof told.error === "string") throw new Error(told.error || `HTTP ${response.status}`);
  return told;
}

// -- markup

function copied(node, actions) {
  if (node.nodeType === Node.TEXT_NODE) return document.createTextNode(node.data);
  if (node.nodeType !== Node.ELEMENT_NODE || !ELEMENTS[node.namespaceURI]?.has(node.localName)) return null;
  const made = document.createElementNS(node.namespaceURI, node.localName);
  for (const { name, value } of node.attributes) if (ATTRIBUTES.has(name)) made.setAttribute(name, value);
  if (node.localName === "button") made.type = "button";
  if (node.localName === "input") made.type = "text";
  fill(made, node, actions);
  return made;
}

// An action is its own button's, right before it: `actions` keeps which.
function fill(made, node, actions) {
  for (const child of node.childNodes) {
    if (child.localName === "cwdb-action") {
      const before = made.lastElementChild;
      if (before?.localName === "button") actions.set(before, child);
      continue;
    }
    const copy = copied(child, actions);
    if (copy) made.append(copy);
  }
}

function show(root, markup) {
  // The page's own sheet comes first. Made like this it loads nothing (it takes no @import, and the policy allows
  // no pictures); any other is left out.
  const [own, css] = markup.match(/<style>([^<]*)<\/style>/) || ["", ""];
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [sheet];
  const given = new DOMParser().parseFromString(own ? markup.replace(own, "") : markup, "text/html");
  const actions = new Map();
  const body = document.createElement("div");
  fill(body, given.body, actions);
  root.replaceChildren(body);
  for (const [button, action] of actions) button.addEventListener("click", () => act(button, action));
}

// -- looking

function fields() {
  const found = {};
  for (const input of shadow.querySelectorAll("input[name]")) found[input.name] = input.value;
  return found;
}

function context() {
  const end = Date.now();
  const forms = fields();
  if (!forms.by) forms.by = caller;
  return {
    theme: document.documentElement.dataset.theme,
    width: Math.round(find("widget").clientWidth),
    timeRange: { mode: "relative", start: end - 1000 * Number(find("range").value), end },
    forms: { all: forms },
  };
}

async function look() {
  if (looking) return;
  looking = true;
  try {
    const told = await post("/look", context());
    const first = !caller && told.by;
    caller = told.by || caller;
    const focus = shadow.activeElement;
    const again = focus && (focus.dataset.verb ? `[data-verb="${CSS.escape(focus.dataset.verb)}"]`
      : focus.name ? `input[name="${CSS.escape(focus.name)}"]` : focus.getAttribute("role") === "region" ? ".log" : "");
    const typed = fields();
    const scrolled = shadow.querySelector(".log")?.scrollTop;
    show(shadow, told.html);
    for (const input of shadow.querySelectorAll("input[name]")) {
      if (typed[input.name]) input.value = typed[input.name]; // also what was typed while the answer came
      else if (input.name === "by" && !input.value) input.value = caller;
    }
    const log = shadow.querySelector(".log");
    if (log && scrolled !== undefined) log.scrollTop = scrolled;
    if (again) shadow.querySelector(again)?.focus();
    drawn = Date.now();
    find("trouble").hidden = true;
    find("state").textContent = `drawn at ${new Date(drawn).toLocaleTimeString()}`;
    if (first) document.title = `${told.service}: deployments`;
    find("widget").setAttribute("aria-busy", "false");
  } catch (error) {
    const since = drawn ? ` What is shown is of ${new Date(drawn).toLocaleTimeString()}.` : "";
    find("trouble").textContent = `The page could not be drawn: ${error.message}.${since}`;
    find("trouble").hidden = false;
  } finally {
    looking = false;
  }
}

function mayRefresh() {
  const typing = shadow.activeElement?.localName === "input";
  return !typing && !busy && !document.hidden && !find("confirm").open && !find("popup").open;
}

// -- acting

function asked(question) {
  const dialog = find("confirm");
  find("question").textContent = question;
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
    find("no").focus();
  });
}

function popup(fill) {
  const place = find("answer");
  const inside = document.createElement("div");
  place.replaceChildren(inside);
  fill(inside);
  if (!find("popup").open) find("popup").showModal();
}

async function act(button, action) {
  if (busy) return;
  const question = action.getAttribute("confirmation");
  if (question && !(await asked(question))) return;
  busy = true;
  const all = shadow.querySelectorAll("button");
  for (const each of all) each.disabled = true;
  button.setAttribute("aria-busy", "true");
  const begun = Date.now();
  const tell = () => {
    find("state").textContent = `the deployer is at work, for ${Math.round((Date.now() - begun) / 1000)} s`;
  };
  tell();
  const ticking = setInterval(tell, 1000);
  try {
    const told = await post("/act", {
      endpoint: action.getAttribute("endpoint"),
      command: JSON.parse(action.textContent),
      theme: document.documentElement.dataset.theme,
      forms: fields(),
    });
    popup((place) => {
      if (typeof told.html === "string") show(place.attachShadow({ mode: "open" }), told.html);
      else place.append(Object.assign(document.createElement("pre"), { textContent: JSON.stringify(told.json, null, 2) }));
    });
    // The reason was for this command.
    const because = shadow.querySelector('input[name="because"]');
    if (because) because.value = "";
  } catch (error) {
    popup((place) => { place.textContent = error.message; });
  } finally {
    clearInterval(ticking);
    busy = false;
    for (const each of all) each.disabled = false;
    button.removeAttribute("aria-busy");
    look();
  }
}

// -- the shell

function themed(theme) {
  document.documentElement.dataset.theme = theme;
  find("theme").setAttribute("aria-pressed", String(theme === "dark"));
  try { localStorage.setItem("theme", theme); } catch { /* then it is not kept */ }
}

function remembered() {
  try { return localStorage.getItem("theme"); } catch { return null; }
}

themed(remembered() || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
find("theme").addEventListener("click", () => {
  themed(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  look();
});
find("range").addEventListener("change", look);
find("now").addEventListener("click", look);
find("view").addEventListener("submit", (event) => event.preventDefault());
find("yes").addEventListener("click", () => find("confirm").close("yes"));
find("no").addEventListener("click", () => find("confirm").close(""));
find("close").addEventListener("click", () => find("popup").close());
shadow.addEventListener("submit", (event) => event.preventDefault());
let resized = 0;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => { if (mayRefresh()) look(); }, 300);
});
setInterval(() => {
  const every = 1000 * Number(find("every").value);
  if (every && Date.now() - drawn >= every && mayRefresh()) look();
}, 1000);
look();
