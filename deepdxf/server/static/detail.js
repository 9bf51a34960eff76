"use strict";
// A frame around a detail of the picture, by pointer and by keys; its corners, in drawing units, stand in the form.
(() => {
  const view = document.getElementById("view"), form = document.getElementById("detail");
  const button = document.querySelector("[data-select]"), help = document.getElementById("select-help");
  if (!view || !form || !button) return;
  const names = ["x0", "y0", "x1", "y1"];
  const SVG = "http://www.w3.org/2000/svg";
  let on = false, frame = null, from = null, at = null, layer = null, size = null;

  const announce = (text) => { document.getElementById("announce").textContent = text; };
  const field = (name) => form.elements[name];
  const digits = (value) => String(Number(value.toPrecision(7)));
  const toDrawing = ([x, y]) => [(x - at[0]) / at[2], (at[1] - y) / at[2]];
  const toPicture = ([x, y]) => [at[0] + x * at[2], at[1] - y * at[2]];

  // the picture's own coordinates of a place on the screen
  const picturePoint = (event) => {
    const svg = view.querySelector("svg");
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(layer.getScreenCTM().inverse());
    return [Math.max(0, Math.min(point.x, size[0])), Math.max(0, Math.min(point.y, size[1])), svg];
  };
  const draw = () => {
    layer.querySelector(".selection")?.remove();
    if (!frame) return;
    const rect = document.createElementNS(SVG, "rect");
    const [a, b, c, d] = [Math.min(frame[0], frame[2]), Math.min(frame[1], frame[3]),
      Math.abs(frame[2] - frame[0]), Math.abs(frame[3] - frame[1])];
    for (const [name, value] of Object.entries({ class: "selection", x: a, y: b, width: c, height: d })) {
      rect.setAttribute(name, value);
    }
    layer.append(rect);
  };
  const tell = () => {
    const [x0, y1] = toDrawing([Math.min(frame[0], frame[2]), Math.min(frame[1], frame[3])]);
    const [x1, y0] = toDrawing([Math.max(frame[0], frame[2]), Math.max(frame[1], frame[3])]);
    [x0, y0, x1, y1].forEach((value, i) => { field(names[i]).value = digits(value); });
  };
  const said = () => announce(`frame from ${field("x0").value}, ${field("y0").value} to ${field("x1").value}, ${field("y1").value}`);
  const set = (wanted) => { frame = wanted; draw(); tell(); };
  const typed = () => {
    const values = names.map((name) => Number.parseFloat(field(name).value.replace(",", ".")));
    frame = values.every(Number.isFinite)
      ? [...toPicture(values.slice(0, 2)), ...toPicture(values.slice(2))] : null;
    draw();
  };
  const turn = (wanted) => {
    on = wanted;
    button.setAttribute("aria-pressed", String(on));
    view.classList.toggle("selecting", on);
    help.hidden = !on;
    if (on) {
      if (!frame) set([0.3, 0.3, 0.7, 0.7].map((share, i) => share * size[i % 2]));
      view.focus({ preventScroll: true });
      said();
    }
  };

  view.addEventListener("htmx:afterSwap", () => {
    const drawn = view.querySelector("[data-at]");
    if (!drawn) return;
    at = drawn.dataset.at.split(" ").map(Number);
    // after the script of the picture has put its content into a group that it moves
    queueMicrotask(() => {
      layer = view.querySelector(".svg-pan-zoom_viewport");
      if (!layer) return;
      const sheet = layer.querySelector("rect");
      size = [Number(sheet.getAttribute("width")), Number(sheet.getAttribute("height"))];
      button.disabled = false;
      names.forEach((name) => field(name).addEventListener("input", typed));
      typed();
    });
  });
  button.addEventListener("click", () => turn(!on));

  // before the library that moves the picture
  view.addEventListener("pointerdown", (event) => {
    if (!on || event.button) return;
    from = picturePoint(event);
    view.setPointerCapture(event.pointerId);
    event.preventDefault();
    event.stopPropagation();
  }, true);
  view.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = picturePoint(event);
    if (Math.abs(to[0] - from[0]) > 1 && Math.abs(to[1] - from[1]) > 1) set([from[0], from[1], to[0], to[1]]);
  });
  addEventListener("pointerup", () => { if (from) { from = null; said(); } });
  for (const kind of ["mousedown", "touchstart"]) {
    view.addEventListener(kind, (event) => { if (on) { event.stopPropagation(); event.preventDefault(); view.focus({ preventScroll: true }); } }, true);
  }
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  view.addEventListener("keydown", (event) => {
    if (!on || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Escape") turn(false);
    else if (event.key === "Enter") form.requestSubmit();
    else if (steps[event.key]) {
      const [dx, dy] = steps[event.key].map((step) => step * Math.max(size[0], size[1]) / 50);
      set(frame.map((value, i) => (event.shiftKey && i < 2 ? value : value + (i % 2 ? dy : dx))));
      said();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
})();
