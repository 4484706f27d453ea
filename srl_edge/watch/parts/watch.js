"use strict";
// The pages are made by the server; this asks for what is new, and moves between rollouts.

const EVERY = 1000, SOON = 150; // ms

function opened(within) {
  return new Map([...within.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));
}

async function ask(path) {
  const lost = document.getElementById("lost");
  try {
    const answer = await fetch(path, { cache: "no-store" });
    lost.hidden = answer.ok;
    return answer.ok ? answer : null;
  } catch {
    lost.hidden = false;
    return null;
  }
}

async function live() {
  const old = document.getElementById("live");
  let wait = EVERY;
  if (!document.hidden && !held()) {
    const answer = await ask("/live?edition=" + encodeURIComponent(old.dataset.edition));
    if (answer && answer.status === 200) {
      const made = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = made.getElementById("live");
      const before = opened(old), focused = document.activeElement?.closest("details[id]")?.id;
      for (const d of fresh.querySelectorAll("details[id]"))
        if (before.has(d.id)) d.open = before.get(d.id);
      old.replaceWith(fresh);
      if (focused) document.getElementById(focused)?.querySelector("summary")?.focus();
      if (fresh.dataset.soon) wait = SOON;
    }
  }
  setTimeout(live, wait);
}

// Text that is being marked is not replaced under the reader's hand.
function held() {
  const marked = document.getSelection();
  return marked && !marked.isCollapsed;
}

async function newer(found) {
  const link = document.getElementById("newer");
  if (!document.hidden) {
    const answer = await ask("/count?run=" + found.dataset.run);
    if (answer) {
      const more = Number(await answer.text()) - Number(found.dataset.count);
      link.hidden = more === 0;
      link.textContent = more > 0 ? "Show " + more + " newer" : "The run has begun anew: show it";
    }
  }
  setTimeout(newer, 2 * EVERY, found);
}

function rows() { return [...document.querySelectorAll("details.row")]; }

function move(by) {
  const all = rows(), at = all.indexOf(document.activeElement?.closest("details.row"));
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by];
  next?.querySelector("summary").focus();
}

function toggle(all) {
  const open = all.every((d) => d.open);
  for (const d of all) d.open = !open;
}

document.addEventListener("keydown", (event) => {
  const form = document.getElementById("find");
  if (!form || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, select, textarea");
  if (typing) {
    if (event.key === "Escape") typing.blur();
    return;
  }
  switch (event.key) {
    case "/": form.elements.q.focus(); form.elements.q.select(); break;
    case "j": move(1); break;
    case "k": move(-1); break;
    case "e": toggle(rows()); break;
    case "t": toggle([...document.querySelectorAll("details[id$='-thought']")]); break;
    case "n": document.querySelector("a[rel=next]")?.click(); break;
    case "p": document.querySelector("a[rel=prev]")?.click(); break;
    default: return;
  }
  event.preventDefault();
});

if (document.getElementById("live")) setTimeout(live, EVERY);
const found = document.getElementById("found");
if (found) {
  setTimeout(newer, EVERY, found);
  for (const select of document.querySelectorAll("#find select"))
    select.addEventListener("change", () => select.form.requestSubmit());
}
