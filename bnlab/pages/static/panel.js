"use strict";
// A canvas with two axes, and two lines over it: where the slider stands and where the pointer is.
(() => {
  const { element } = bnlab.dom;
  const EDGE = { left: 52, right: 8, top: 6, bottom: 38 };
  const FONT = "12px system-ui, sans-serif";
  const GAP = 8; // between two labels of an axis

  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function make(height) {
    const canvas = element("canvas", { role: "img" });
    const marks = { chosen: element("div", { class: "mark", hidden: true }), pointed: element("div", { class: "mark pointed", hidden: true }) };
    const node = element("div", { class: "panel" }, canvas, marks.chosen, marks.pointed);
    const area = { width: 0, height: height - EDGE.top - EDGE.bottom };
    const px = (place) => EDGE.left + place * area.width;
    const py = (place) => EDGE.top + (1 - place) * area.height;

    // `x` and `y` are scales; `paint(ctx, px, py)` draws inside the axes.
    function draw(x, y, says, paint) {
      const width = Math.max(200, node.clientWidth);
      area.width = width - EDGE.left - EDGE.right;
      const ratio = devicePixelRatio;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
      canvas.setAttribute("aria-label", says);
      const ctx = canvas.getContext("2d");
      ctx.scale(ratio, ratio);
      grid(ctx, x, y);
      ctx.save();
      ctx.beginPath();
      ctx.rect(EDGE.left, EDGE.top, area.width, area.height);
      ctx.clip();
      paint(ctx, px, py);
      ctx.restore();
      labels(ctx, x, y);
    }

    function grid(ctx, x, y) {
      ctx.fillStyle = variable("--chart-grid");
      for (const [value] of x.ticks) ctx.fillRect(Math.round(px(x.at(value))), EDGE.top, 1, area.height);
      for (const [value] of y.ticks) ctx.fillRect(EDGE.left, Math.round(py(y.at(value))), area.width, 1);
    }

    function labels(ctx, x, y) {
      ctx.font = FONT;
      ctx.fillStyle = variable("--dim");
      ctx.textAlign = "center";
      let free = 0;
      for (const [value, text] of x.ticks) {
        const half = ctx.measureText(text).width / 2;
        const at = Math.min(px(x.at(value)), px(1) + EDGE.right - half);
        if (at - half < free) continue;
        ctx.fillText(text, at, py(0) + 15);
        free = at + half + GAP;
      }
      ctx.fillText(x.label, px(0.5), py(0) + 32);
      ctx.textAlign = "right";
      let above = Infinity;
      const rising = y.ticks.map(([value, text]) => [y.at(value), text]).sort((a, b) => a[0] - b[0]);
      for (const [place, text] of rising) {
        const at = py(place) + 4;
        if (above - at < 13) continue;
        ctx.fillText(text, EDGE.left - 6, at);
        above = at;
      }
    }

    // A line at a place of an axis, "x" or "y"; none for a null.
    function mark(name, axis, place) {
      const line = marks[name];
      line.hidden = place === null || place < -0.001 || place > 1.001;
      if (line.hidden) return;
      const [left, top, width, tall] = axis === "x" ? [px(place), EDGE.top, 1, area.height] : [EDGE.left, py(place), area.width, 1];
      Object.assign(line.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${tall}px` });
    }

    // Places of the pointer on both axes, null when it leaves; `pressed` for a click.
    function listen(told) {
      const places = (event) => {
        const box = canvas.getBoundingClientRect();
        const x = (event.clientX - box.left - EDGE.left) / area.width;
        const y = 1 - (event.clientY - box.top - EDGE.top) / area.height;
        return x >= 0 && x <= 1 && y >= 0 && y <= 1 ? { x, y } : null;
      };
      canvas.addEventListener("pointermove", (event) => told(places(event), false));
      canvas.addEventListener("pointerleave", () => told(null, false));
      canvas.addEventListener("click", (event) => places(event) && told(places(event), true));
    }

    return { node, draw, mark, listen };
  }

  bnlab.panel = { make };
})();
