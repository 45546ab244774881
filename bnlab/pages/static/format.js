"use strict";
// Numbers and times as text.
(() => {
  const grouped = new Intl.NumberFormat("en-GB");

  function count(number, noun, nouns = `${noun}s`) {
    return `${grouped.format(number)} ${number === 1 ? noun : nouns}`;
  }

  function duration(seconds) {
    if (!Number.isFinite(seconds)) return "";
    if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 60) return `${minutes} min`;
    return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  }

  // Three significant digits, as the terminal and claims.md write them.
  function short(number) {
    if (!Number.isFinite(number)) return "–";
    const size = Math.abs(number);
    if (size !== 0 && (size >= 1e5 || size < 1e-4)) return number.toExponential(2).replace("-", "−");
    return String(Number(number.toPrecision(3))).replace("-", "−");
  }

  function signed(number) {
    if (!Number.isFinite(number)) return "–";
    return number > 0 ? `+${short(number)}` : short(number);
  }

  function effect(row) {
    return Number.isFinite(row.effect) ? `${signed(row.effect)} ${row.unit || ""}`.trim() : "–";
  }

  function interval(row) {
    return Array.isArray(row.interval) ? `[${signed(row.interval[0])}, ${signed(row.interval[1])}]` : "";
  }

  function ofPlanned(row) {
    return row.n === row.planned ? String(row.n) : `${row.n} of ${row.planned}`;
  }

  bnlab.format = { count, grouped, duration, short, signed, effect, interval, ofPlanned };
})();
