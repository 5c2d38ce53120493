"use strict";
// Dark or light: what the system says, until somebody says otherwise here.
const theme = document.getElementById("theme");
const stored = localStorage.getItem("theme");
if (stored) document.documentElement.dataset.theme = stored;
if (theme) {
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    localStorage.setItem("theme", document.documentElement.dataset.theme);
  });
}
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "/" && !typing) { event.preventDefault(); document.getElementById("search")?.focus(); }
});

// Times as clocks here show them; the page has them in UTC.
const local = (root) => {
  for (const one of root.querySelectorAll("time")) {
    const at = new Date(one.dateTime);
    if (!Number.isNaN(at.getTime())) [one.textContent, one.title] = [at.toLocaleString(), one.dateTime];
  }
};
local(document);

// What changes while somebody looks on is taken out of a new copy of the page.
const live = [...document.querySelectorAll("[data-live]")].map((one) => one.id);
let refreshed = 0;
const refresh = async () => {
  refreshed = Date.now();
  // The log comes by itself.
  const answer = await fetch(location.href, { headers: { "slipway-log": "none" } }).catch(() => null);
  if (!answer?.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  local(fresh);
  for (const id of live) {
    const [now, then] = [document.getElementById(id), fresh.getElementById(id)];
    // Nobody loses what they are at.
    if (!now || !then || now.outerHTML === then.outerHTML || now.contains(document.activeElement)) continue;
    now.replaceWith(document.adoptNode(then));
  }
};
const over = document.getElementById("log")?.dataset.over === "true";
if (live.length && !over) setInterval(() => { if (!document.hidden && Date.now() - refreshed > 4000) refresh(); }, 5000);

// The log: one line each with its number, colours as terminals show them, folded by step.
const log = document.getElementById("log");
if (log) {
  const state = document.getElementById("log-state");
  let number = Number(log.dataset.line);
  let step = "", box = null;
  const coloured = (target, text) => {
    let classes = [];
    for (const [index, part] of text.split(/\x1b\[([0-9;]*)m/).entries()) {
      if (index % 2) {
        for (const code of (part || "0").split(";").map(Number)) {
          if (code === 0) classes = [];
          else if (code === 1) classes.push("b");
          else if (code >= 30 && code <= 37) classes = [...classes.filter((one) => !one.startsWith("c")), "c" + (code - 30)];
          else if (code >= 90 && code <= 97) classes = [...classes.filter((one) => !one.startsWith("c")), "c" + (code - 90)];
        }
      } else if (part) {
        const span = document.createElement("span");
        if (classes.length) span.className = classes.join(" ");
        // Text, never markup: whatever a build prints stays what it is.
        span.textContent = part.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "");
        target.append(span);
      }
    }
  };
  const lines = (text) => text.split("\n").map((line) => /^(\S+) (\S+) (.*)$/s.exec(line)).filter((match) => match);
  const rows = (matches) => {
    const all = document.createDocumentFragment();
    for (const match of matches) {
      number += 1;
      if (match[2] !== step || !box) {
        step = match[2];
        box = document.createElement("details");
        box.open = true;
        const summary = document.createElement("summary");
        summary.textContent = step;
        box.append(summary);
        all.append(box);
      }
      const row = document.createElement("span");
      row.className = "line";
      row.id = "L" + number;
      const link = document.createElement("a");
      link.href = "#L" + number;
      link.textContent = number;
      link.title = match[1];
      row.append(link);
      coloured(row, match[3]);
      box.append(row);
    }
    return all;
  };
  const add = (text) => {
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    const before = step;
    log.append(rows(lines(text)));
    if (step !== before && before) refresh();
    if (follows && !location.hash) log.scrollTop = log.scrollHeight;
  };
  const first = log.textContent;
  log.textContent = "";
  add(first);
  // What came before: a piece at a time, until somebody has seen enough.
  const earlier = document.getElementById("earlier");
  let begin = Number(log.dataset.begin), top = Number(log.dataset.line), busy = false;
  // One piece at a time: two would be the same one twice.
  const back = async () => {
    if (busy) return false;
    busy = true;
    try { return await piece(); } finally { busy = false; }
  };
  const piece = async () => {
    const from = Math.max(0, begin - (256 << 10));
    const answer = await fetch("/api/v1/builds/" + log.dataset.build + "/log", { headers: { range: "bytes=" + from + "-" + (begin - 1) } });
    if (answer.status !== 206) return false;
    const bytes = new Uint8Array(await answer.arrayBuffer());
    // A piece begins where a line does.
    const cut = from === 0 ? 0 : bytes.indexOf(10) + 1;
    const matches = lines(new TextDecoder().decode(bytes.subarray(cut)));
    const height = log.scrollHeight, kept = [number, step, box];
    begin = from + cut;
    top -= matches.length;
    [number, step, box] = [top, "", null];
    log.prepend(rows(matches));
    [number, step, box] = kept;
    log.scrollTop += log.scrollHeight - height;
    earlier.hidden = begin === 0;
    return matches.length > 0;
  };
  earlier.hidden = begin === 0;
  earlier.addEventListener("click", back);
  const seek = async () => {
    const wanted = Number(/^#L(\d+)$/.exec(location.hash)?.[1]);
    for (let pieces = 0; wanted && wanted <= top && begin > 0 && pieces < 40; pieces += 1) if (!await back()) break;
    if (wanted) document.getElementById("L" + wanted)?.scrollIntoView();
  };
  seek();
  if (log.dataset.over !== "true") {
    let from = log.dataset.from;
    const follow = () => {
      const source = new EventSource("/api/v1/builds/" + log.dataset.build + "/events?from=" + from);
      source.addEventListener("log", (event) => { from = event.lastEventId; add(event.data.slice(event.data.indexOf("\n") + 1)); });
      source.addEventListener("end", () => { source.close(); location.reload(); });
      source.addEventListener("open", () => { state.textContent = "The log is followed."; });
      source.addEventListener("error", () => {
        state.textContent = "The connection was lost; it is made again.";
        // A proxy that answers for a server which is away ends it for good.
        if (source.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
      });
    };
    follow();
  }
}
