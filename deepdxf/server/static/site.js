"use strict";
(() => {
  const announce = (text) => { document.getElementById("announce").textContent = text; };

  // --- forms that take a drawing, also one dropped anywhere on the page
  const forms = [...document.querySelectorAll("form[data-drop]")];
  const say = (form, text, wrong) => {
    const line = form.querySelector("[data-status]");
    line.textContent = text;
    line.classList.toggle("wrong", wrong);
  };
  const ready = (form) => {
    const file = form.querySelector("input[type=file]").files[0];
    const most = Number(form.dataset.maxBytes);
    if (!file) return false;
    if (file.size > most) {
      say(form, `${file.name} is larger than the ${Math.round(most / 2 ** 20)} MB that this server takes; ` +
        "a DXF compressed to .dxf.gz is a tenth of that.", true);
      return false;
    }
    say(form, `Reading ${file.name} …`, false);
    form.classList.add("busy");
    return true;
  };
  for (const form of forms) {
    form.addEventListener("submit", (event) => { if (!ready(form)) event.preventDefault(); });
    const choice = form.querySelector("input[type=file]");
    choice.addEventListener("change", () => { if (choice.files.length) say(form, choice.files[0].name, false); });
  }
  addEventListener("pageshow", () => forms.forEach((form) => form.classList.remove("busy")));
  if (forms.length) {
    const over = (on) => forms.forEach((form) => form.classList.toggle("over", on));
    addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
    addEventListener("drop", (event) => {
      event.preventDefault();
      over(false);
      if (!event.dataTransfer.files.length) return;
      const form = event.target.closest?.("form[data-drop]") || forms[0];
      form.querySelector("input[type=file]").files = event.dataTransfer.files;
      form.requestSubmit();
    });
  }

  // --- pictures that are made when they are looked at: the file may be gone
  document.addEventListener("error", (event) => {
    const instead = event.target.dataset?.instead;
    if (instead && !event.target.src.endsWith(instead)) event.target.src = instead;
  }, true);

  // --- on a narrow screen the list comes first
  if (matchMedia("(max-width: 50rem)").matches) {
    document.querySelectorAll("details.wide-open:not([data-set])").forEach((part) => { part.open = false; });
  }

  // --- parts of a page that were loaded anew
  document.addEventListener("htmx:afterSwap", (event) => {
    const told = document.querySelector("#results [data-announce]");
    if (event.detail.target.id === "results" && told) announce(told.dataset.announce);
  });
  // a server that is busy for a moment must not end what looks again and again how far a job is
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status >= 500 && event.detail.elt.matches("[hx-trigger^=every]")) event.detail.shouldSwap = false;
  });
  document.addEventListener("htmx:sendError", () => announce("The server cannot be reached."));

  // --- the picture of a drawing
  const view = document.getElementById("view");
  if (view) {
    let picture = null;
    const acts = { in: () => picture?.zoomIn(), out: () => picture?.zoomOut(),
      all: () => { picture?.resetZoom(); picture?.center(); } };
    view.addEventListener("htmx:afterSwap", () => {
      const svg = view.querySelector("svg");
      if (!svg) return;
      svg.style.overflow = "hidden"; // or the library writes a style attribute, which the page's policy forbids
      picture = svgPanZoom(svg, { fit: true, center: true, minZoom: 0.5, maxZoom: 200, zoomScaleSensitivity: 0.3 });
      addEventListener("resize", () => { picture.resize(); picture.fit(); picture.center(); });
    });
    document.querySelectorAll("[data-zoom]").forEach((button) =>
      button.addEventListener("click", () => acts[button.dataset.zoom]()));
    const step = 60;
    const keys = { "+": acts.in, "=": acts.in, "-": acts.out, "0": acts.all,
      ArrowLeft: () => picture?.panBy({ x: step, y: 0 }), ArrowRight: () => picture?.panBy({ x: -step, y: 0 }),
      ArrowUp: () => picture?.panBy({ x: 0, y: step }), ArrowDown: () => picture?.panBy({ x: 0, y: -step }) };
    view.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || !keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
  }
})();
