"use strict";
(() => {
  const box = document.querySelector("[data-map]");
  if (!box) return;
  const canvas = box.querySelector("canvas"), pen = canvas.getContext("2d"), tip = box.querySelector(".tip");
  const announce = (text) => { document.getElementById("announce").textContent = text; };
  let points = [], chosen = -1, scale = 1, shift = [0, 0]; // place on the canvas = (map * side * scale) + shift

  const size = () => [canvas.clientWidth, canvas.clientHeight];
  const place = (p) => {
    const [w, h] = size(), pad = 24;
    return [pad + p.x * (w - 2 * pad), h - pad - p.y * (h - 2 * pad)].map((v, i) => v * scale + shift[i]);
  };
  const draw = () => {
    const [w, h] = size(), ratio = devicePixelRatio || 1, style = getComputedStyle(document.documentElement);
    if (canvas.width !== Math.round(w * ratio)) canvas.width = Math.round(w * ratio);
    if (canvas.height !== Math.round(h * ratio)) canvas.height = Math.round(h * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, w, h);
    pen.fillStyle = style.getPropertyValue("--accent");
    pen.globalAlpha = points.length > 2000 ? 0.5 : 0.7;
    const radius = points.length > 2000 ? 2.5 : 4;
    for (const p of points) {
      const [x, y] = place(p);
      if (x < -9 || y < -9 || x > w + 9 || y > h + 9) continue;
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.fill();
    }
    pen.globalAlpha = 1;
    if (chosen >= 0) {
      const [x, y] = place(points[chosen]);
      pen.strokeStyle = style.getPropertyValue("--ink");
      pen.lineWidth = 2.5;
      pen.beginPath();
      pen.arc(x, y, radius + 4, 0, 7);
      pen.stroke();
    }
  };
  const choose = (index, told) => {
    if (index === chosen) return;
    chosen = index;
    tip.hidden = index < 0;
    if (index >= 0) {
      const p = points[index], [x, y] = place(p), [w, h] = size(), name = p.path.split("/").pop();
      tip.querySelector("img").src = `/drawings/${p.id}/thumbnail.png`;
      tip.querySelector("span").textContent = name;
      tip.style.transform = `translate(${x > w - 190 ? x - 178 : x + 14}px, ${Math.max(4, Math.min(y - 90, h - 215))}px)`;
      if (told) announce(name);
    }
    draw();
  };
  const nearest = (x, y, most) => {
    let best = -1, least = most * most;
    points.forEach((p, i) => {
      const [u, v] = place(p), d = (u - x) ** 2 + (v - y) ** 2;
      if (d < least) [best, least] = [i, d];
    });
    return best;
  };
  const zoom = (factor, x, y) => {
    const next = Math.min(Math.max(scale * factor, 1), 400);
    shift = [x - (x - shift[0]) * next / scale, y - (y - shift[1]) * next / scale];
    if (next === 1) shift = [0, 0];
    scale = next;
    const kept = chosen;
    chosen = -1;
    choose(kept, false);
    draw();
  };
  const middle = () => (chosen >= 0 ? place(points[chosen]) : size().map((v) => v / 2));
  const acts = { in: () => zoom(1.5, ...middle()), out: () => zoom(1 / 1.5, ...middle()), all: () => zoom(0, 0, 0) };
  const open = () => { if (chosen >= 0) location.href = `/drawings/${points[chosen].id}`; };
  const towards = (dx, dy) => {
    if (chosen < 0) { choose(nearest(...size().map((v) => v / 2), Infinity), true); return; }
    const [x, y] = place(points[chosen]);
    let best = -1, least = Infinity;
    points.forEach((p, i) => {
      const [u, v] = place(p), along = (u - x) * dx + (v - y) * dy, across = Math.abs((u - x) * dy) + Math.abs((v - y) * dx);
      const cost = along + 2 * across;
      if (along > 0.5 && cost < least) [best, least] = [i, cost];
    });
    if (best < 0) return;
    choose(best, true);
    const [u, v] = place(points[best]), [w, h] = size();
    if (u < 0 || v < 0 || u > w || v > h) { shift = [shift[0] + w / 2 - u, shift[1] + h / 2 - v]; zoom(1, 0, 0); }
  };

  let grip = null, moved = false;
  const at = (event) => { const r = canvas.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
  canvas.addEventListener("pointerdown", (event) => { grip = at(event); moved = false; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    const here = at(event);
    if (!grip) { choose(nearest(...here, 14), false); return; }
    if (!moved && Math.hypot(here[0] - grip[0], here[1] - grip[1]) < 5) return;
    moved = true;
    shift = [shift[0] + here[0] - grip[0], shift[1] + here[1] - grip[1]];
    grip = here;
    choose(-1, false);
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    const tapped = !moved && nearest(...at(event), 18);
    grip = null;
    if (moved || tapped < 0) return;
    if (tapped === chosen || event.pointerType === "mouse") { choose(tapped, false); open(); } else choose(tapped, true);
  });
  canvas.addEventListener("pointerleave", () => { if (!grip) choose(-1, false); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-Math.sign(event.deltaY) * 0.25), ...at(event));
  }, { passive: false });
  const keys = { ArrowLeft: () => towards(-1, 0), ArrowRight: () => towards(1, 0), ArrowUp: () => towards(0, -1),
    ArrowDown: () => towards(0, 1), Enter: open, "+": acts.in, "=": acts.in, "-": acts.out, "0": acts.all };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  box.querySelectorAll("[data-map-zoom]").forEach((button) =>
    button.addEventListener("click", () => acts[button.dataset.mapZoom]()));
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  const line = box.querySelector(".loading");
  fetch(box.dataset.map).then((answer) => (answer.ok ? answer.json() : Promise.reject(answer.status))).then((document) => {
    points = document.points;
    line.hidden = points.length > 0;
    line.textContent = points.length ? "" : "No drawing of the archive has anything drawn in it.";
    draw();
    canvas.dataset.ready = points.length;
  }).catch(() => { line.textContent = "The map cannot be loaded; reload the page to try again."; });
})();
