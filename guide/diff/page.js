// Without it the page is whole: links, folds and the guide work; this adds the keys and the buttons.
(() => {
  const hunks = [...document.querySelectorAll(".hunk[data-changed]")];
  const folds = [...document.querySelectorAll("details.fold")];
  const unfold = document.getElementById("unfold");

  // The line at which a hunk that was jumped to comes to stand.
  const top = () => parseFloat(getComputedStyle(hunks[0]).scrollMarginTop) + 2;

  function go(step) {
    if (!hunks.length) return;
    const line = top();
    const places = hunks.map((hunk) => hunk.getBoundingClientRect().top - line);
    const next = step > 0 ? places.findIndex((y) => y > 4) : places.findLastIndex((y) => y < -4);
    const hunk = hunks[next];
    if (!hunk) return;
    history.replaceState(null, "", `#${hunk.id}`);
    hunk.scrollIntoView();
    hunk.tabIndex = -1;
    hunk.focus({ preventScroll: true });
  }

  function toggle() {
    const open = unfold.getAttribute("aria-pressed") !== "true";
    for (const fold of folds) fold.open = open;
    unfold.setAttribute("aria-pressed", String(open));
    unfold.textContent = open ? "Fold all" : "Unfold all";
  }

  document.getElementById("next").addEventListener("click", () => go(1));
  document.getElementById("previous").addEventListener("click", () => go(-1));
  unfold.addEventListener("click", toggle);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "n") go(1);
    if (event.key === "p") go(-1);
  });

  // A selection that begins in one app stays in it, so that what is copied is one file's text.
  document.addEventListener("mousedown", (event) => {
    const cell = event.target.closest?.(".pair td");
    if (cell) document.body.dataset.selecting = cell.cellIndex < 2 ? "left" : "right";
  });

  document.querySelector(".tools").hidden = false;
})();
