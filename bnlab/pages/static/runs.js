"use strict";
(() => {
  const { element } = bnlab.dom;
  const { format, badges, address, controls, table } = bnlab;
  const FILTERS = ["experiment", "setting", "variant", "state", "source"];

  const keyOf = (row) => [row.experiment, row.setting, row.variant, row.id];
  const textOf = (row) => keyOf(row).join("/");

  function columns(chosen) {
    const linked = { cell: (row) => element("a", { href: address.page.run(...keyOf(row)) }, row.id) };
    const all = [
      { key: "pick", label: "", cell: (row) => chosen.box(row) },
      { key: "experiment", label: "experiment" },
      { key: "setting", label: "setting" },
      { key: "variant", label: "variant" },
      { key: "overrides", label: "differs in", wide: true },
      { key: "seed", label: "seed", number: true },
      { key: "id", label: "run", ...(address.REPORT ? {} : linked) },
      { key: "state", label: "state", cell: (row) => badges.state(row.state) },
      { key: "step", label: "step", number: true, cell: (row) => (row.step === row.steps ? format.grouped.format(row.step) : `${format.grouped.format(row.step)} of ${format.grouped.format(row.steps)}`) },
      { key: "seconds", label: "time", number: true, cell: (row) => format.duration(row.seconds) },
      { key: "attempts", label: "attempts", number: true, wide: true },
      { key: "source", label: "from", wide: true, cell: (row) => (row.source === "pack" ? "pack" : "directory") },
      { key: "error", label: "error", class: "error" },
    ];
    return address.REPORT ? all.slice(1) : all; // a report has no pages to compare runs on
  }

  // Runs picked for comparison; the picks stand in the address too.
  function picks(parts) {
    const current = () => address.selection().getAll("pick");
    const link = element("a", { class: "button", hidden: true }, "");
    const drawLink = () => {
      const picked = current();
      link.hidden = picked.length === 0;
      link.textContent = `Compare ${format.count(picked.length, "run")}`;
      link.setAttribute("href", address.page.compare(picked.map((text) => text.split("/"))));
    };
    drawLink();
    return {
      link,
      box(row) {
        const text = textOf(row);
        const box = element("input", { type: "checkbox", "aria-label": `compare ${text}` });
        box.checked = current().includes(text);
        box.addEventListener("change", () => {
          const others = current().filter((one) => one !== text);
          address.select({ pick: box.checked ? [...others, text] : others });
          drawLink();
        });
        return box;
      },
    };
  }

  function unpacked(data) {
    return data.rows.map((cells) => Object.fromEntries(cells.map((cell, i) => [data.columns[i], cell])));
  }

  function filtered(rows) {
    const query = address.selection();
    const words = (query.get("text") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const asked = FILTERS.map((name) => [name, query.get(name)]).filter(([, value]) => value);
    return rows.filter((row) => {
      if (!asked.every(([name, value]) => row[name] === value)) return false;
      if (!words.length) return true;
      const text = Object.values(row).join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
  }

  function build(section, parts) {
    const state = { rows: [] };
    const chosen = picks(parts);
    const list = table.make(parts.table, columns(chosen), textOf, "runs");
    state.draw = () => {
      const kept = filtered(state.rows);
      const states = {};
      for (const row of kept) states[row.state] = (states[row.state] || 0) + 1;
      const empty = state.rows.length ? "" : " No run lies in this folder. `bnlab list` shows what can be run.";
      parts.count.replaceChildren(`${format.count(kept.length, "run")} of ${format.grouped.format(state.rows.length)}.${empty} `, element("span", { class: "badges" }, badges.states(states)));
      list.show(kept);
    };
    state.controls = Object.fromEntries(FILTERS.map((name) => [name, controls.choice(name, name === "source" ? "from" : name, [], state.draw)]));
    const search = controls.search("text", "Search", state.draw);
    parts.controls.replaceChildren(...Object.values(state.controls).map((one) => one.node), search.node, chosen.link);
    return state;
  }

  function show(section, data) {
    const state = (section.bnlabState ||= build(section, bnlab.dom.parts(section)));
    state.rows = unpacked(data);
    for (const name of FILTERS) state.controls[name].offer(controls.choicesOf(state.rows, (row) => row[name]));
    state.draw();
  }

  bnlab.sections = { ...bnlab.sections, runs: show };
})();
