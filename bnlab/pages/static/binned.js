"use strict";
// What a record of a histogram says: its density on an axis, its quantiles.
(() => {
  // Bins as [from, to, height], heights as shares of the highest on the axis that `scale` is. One value is a narrow spike.
  function bins(histograms, place, scale) {
    const [low, high] = widened(histograms.lo[place], histograms.hi[place]);
    const counts = histograms.counts[place];
    const one = histograms.hi[place] > histograms.lo[place];
    const width = (high - low) / counts.length;
    const made = counts.map((count, k) => {
      const [from, to] = [low + k * width, low + (k + 1) * width];
      return [from, to, (one ? count : 1) / (scale.at(to) - scale.at(from))];
    });
    const top = Math.max(...made.map((bin) => bin[2])) || 1;
    return made.map(([from, to, height]) => [from, to, height / top]);
  }

  function widened(low, high) {
    const half = Math.max(1e-3, 1e-3 * Math.abs(low));
    return high > low ? [low, high] : [low - half, low + half];
  }

  // The value below which a share of all values lies, with values spread evenly inside a bin.
  function quantile(histograms, place, share) {
    const { [place]: counts } = histograms.counts;
    const [low, high] = [histograms.lo[place], histograms.hi[place]];
    let left = share * counts.reduce((a, b) => a + b, 0);
    for (let k = 0; k < counts.length; k += 1) {
      if (counts[k] && left <= counts[k]) return low + ((k + left / counts[k]) * (high - low)) / counts.length;
      left -= counts[k];
    }
    return high;
  }

  bnlab.binned = { bins, quantile };
})();
