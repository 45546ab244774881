"use strict";
// Axes that panels share: a number to its place between 0 and 1 and back, and where its ticks stand.
(() => {
  const { format } = bnlab;
  const TICKS = 5;
  const POWERS = [...Array(13)].map((_, k) => 10 ** k);

  // Logarithmic, with a place for step 0.
  function steps(first, last) {
    const low = Math.log1p(first);
    const span = Math.log1p(last) - low || 1;
    const inside = [0, ...POWERS].filter((step) => step >= first && step <= last);
    return {
      at: (step) => (Math.log1p(step) - low) / span,
      from: (place) => Math.expm1(low + place * span),
      ticks: (inside.length > 2 ? inside : [...new Set([first, last])]).map((step) => [step, format.grouped.format(step)]),
      label: "training step, log axis",
    };
  }

  // Linear, or `wide`: linear within ±1 and logarithmic outside, for widths that differ by orders of magnitude.
  function values([low, high], wide, label) {
    const [there, back] = wide ? [Math.asinh, Math.sinh] : [(v) => v, (v) => v];
    const start = there(low);
    const span = there(high) - start || 1;
    const ticks = (wide && powers(low, high)) || even(low, high);
    return {
      at: (value) => (there(value) - start) / span,
      from: (place) => back(start + place * span),
      ticks: ticks.map((value) => [value, format.short(value)]),
      label: wide ? `${label}, asinh axis` : label,
    };
  }

  function powers(low, high) {
    const found = [...POWERS.map((p) => -p).reverse(), 0, ...POWERS].filter((v) => v >= low && v <= high);
    return found.length > 2 ? found : null;
  }

  function even(low, high) {
    const rough = (high - low) / TICKS;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5].find((k) => k * power >= rough) || 10);
    const first = Math.ceil(low / step);
    const count = Math.floor(high / step) - first + 1;
    return [...Array(Math.max(0, count))].map((_, k) => (first + k) * step);
  }

  // The last of some rising steps that is not after a step; -1 where all are.
  function latest(known, step) {
    let place = -1;
    while (place + 1 < known.length && known[place + 1] <= step) place += 1;
    return place;
  }

  bnlab.scales = { steps, values, latest };
})();
