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

// The commit of a check belongs to the repository that was checked.
const checked = document.querySelector("form [name=checked]");
checked?.form.elements.repo.addEventListener("change", ({ target }) => {
  const [repo, commit] = checked.value.split("@");
  const { revision } = checked.form.elements;
  if (target.value.trim() !== repo && revision.value === commit) revision.value = "";
});

// The page of a run under way is asked for news by htmx; when the tab is hidden it waits.
document.body.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});
