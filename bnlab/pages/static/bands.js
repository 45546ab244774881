"use strict";
// Where equal shares of a distribution lie, over training: nested bands that add up towards the median.
(() => {
  const OPACITY = 0.24;

  function paint(ctx, px, py, x, y, bands, colour) {
    ctx.fillStyle = ctx.strokeStyle = colour;
    for (const [from, to] of stretches(bands.values)) {
      const places = [...Array(to - from)].map((_, k) => from + k);
      const points = (row) => places.map((k) => [px(x.at(bands.steps[k])), py(y.at(bands.values[row][k]))]);
      const count = bands.values.length;
      ctx.globalAlpha = OPACITY;
      for (let inner = 0; 2 * inner + 1 < count; inner += 1) {
        trace(ctx, [...points(inner), ...points(count - 1 - inner).reverse()]);
        ctx.fill();
      }
      for (let row = 0; row < count; row += 1) {
        const median = 2 * row + 1 === count;
        ctx.globalAlpha = median ? 1 : 0.7;
        ctx.lineWidth = median ? 1.8 : 0.6;
        trace(ctx, points(row));
        ctx.stroke();
      }
    }
    ctx.globalAlpha = 1;
  }

  function trace(ctx, points) {
    ctx.beginPath();
    for (const [left, top] of points) ctx.lineTo(left, top);
  }

  // Records in a row of which every quantile is a number.
  function stretches(values) {
    const found = [];
    let from = 0;
    for (let k = 0; k <= values[0].length; k += 1) {
      if (k < values[0].length && values.every((row) => row[k] !== null)) continue;
      if (k > from) found.push([from, k]);
      from = k + 1;
    }
    return found;
  }

  bnlab.bands = { paint };
})();
