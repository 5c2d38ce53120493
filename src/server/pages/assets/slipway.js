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
  const add = (text) => {
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    const all = document.createDocumentFragment();
    for (const line of text.split("\n")) {
      const match = /^(\S+) (\S+) (.*)$/s.exec(line);
      if (!match) continue;
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
    log.append(all);
    if (follows && !location.hash) log.scrollTop = log.scrollHeight;
  };
  const first = log.textContent;
  log.textContent = "";
  add(first);
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  if (log.dataset.over !== "true") {
    const source = new EventSource("/api/v1/builds/" + log.dataset.build + "/events?from=" + log.dataset.from);
    source.addEventListener("log", (event) => add(event.data.slice(event.data.indexOf("\n") + 1)));
    source.addEventListener("end", () => { source.close(); location.reload(); });
    source.addEventListener("open", () => { state.textContent = "The log is followed."; });
    source.addEventListener("error", () => { state.textContent = "The connection was lost; it is made again."; });
  }
}
