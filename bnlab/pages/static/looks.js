"use strict";
// The looks of figures on a screen: the same colour, dash and marker, lightened where the ground is dark.
(() => {
  const { drawn } = bnlab.dom;
  const KNOWN = bnlab.dom.block("looks");
  const CONTRAST = 4.5;
  const SPARE = [
    { colour: "#10457e", dash: [], marker: "o" },
    { colour: "#c24e00", dash: [4.5, 1.5], marker: "s" },
    { colour: "#3aa888", dash: [5, 1.2, 1.2, 1.2], marker: "^" },
    { colour: "#d9a520", dash: [1.2, 1.2], marker: "D" },
    { colour: "#8a3f8f", dash: [8, 2], marker: "v" },
    { colour: "#6b6b6b", dash: [2, 2], marker: "o" },
  ];

  const MOST_ALIKE = 3; // lines of one colour that dashes and markers still tell apart

  // Where several lines share a look they keep its colour, and get dashes and markers of their own; many, or runs of
  // one variant alone, get colours of their own too.
  function ofLines(lines) {
    const counts = {};
    for (const line of lines) counts[line.look] = (counts[line.look] || 0) + 1;
    const shared = Math.max(0, ...Object.values(counts));
    const known = lines.every((line) => KNOWN[line.look]);
    if (known && shared === 1) return lines.map((line) => KNOWN[line.look]);
    const coloured = known && shared <= MOST_ALIKE && Object.keys(counts).length > 1;
    return lines.map((line, i) => ({ ...SPARE[i % SPARE.length], ...(coloured ? { colour: KNOWN[line.look].colour } : {}) }));
  }

  const labelOf = (line, lines) => {
    const alone = lines.filter((other) => other.look === line.look).length === 1;
    return alone && line.label === line.look && KNOWN[line.look] ? KNOWN[line.look].label : line.label;
  };

  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = (rgb) => rgb.map(linear).reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);

  function onGround(colour) {
    let rgb = channels(colour);
    if (!bnlab.theme.dark()) return `rgb(${rgb.join(" ")})`;
    const ground = luminance(channels("#14171b"));
    while ((luminance(rgb) + 0.05) / (ground + 0.05) < CONTRAST) rgb = rgb.map((part) => Math.min(255, Math.round(part + (255 - part) * 0.1) + 1));
    return `rgb(${rgb.join(" ")})`;
  }

  const SHAPES = {
    o: [...Array(12)].map((_, i) => [Math.cos((i * Math.PI) / 6), Math.sin((i * Math.PI) / 6)]),
    s: [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
    "^": [[0, -1.1], [1.05, 0.85], [-1.05, 0.85]],
    v: [[0, 1.1], [1.05, -0.85], [-1.05, -0.85]],
    D: [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]],
  };

  function swatch(look) {
    const stroke = onGround(look.colour);
    const points = SHAPES[look.marker].map(([x, y]) => `${16 + 3.4 * x},${6 + 3.4 * y}`).join(" ");
    return drawn(
      "svg",
      { width: 32, height: 12, viewBox: "0 0 32 12", "aria-hidden": "true" },
      drawn("line", { x1: 1, y1: 6, x2: 31, y2: 6, stroke, "stroke-width": 2, "stroke-dasharray": look.dash.map((d) => 2 * d).join(" ") }),
      drawn("polygon", { points, fill: stroke }),
    );
  }

  bnlab.looks = { ofLines, labelOf, onGround, swatch, SHAPES };
})();
