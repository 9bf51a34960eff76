"use strict";
(() => {
  const groups = () => [...document.querySelectorAll("#review [data-group]")];
  let place = 0;
  const go = (to) => {
    const all = groups();
    if (!all.length) return;
    place = Math.max(0, Math.min(to, all.length - 1));
    all[place].focus({ preventScroll: true });
    all[place].scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("focusin", (event) => {
    const at = groups().indexOf(event.target.closest?.("[data-group]"));
    if (at >= 0) place = at;
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-all]")) {
      for (const group of groups()) group.querySelector("[name=group]").checked = event.target.checked;
    }
  });
  const verdicts = { s: "same", n: "not", i: "ignore", o: "open" };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input:not([type=checkbox]), select")) return;
    const current = groups()[place], inside = event.target.closest("[data-group]");
    if (event.key === "j" || event.key === "k") {
      go(inside ? place + (event.key === "j" ? 1 : -1) : place);
    } else if (verdicts[event.key] && current) {
      current.querySelector(`[data-verdict=${verdicts[event.key]}]`)?.click();
    } else if (event.key === "x" && current) {
      current.querySelector("[name=group]")?.click();
    } else if (event.key === "Enter" && event.target === current) {
      current.querySelector("[data-compare]")?.click();
    } else {
      return;
    }
    event.preventDefault();
  });
  // the next group takes the place of one that was decided about
  document.addEventListener("htmx:afterSettle", () => {
    const told = document.querySelector("#review [data-announce]");
    document.getElementById("announce").textContent = told ? told.dataset.announce : "";
    go(place);
  });
})();
