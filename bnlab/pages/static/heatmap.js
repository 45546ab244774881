"use strict";
// Histograms as columns over training: strength of colour is the root of the density, each column by its
// own highest bin. Without the root a spike, such as the zeros of ReLU, would leave the rest of a column blank.
(() => {
  function paint(ctx, px, py, x, y, histograms, colour) {
    ctx.fillStyle = colour;
    const places = histograms.steps.map((step) => x.at(step));
    places.forEach((place, k) => {
      const left = Math.round(px(k ? (places[k - 1] + place) / 2 : place));
      const right = Math.round(px(k + 1 < places.length ? (place + places[k + 1]) / 2 : place));
      column(ctx, left, Math.max(right, left + 2), py, y, bnlab.binned.bins(histograms, k, y));
    });
    ctx.globalAlpha = 1;
  }

  function column(ctx, left, right, py, y, bins) {
    for (const [from, to, height] of bins) {
      if (!height) continue;
      const top = Math.floor(py(y.at(to)));
      ctx.globalAlpha = Math.sqrt(height);
      ctx.fillRect(left, top, right - left, Math.max(1, Math.floor(py(y.at(from))) - top));
    }
  }

  bnlab.heatmap = { paint };
})();
