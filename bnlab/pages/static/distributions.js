"use strict";
// Distributions over training of several runs, side by side on axes that all share, with one cursor and one step.
(() => {
  const { element } = bnlab.dom;
  const { address, binned, controls, format, looks, panel, scales } = bnlab;
  const VIEWS = [["bands", "bands of equal weight"], ["ridges", "ridges"], ["heat", "heat map"]];
  const HEIGHTS = { bands: 250, ridges: 430, heat: 250, step: 220 };

  const ground = () => getComputedStyle(document.documentElement).getPropertyValue("--ground").trim();
  const ask = () => bnlab.live.now();

  function make(parent) {
    const state = { data: null, panels: new Map(), pointed: null };
    const draw = () => drawAll(state);
    state.stepper = bnlab.stepper.make(() => stepMoved(state));
    state.choices = {
      view: controls.choice("view", "Shown as", [], draw),
      quantity: controls.choice("quantity", "Quantity", [], ask),
      layer: controls.choice("layer", "Layer", [], ask),
      seed: controls.choice("seed", "Seed", [], ask),
    };
    state.wide = controls.tick("wide", "asinh axis", draw);
    state.chips = element("div", { class: "badges" });
    state.grid = element("div", { class: "panels" });
    state.step = panel.make(HEIGHTS.step);
    state.told = element("tbody");
    const heads = ["", "record", "median", "middle 90 %", "from", "to"].map((text) => element("th", { scope: "col" }, text));
    const table = element("table", { class: "told-step", "aria-live": "polite" }, element("caption", { class: "hidden" }, "distributions at the step"), element("thead", {}, element("tr", {}, heads)), state.told);
    const bar = element("div", { class: "controls" }, Object.values(state.choices).map((one) => one.node), state.wide.node);
    state.about = element("p", { class: "dim" });
    const note = element("p", { class: "dim" }, "Histograms at the step, each scaled to its own highest point. The numbers are read from their 64 bins.");
    state.atStep = element("div", { class: "at-step" }, state.stepper.node, note, state.step.node, element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "distributions at the step" }, table));
    parent.replaceChildren(element("h2", {}, "Distributions over training"), bar, state.chips, state.about, state.grid, state.atStep);
    new ResizeObserver(() => state.data && draw()).observe(parent);
    document.addEventListener("bnlab:theme", () => state.data && draw());
    linkCharts(state);
    return (data) => {
      state.data = data;
      offer(state);
      draw();
    };
  }

  function offer(state) {
    const { data, choices } = state;
    const quantity = data.quantities.find((one) => one.name === data.quantity);
    const offered = {
      view: [VIEWS, view(data)],
      quantity: [data.quantities.map((one) => [one.name, one.says]), data.quantity],
      layer: [quantity.layers.map((one) => [one, one]), data.layer],
      seed: [data.seeds.map((one) => [String(one), String(one)]), String(data.seed)],
    };
    for (const [name, [list, chosen]] of Object.entries(offered)) {
      const shape = JSON.stringify([list, chosen]);
      if (choices[name].shape !== shape) choices[name].offer(list, chosen);
      choices[name].shape = shape;
    }
    choices.seed.node.hidden = data.seeds.length < 2;
    state.stepper.offer(stepsOf(data.panels.map((one) => one.histograms || one.bands)));
  }

  const stepsOf = (records) => [...new Set(records.flatMap((one) => (one ? one.steps : [])))].sort((a, b) => a - b);

  // What was chosen, or the first way of showing for which something was recorded.
  function view(data) {
    const asked = address.selection().get("view");
    const known = VIEWS.map(([name]) => name);
    if (known.includes(asked)) return asked;
    return data.panels.some((one) => one.bands) ? "bands" : "ridges";
  }

  function shown(data) {
    const without = address.selection().getAll("without");
    const styles = looks.ofLines(data.panels);
    const all = data.panels.map((one, i) => ({ ...one, style: styles[i], name: looks.labelOf(one, data.panels) }));
    return all.map((one) => ({ ...one, out: without.includes(one.label) }));
  }

  function drawAll(state) {
    const { data } = state;
    const all = shown(data);
    state.look = view(data);
    state.shown = all.filter((one) => !one.out);
    state.axes = axes(state);
    state.chips.replaceChildren(...all.map((one) => chip(one, () => drawAll(state))));
    state.about.textContent = about(state);
    arrange(state);
    for (const one of state.shown) drawPanel(state, one);
    stepMoved(state);
  }

  function chip(one, changed) {
    const turn = () => {
      const others = address.selection().getAll("without").filter((label) => label !== one.label);
      address.select({ without: one.out ? others : [...others, one.label] });
      changed();
    };
    return element("button", { type: "button", class: "legend", "aria-pressed": String(!one.out), onclick: turn }, looks.swatch(one.style), one.name);
  }

  // One pair of axes for all panels, those that are left out too: they stay when a variant comes or goes.
  function axes({ data, look }) {
    const wide = address.selection().has("wide");
    const records = data.panels.map((one) => (look === "bands" ? one.bands : one.histograms));
    const steps = stepsOf(records);
    const says = data.quantities.find((one) => one.name === data.quantity).says;
    const value = scales.values(look === "bands" ? data.limits.bands : data.limits.histograms, wide, says);
    const step = scales.steps(steps[0] ?? 0, steps[steps.length - 1] ?? 1);
    const rows = bnlab.ridges.rows(steps);
    return { value, step, rows, ridge: bnlab.ridges.scale(rows), at: scales.values(data.limits.histograms, wide, says) };
  }

  function about({ data, look }) {
    const whose = `One run each${data.seeds.length > 1 ? `, of ${data.seeds.length} seeds the one chosen above` : ""}; panels share their axes.`;
    const eight = data.quantiles.length === 8;
    return {
      bands: `${whose} ${eight ? "Seven bands of equal weight, from the minimum to the maximum" : "Percentiles 15, 50 and 85"}.`,
      ridges: `${whose} One ridge per step on record, the earliest at the top, each scaled to its own highest point.`,
      heat: `${whose} One column per step on record; strength of colour is the root of the density, each column by its own highest bin.`,
    }[look];
  }

  // A frame for each panel that is shown, kept while it is.
  function arrange(state) {
    const kept = new Map();
    for (const one of state.shown) {
      const key = `${state.look} ${one.label}`;
      kept.set(key, state.panels.get(key) || frame(state, one.label));
    }
    state.panels = kept;
    const nodes = [...kept.values()].map((one) => one.node);
    const same = nodes.length === state.grid.childNodes.length && nodes.every((node, i) => node === state.grid.childNodes[i]);
    if (!same) state.grid.replaceChildren(...nodes);
  }

  function frame(state, label) {
    const made = panel.make(HEIGHTS[state.look]);
    const head = element("figcaption");
    const told = element("p", { class: "told dim" });
    made.listen((places, pressed) => {
      const step = places && Math.round(state.look === "ridges" ? state.axes.ridge.from(places.y) : state.axes.step.from(places.x));
      if (pressed) state.stepper.go(step);
      else point(state, step, true);
    });
    return { node: element("figure", { class: "chart", "data-panel": label }, head, made.node, told), made, head, told };
  }

  function drawPanel(state, one) {
    const { look, axes: { value, step, rows, ridge } } = state;
    const { made, head } = state.panels.get(`${look} ${one.label}`);
    const records = look === "bands" ? one.bands : one.histograms;
    const colour = looks.onGround(one.style.colour);
    const name = one.diverged === null ? seeded(one) : `${seeded(one)}, diverged at step ${format.grouped.format(one.diverged)}`;
    head.replaceChildren(looks.swatch(one.style), ` ${name}`);
    const says = `${name}: ${value.label} over training`;
    if (look === "ridges") made.draw(value, ridge, says, (ctx, px, py) => records && bnlab.ridges.paint(ctx, px, py, value, ridge, rows, records, colour, ground()));
    else made.draw(step, value, says, (ctx, px, py) => records && bnlab[look === "bands" ? "bands" : "heatmap"].paint(ctx, px, py, step, value, records, colour));
  }

  // The name of a panel says whose distributions it shows, unless a comparison told the seeds apart already.
  function seeded({ name, seed }) {
    return seed === null || /\bseed \d+$/.test(name) ? name : `${name}, seed ${seed}`;
  }

  // The pointer is at a step of some panel or chart (null: it left); a line in every other shows the same step.
  function point(state, step, own) {
    state.pointed = step;
    for (const one of state.shown) {
      const { made, told } = state.panels.get(`${state.look} ${one.label}`);
      lines(state, made);
      told.textContent = reading(state, one, step ?? state.stepper.current());
    }
    if (own) pointCharts(step);
  }

  function lines({ look, axes: { step, ridge }, stepper, pointed }, made) {
    const place = (at) => (at === null ? null : look === "ridges" ? ridge.at(at) : step.at(at));
    made.mark("chosen", look === "ridges" ? "y" : "x", place(stepper.current()));
    made.mark("pointed", look === "ridges" ? "y" : "x", place(pointed));
  }

  function reading({ data, look }, one, step) {
    const records = look === "bands" ? one.bands : one.histograms;
    const k = records ? scales.latest(records.steps, step) : -1;
    if (!records) return one.run ? "Not recorded." : `No run with seed ${data.seed}.`;
    if (k < 0) return "Nothing is recorded by then.";
    const said = look === "bands" ? data.quantiles.map((name, row) => `${name} ${format.short(records.values[row][k] ?? NaN)}`).join(", ") : summary(records, k).join(", ");
    return `step ${format.grouped.format(records.steps[k])}: ${said}`;
  }

  function summary(histograms, k) {
    const [low, middle, high] = [0.05, 0.5, 0.95].map((share) => format.short(binned.quantile(histograms, k, share)));
    return [`median ${middle}`, `middle 90 % ${low} to ${high}`];
  }

  // The histogram of every panel at the slider's step, on one pair of axes, and its numbers as text.
  function stepMoved(state) {
    const at = state.stepper.current();
    const found = state.shown.filter((one) => one.histograms).map((one) => ({ ...one, k: scales.latest(one.histograms.steps, at) }));
    const known = found.filter((one) => one.k >= 0);
    const share = { at: (v) => v / 1.05, ticks: [], label: "" };
    state.step.node.hidden = !known.length;
    if (known.length) state.step.draw(state.axes.at, share, `histograms at step ${at}`, (ctx, px, py) => known.forEach((one) => outline(ctx, px, py, state.axes.at, share, one)));
    bnlab.dom.keep(state.told, known.map((one) => [one.label, [one.name, one.histograms.steps[one.k], numbersAt(one)]]), (item) => row(item, known));
    point(state, state.pointed, false);
  }

  function outline(ctx, px, py, x, y, one) {
    ctx.strokeStyle = looks.onGround(one.style.colour);
    ctx.lineWidth = 2;
    ctx.setLineDash(one.style.dash.map((part) => 2 * part));
    ctx.beginPath();
    const bins = binned.bins(one.histograms, one.k, x);
    ctx.moveTo(px(x.at(bins[0][0])), py(0));
    for (const [from, to, height] of bins) {
      ctx.lineTo(px(x.at(from)), py(y.at(height)));
      ctx.lineTo(px(x.at(to)), py(y.at(height)));
    }
    ctx.lineTo(px(x.at(bins[bins.length - 1][1])), py(0));
    ctx.stroke();
    ctx.setLineDash([]);
  }

  function numbersAt({ histograms, k }) {
    const [low, middle, high] = [0.05, 0.5, 0.95].map((share) => format.short(binned.quantile(histograms, k, share)));
    return [middle, `${low} to ${high}`, format.short(histograms.lo[k]), format.short(histograms.hi[k])];
  }

  function row([name, step, numbers], known) {
    const one = known.find((other) => other.name === name);
    const head = element("th", { scope: "row" }, looks.swatch(one.style), ` ${name}`);
    return element("tr", {}, head, [format.grouped.format(step), ...numbers].map((text) => element("td", {}, text)));
  }

  // Curves of the page share the cursor, both ways.
  function linkCharts(state) {
    const pub = (kind, chart, left) => {
      if (kind === "mousemove") point(state, left < 0 ? null : Math.max(0, Math.round(chart.posToVal(left, "x"))), false);
    };
    uPlot.sync("step").sub({ pub });
  }

  function pointCharts(step) {
    for (const chart of uPlot.sync("step").plots) {
      if (chart.setCursor) chart.setCursor({ left: step === null ? -10 : chart.valToPos(step, "x"), top: 0 }, true, false);
    }
  }

  function show(parent, data) {
    parent.hidden = !data || !data.panels;
    if (parent.hidden) return;
    parent.bnlabShow ||= make(parent);
    parent.bnlabShow(data);
  }

  bnlab.distributions = { show };
})();
