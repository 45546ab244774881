"use strict";
// Curves over training: lines with bands, dashes and markers, one cursor for all charts of a page.
(() => {
  const { element } = bnlab.dom;
  const { format, looks } = bnlab;
  const HEIGHT = 260;
  const MARKERS = 7;
  const WHOLE = [...Array(10)].flatMap((_, power) => [1, 2, 5].map((k) => k * 10 ** power)); // distances of ticks
  const FONT = "12px system-ui, sans-serif";

  // Lines on the union of their steps, as uPlot wants them: x, then for each line value, high, low.
  function aligned(lines, log) {
    const steps = [...new Set(lines.flatMap((line) => line.steps))].sort((a, b) => a - b);
    const place = new Map(steps.map((step, i) => [step, i]));
    const spread = (line, values) => {
      const all = new Array(steps.length).fill(undefined);
      line.steps.forEach((step, i) => {
        const value = values ? values[i] : null;
        all[place.get(step)] = log && !(value > 0) ? null : value;
      });
      return all;
    };
    return [steps, ...lines.flatMap((line) => [spread(line, line.values), spread(line, line.high), spread(line, line.low)])];
  }

  function variable(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function translucent(colour) {
    return colour.replace(")", " / 0.16)");
  }

  function axis(extra) {
    const grid = { stroke: variable("--chart-grid"), width: 1 };
    return { stroke: variable("--dim"), grid, ticks: grid, font: FONT, ...extra };
  }

  function thousands(values) {
    return values.map((v) => (v === null ? "" : Math.abs(v) >= 1000 ? `${format.short(v / 1000)}k` : format.short(v)));
  }

  function seriesOf(line, look) {
    const colour = looks.onGround(look.colour);
    const shared = { spanGaps: true, points: { show: false } };
    const edge = { ...shared, stroke: "transparent", width: 0 };
    return [{ ...shared, label: line.label, stroke: colour, width: 2, dash: look.dash.map((d) => 2 * d) }, edge, { ...edge }];
  }

  // A few markers per line, and a cross where a run diverged.
  function marker(chart, lines, styles) {
    const { ctx } = chart;
    const ratio = devicePixelRatio;
    lines.forEach((line, i) => {
      if (!chart.series[1 + 3 * i].show) return;
      ctx.fillStyle = ctx.strokeStyle = looks.onGround(styles[i].colour);
      const known = line.steps.map((step, k) => [step, line.values[k]]).filter(([, v]) => Number.isFinite(v));
      const stride = Math.max(1, Math.floor(known.length / MARKERS));
      const at = (step, value) => [chart.valToPos(step, "x", true), chart.valToPos(value, "y", true)];
      const inside = (x) => x >= chart.bbox.left - 1 && x <= chart.bbox.left + chart.bbox.width + 1;
      for (let k = 0; k < known.length; k += stride) {
        const [x, y] = at(...known[k]);
        if (!inside(x) || !Number.isFinite(y)) continue;
        ctx.beginPath();
        for (const [dx, dy] of looks.SHAPES[styles[i].marker]) ctx.lineTo(x + 3.6 * ratio * dx, y + 3.6 * ratio * dy);
        ctx.fill();
      }
      for (const step of line.diverged || []) {
        const last = known.filter(([s]) => s <= step).pop();
        if (!last) continue;
        const [x, y] = at(step, last[1]);
        if (!inside(x)) continue;
        ctx.lineWidth = 2 * ratio;
        ctx.beginPath();
        for (const way of [1, -1]) {
          ctx.moveTo(x - 5 * ratio, y - 5 * ratio * way);
          ctx.lineTo(x + 5 * ratio, y + 5 * ratio * way);
        }
        ctx.stroke();
      }
    });
  }

  function reading(chart, lines, names) {
    const at = chart.cursor.idx;
    if (at === null || at === undefined) return "";
    const told = lines.map((line, i) => {
      const k = nearest(line.steps, chart.data[0][at]);
      if (k < 0 || !chart.series[1 + 3 * i].show || !Number.isFinite(line.values[k])) return "";
      const limits = line.low && Number.isFinite(line.low[k]) ? ` [${format.short(line.low[k])}, ${format.short(line.high[k])}]` : "";
      return `${names[i]} ${format.short(line.values[k])}${limits}${line.n ? ` n ${line.n[k]}` : ""}`;
    });
    return `step ${format.grouped.format(chart.data[0][at])}: ${told.filter(Boolean).join("; ")}`;
  }

  // The last record at or before a step.
  function nearest(steps, step) {
    let low = 0;
    let high = steps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle] <= step) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  // The usual range of an axis, but never beyond what the metric can be: an interval of a share may leave 0 to 1.
  function rangeOf({ limits, log }) {
    return (chart, low, high) => {
      if (low === null || high === null) return [null, null];
      const [from, to] = log ? uPlot.rangeLog(low, high, 10, true) : uPlot.rangeNum(low, high, 0.1, true);
      const [least, most] = limits || [null, null];
      return [log || least === null ? from : Math.max(from, least), most === null ? to : Math.min(to, most)];
    };
  }

  function options(state, width) {
    const { lines, styles, names, log } = state;
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { sync: { key: "step" }, y: false, points: { show: true, size: 7 }, focus: { prox: 16 } },
      focus: { alpha: 0.35 },
      scales: { x: { time: false }, y: { distr: log ? 3 : 1, range: rangeOf(state) } },
      axes: [
        axis({ size: 30, gap: 4, incrs: WHOLE, values: (_, values) => thousands(values), label: "training step", labelSize: 16, labelGap: 0, labelFont: FONT }),
        axis({ size: 58, values: (_, values) => values.map((v) => (v === null ? "" : format.short(v))) }),
      ],
      series: [{}, ...lines.flatMap((line, i) => seriesOf(line, styles[i]))],
      bands: lines.map((_, i) => ({ series: [2 + 3 * i, 3 + 3 * i], fill: translucent(looks.onGround(styles[i].colour)) })),
      hooks: {
        draw: [(chart) => marker(chart, lines, styles)],
        setCursor: [(chart) => (state.told.textContent = reading(chart, lines, names))],
      },
    };
  }

  function legend(state) {
    return state.lines.map((line, i) => {
      const turn = () => {
        state.hidden.has(line.label) ? state.hidden.delete(line.label) : state.hidden.add(line.label);
        state.redraw();
      };
      const runs = line.runs > 1 ? element("span", { class: "dim" }, ` n ${line.runs}`) : "";
      const lost = line.diverged && line.diverged.length ? element("span", { class: "dim" }, ` ${line.diverged.length} diverged`) : "";
      const shown = !state.hidden.has(line.label);
      return element("button", { type: "button", class: "legend", "aria-pressed": String(shown), onclick: turn }, looks.swatch(state.styles[i]), state.names[i], runs, lost);
    });
  }

  function warning({ of, says }, { lines, names }) {
    return `${of.map((label) => names[lines.findIndex((line) => line.label === label)]).join(", ")}: ${says}.`;
  }

  // One chart; `show` puts other data into it, keeping zoom and hidden lines.
  function make(metric) {
    const place = element("div", { class: "plot" });
    const told = element("p", { class: "told dim", "aria-live": "off" });
    const caveat = element("p", { class: "caveat" });
    const keys = element("div", { class: "legends" });
    const node = element("figure", { class: "chart", "data-metric": metric }, element("figcaption", {}, metric), keys, place, caveat, told);
    const state = { told, hidden: new Set(), lines: [], log: false };
    let chart = null;

    state.redraw = () => {
      const zoom = chart && chart.bnlabZoomed ? { ...chart.scales.x } : null;
      if (chart) chart.destroy();
      keys.replaceChildren(...legend(state));
      chart = new uPlot(options(state, Math.max(240, place.clientWidth)), aligned(state.lines, state.log), place);
      state.lines.forEach((line, i) => state.hidden.has(line.label) && [1, 2, 3].forEach((k) => chart.setSeries(3 * i + k, { show: false })));
      if (zoom) chart.setScale("x", { min: zoom.min, max: zoom.max });
      place.bnlabChart = chart;
    };

    function show(spec, log) {
      const shape = JSON.stringify([spec.lines.map((line) => [line.label, line.look, line.runs, line.diverged]), spec.limits, log]);
      state.lines = spec.lines;
      state.limits = spec.limits;
      state.log = log;
      state.styles = looks.ofLines(spec.lines);
      state.names = spec.lines.map((line) => looks.labelOf(line, spec.lines));
      caveat.textContent = spec.caveat ? warning(spec.caveat, state) : "";
      if (chart && state.shape === shape) chart.setData(aligned(state.lines, log), true);
      else if (node.isConnected) state.redraw();
      if (chart) chart.bnlabSpec = spec;
      state.shape = shape;
    }

    new ResizeObserver(() => chart && place.clientWidth && chart.setSize({ width: Math.max(240, place.clientWidth), height: HEIGHT })).observe(place);
    document.addEventListener("bnlab:theme", () => chart && state.redraw());
    return { node, show };
  }

  bnlab.charts = { make };
})();
