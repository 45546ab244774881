"use strict";
// Moments, internal covariate shift and landscape: one family at a time, of one layer.
(() => {
  const { element } = bnlab.dom;
  const { charts, controls } = bnlab;
  const TITLES = { moments: "moments", ics: "internal covariate shift", landscape: "loss landscape" };

  function make(parent) {
    const ask = () => bnlab.live.now();
    const family = controls.choice("family", "Family", [], ask);
    const layer = controls.choice("at", "Layer", [], ask);
    const log = controls.tick("familylog", "logarithmic", () => draw());
    const about = element("p", { class: "dim" });
    const grid = element("div", { class: "charts" });
    const made = new Map();
    let data = null;
    parent.replaceChildren(element("h2", {}, "Moments, shift and landscape"), element("div", { class: "controls" }, family.node, layer.node, log.node), about, grid);

    function draw() {
      const filled = data.charts.filter((one) => one.lines.length);
      for (const metric of [...made.keys()]) {
        if (filled.some((one) => one.metric === metric)) continue;
        made.get(metric).node.remove();
        made.delete(metric);
      }
      for (const one of filled) {
        if (!made.has(one.metric)) made.set(one.metric, charts.make(one.metric));
        if (!made.get(one.metric).node.isConnected) grid.append(made.get(one.metric).node);
        made.get(one.metric).show(one, bnlab.address.selection().has("familylog"));
      }
    }

    return (found) => {
      data = found;
      family.offer(data.families.map((name) => [name, TITLES[name]]), data.family);
      layer.offer(data.layers.map((name) => [name, name]), data.layer);
      layer.node.hidden = !data.layers.length;
      about.textContent = data.family === "landscape" ? "Ranges reach from the smallest to the largest value over the lengths of the step; the line is their middle." : "";
      draw();
    };
  }

  function show(parent, data) {
    parent.hidden = !data || !data.families;
    if (parent.hidden) return;
    parent.bnlabShow ||= make(parent);
    parent.bnlabShow(data);
  }

  bnlab.families = { show };
})();
