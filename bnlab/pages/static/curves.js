"use strict";
// The charts of a page with the choice of what they show: metrics, and whether the scale is logarithmic.
(() => {
  const { element } = bnlab.dom;
  const { address, charts, controls } = bnlab;

  function make(parent) {
    const grid = element("div", { class: "charts" });
    const bar = element("div", { class: "controls" });
    const chips = element("div", { class: "badges" });
    const empty = element("p", { class: "dim" });
    parent.replaceChildren(bar, chips, empty, grid);
    const made = new Map();
    let data = null;

    const add = controls.choice("add", "Add a metric", [], () => {
      const metric = address.selection().get("add");
      address.select({ add: "", metric: [...data.chosen, metric] });
      bnlab.live.now();
    });
    const log = controls.tick("log", "logarithmic", () => draw());
    bar.append(add.node, log.node);

    function chip(metric) {
      const drop = () => {
        address.select({ metric: data.chosen.filter((one) => one !== metric) });
        bnlab.live.now();
      };
      return element("button", { type: "button", class: "chip", onclick: drop, "aria-label": `remove ${metric}` }, `${metric} ×`);
    }

    function draw() {
      const filled = data.charts.filter((one) => one.lines.length);
      empty.textContent = filled.length ? "" : "Nothing is recorded over training that these charts show at first; add a metric.";
      if (!data.metrics.length) empty.textContent = "Nothing has been recorded yet.";
      for (const metric of [...made.keys()]) {
        if (!filled.some((one) => one.metric === metric)) {
          made.get(metric).node.remove();
          made.delete(metric);
        }
      }
      for (const one of filled) {
        if (!made.has(one.metric)) {
          made.set(one.metric, charts.make(one.metric));
          grid.append(made.get(one.metric).node);
        }
        made.get(one.metric).show(one, address.selection().has("log"));
      }
    }

    return {
      show(found) {
        data = found;
        const others = data.metrics.filter((metric) => !data.chosen.includes(metric));
        add.offer([["", "choose …"], ...others.map((metric) => [metric, metric])]);
        chips.replaceChildren(...data.chosen.map(chip));
        draw();
      },
    };
  }

  bnlab.curves = { make };
})();
