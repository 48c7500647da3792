"use strict";
// Renews what depends on an event, and keeps the list of events. Without it every page still works.

const RENEW_MS = 400; // events come in bursts: a part is fetched once for all of a burst
const RENEW_ALL_MS = 1000; // what depends on every event
const AGAIN_MS = 3000; // the services may take an event in after this page has
const WITHOUT_EVENT_MS = 20000;
const UNDER_WAY_MS = 1000;
const OF_TOPIC = "topic "; // a part that depends on the events of one topic
const MOST_LINES = 50;
const waiting = new WeakSet();
const again = new WeakMap();
const asked = new WeakMap();

function happened(part) {
  renew(part);
  clearTimeout(again.get(part));
  again.set(part, setTimeout(() => renew(part), AGAIN_MS));
}

function renew(part) {
  if (waiting.has(part)) return;
  waiting.add(part);
  setTimeout(async () => {
    waiting.delete(part); // an event from now on may be newer than the answer: it asks again
    // What a person is filling in is left alone.
    if (part.contains(document.activeElement) && document.activeElement.matches("input, select")) return;
    try {
      await fill(part);
    } catch (error) {
      // The stream says that the connection is lost, and begins again.
    }
  }, part.dataset.live === "*" || part.dataset.live.startsWith(OF_TOPIC) ? RENEW_ALL_MS : RENEW_MS);
}

// Of several answers on their way, only the one that was asked for last is shown.
async function fill(part) {
  const number = (asked.get(part) || 0) + 1;
  asked.set(part, number);
  const answer = await fetch(part.dataset.from, { headers: { Accept: "text/html" }, redirect: "manual" });
  const text = await answer.text();
  if (answer.ok && asked.get(part) === number) {
    replace(part, text);
    follow(part);
  } else if (answer.type === "opaqueredirect" || answer.status === 401) location.reload();
}

// What is under way is asked for again until it has ended: no event may tell.
function follow(part) {
  if (part.querySelector("[data-under-way]")) setTimeout(() => renew(part), UNDER_WAY_MS);
}

// What a person has opened, where the focus is and how far a table was moved stay as they are.
function replace(part, text) {
  const open = [...part.querySelectorAll("details[open][id]")].map((each) => each.id);
  const moved = [...part.querySelectorAll(".wide")].map((each) => each.scrollLeft);
  const focus = part.contains(document.activeElement) ? document.activeElement : null;
  const link = focus && focus.getAttribute("href");
  const opener = focus && focus.matches("summary") && focus.parentElement.id;
  part.innerHTML = text;
  open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
  part.querySelectorAll(".wide").forEach((each, n) => { each.scrollLeft = moved[n] || 0; });
  const again = opener
    ? document.getElementById(opener)?.querySelector("summary")
    : link && [...part.querySelectorAll("a")].find((each) => each.getAttribute("href") === link);
  if (again) again.focus({ preventScroll: true });
}

function depends(part, event) {
  const on = part.dataset.live;
  return on === "*" || on === event.account || on === OF_TOPIC + event.topic;
}

function addLine(event) {
  const feed = document.getElementById("feed");
  if (!feed || !event.text) return;
  const line = document.createElement("li");
  line.className = `${event.tone} new`;
  const time = document.createElement("time");
  time.textContent = event.at;
  line.append(time, " ");
  if (event.account) line.append(anchor(`/clients/${encodeURIComponent(event.account)}`, event.account), " ");
  line.append(event.link ? anchor(event.link, event.text, "plain") : event.text);
  feed.prepend(line);
  while (feed.children.length > MOST_LINES) feed.lastElementChild.remove();
  const empty = feed.parentElement.querySelector(".empty");
  if (empty) empty.hidden = true;
}

function anchor(path, text, kind = "") {
  const made = document.createElement("a");
  made.href = path;
  made.textContent = text;
  made.className = kind;
  return made;
}

function listen() {
  const live = document.getElementById("live");
  if (!live || !document.querySelector("[data-live]")) return;
  const stream = new EventSource(live.dataset.stream || "/stream");
  const parts = () => document.querySelectorAll("[data-live][data-from]");
  // The stream misses nothing from here on; what happened since the page was made is asked for.
  stream.addEventListener("listening", () => {
    live.textContent = "Live.";
    parts().forEach(happened);
  });
  setInterval(() => { if (!document.hidden) parts().forEach(renew); }, WITHOUT_EVENT_MS);
  for (const part of document.querySelectorAll("[data-every]")) { // what changes without an event
    setInterval(() => { if (!document.hidden) renew(part); }, part.dataset.every * 1000);
  }
  stream.onerror = () => { live.textContent = "Connecting again…"; };
  stream.addEventListener("ended", () => { stream.close(); location.assign(live.dataset.ended || "/login"); });
  stream.onmessage = (message) => {
    const event = JSON.parse(message.data);
    addLine(event);
    for (const part of parts()) {
      if (depends(part, event)) happened(part);
    }
  };
}

// The lists of a client: a tab is fetched when it is asked for.
function tabs() {
  const card = document.querySelector("[data-tabs]");
  if (!card) return;
  const shown = card.querySelector(".tab");
  const show = (path) => {
    shown.dataset.from = path;
    shown.querySelectorAll(".wide").forEach((each) => { each.scrollLeft = 0; }); // another table
    fill(shown).catch(() => location.reload());
  };
  card.addEventListener("click", (click) => {
    const link = click.target.closest("a[data-tab], a[data-tab-link]");
    if (!link || click.ctrlKey || click.metaKey || click.shiftKey) return;
    click.preventDefault();
    if (link.dataset.tab) {
      card.querySelectorAll("a[data-tab]").forEach((each) => each.removeAttribute("aria-current"));
      link.setAttribute("aria-current", "true");
    }
    show(link.href);
  });
  card.addEventListener("submit", (submit) => {
    const form = submit.target.closest("form[data-tab-form]");
    if (!form) return;
    submit.preventDefault();
    show(`${form.action}?${new URLSearchParams(new FormData(form))}`);
  });
}

// Keys: / search, g n now, g c clients, g u unrated, g r rates, g s servers, g t topics, g e settings.
function keys() {
  const paths = { n: "/", c: "/clients", u: "/unrated", r: "/rates", s: "/servers", t: "/topics", e: "/settings" };
  let went = 0;
  document.addEventListener("keydown", (press) => {
    if (press.ctrlKey || press.metaKey || press.altKey) return;
    if (press.target.matches("input, select, textarea")) return;
    const search = document.getElementById("search");
    if (!search) return; // a client's own page, or none of a session
    if (press.key === "/") {
      press.preventDefault();
      search.focus();
    } else if (press.key === "g") {
      went = Date.now();
    } else if (Date.now() - went < 1500 && paths[press.key]) {
      location.assign(paths[press.key]);
    }
  });
}

// A file that is dropped on its form is chosen there.
function drops() {
  for (const form of document.querySelectorAll("form[data-drop]")) {
    const file = form.querySelector("input[type=file]");
    form.addEventListener("dragover", (drag) => {
      drag.preventDefault();
      form.classList.add("over");
    });
    form.addEventListener("dragleave", () => form.classList.remove("over"));
    form.addEventListener("drop", (drop) => {
      drop.preventDefault();
      form.classList.remove("over");
      if (!drop.dataTransfer.files.length) return;
      file.files = drop.dataTransfer.files;
      if (form.reportValidity()) form.submit();
    });
  }
}

// A login link has its secret behind the #, which browsers send to nobody.
function login() {
  const link = document.getElementById("link");
  if (!link || location.hash.length < 2) return;
  link.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  link.form.submit();
}

// A page that shows a secret once was made by a form: loading it again must not send the form again.
function once() {
  const shown = document.querySelector(".once[data-page]");
  if (shown) history.replaceState(null, "", shown.dataset.page);
}

login();
addEventListener("hashchange", login); // a link that is opened where the page is open already
listen();
tabs();
drops();
keys();
once();
