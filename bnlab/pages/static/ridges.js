"use strict";
// One distribution per record, the earliest at the top, each scaled to its own highest point.
(() => {
  const OVERLAP = 2.2; // height of a ridge in distances between two
  const MOST = 30;

  // The records shown of all panels, spread evenly in their order: rows that panels share.
  function rows(steps) {
    if (steps.length <= MOST) return steps;
    const places = [...Array(MOST)].map((_, k) => Math.round((k * (steps.length - 1)) / (MOST - 1)));
    return [...new Set(places)].map((k) => steps[k]);
  }

  function scale(shown) {
    const whole = shown.length - 1 + OVERLAP + 0.5;
    const at = (step) => (shown.length - 1 - bnlab.scales.latest(shown, step) + 0.3) / whole;
    const from = (place) => shown[Math.max(0, Math.min(shown.length - 1, Math.round(shown.length - 1 + 0.3 - place * whole)))];
    return { at, from, unit: OVERLAP / whole, ticks: shown.map((step) => [step, bnlab.format.grouped.format(step)]), label: "" };
  }

  function paint(ctx, px, py, x, y, shown, histograms, colour, ground) {
    for (const step of shown) {
      const record = histograms.steps.indexOf(step);
      if (record < 0) continue;
      const base = y.at(step);
      const bins = bnlab.binned.bins(histograms, record, x);
      const points = bins.map(([from, to, height]) => [px(x.at((from + to) / 2)), py(base + height * y.unit)]);
      const feet = [[px(x.at(bins[0][0])), py(base)], [px(x.at(bins[bins.length - 1][1])), py(base)]];
      trace(ctx, [feet[0], ...points, feet[1]]);
      ctx.fillStyle = ground;
      ctx.fill();
      ctx.globalAlpha = 0.4;
      ctx.fillStyle = colour;
      ctx.fill();
      ctx.globalAlpha = 1;
      ctx.strokeStyle = colour;
      ctx.lineWidth = 1;
      ctx.stroke();
    }
  }

  function trace(ctx, points) {
    ctx.beginPath();
    for (const [left, top] of points) ctx.lineTo(left, top);
  }

  bnlab.ridges = { rows, scale, paint };
})();
