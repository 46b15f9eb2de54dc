// Enhancements only: every page works without this file.
"use strict";

// Typing filters the rows at once, where all of them are on this page. Choosing waits for the button, because arrow keys
// choose too.
const filters = document.querySelector("form.filters:has([data-count])");
if (filters && !document.querySelector("nav.pages")) {
  const rows = [...document.querySelectorAll("tr[data-text]")];
  const count = filters.querySelector("[data-count]");
  const ofAll = count.textContent.slice(count.textContent.indexOf(" of"));
  filters.elements.q.addEventListener("input", () => {
    const wanted = filters.elements.q.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.dataset.text.includes(wanted);
    count.textContent = rows.filter((row) => !row.hidden).length + ofAll;
  });
}

// A run's page follows its run, and loads itself again when the state changes. When the tab is hidden it waits.
const run = document.querySelector("[data-run-url]");
if (run) {
  const bar = run.querySelector("progress");
  const text = run.querySelector("[data-run-percent]");
  const follow = async () => {
    let pause = 2000;
    try {
      if (!document.hidden) {
        const answer = await fetch(run.dataset.runUrl, { headers: { Accept: "application/json" } });
        if (!answer.ok) throw new Error(String(answer.status));
        const facts = await answer.json();
        if (facts.state !== run.dataset.runState) return location.reload();
        if (bar) bar.value = facts.percent;
        if (text) text.textContent = `${facts.percent}%`;
      }
    } catch {
      pause = 10000; // the site may be away for a moment
    }
    setTimeout(follow, pause);
  };
  setTimeout(follow, 1000);
}
