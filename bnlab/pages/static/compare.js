"use strict";
(() => {
  const { element, keep } = bnlab.dom;
  const { format, badges, address, curves, table } = bnlab;

  function list(data) {
    if (!data.runs.length) return element("p", {}, "Pick runs to compare on the page ", element("a", { href: address.page.runs() }, "Runs"), ".");
    const rows = data.runs.map((run) => [
      run.label,
      element("a", { href: address.page.run(...run.key) }, run.key[3]),
      run.key[0],
      run.key[1],
      run.overrides,
      badges.state(run.state),
      `${format.grouped.format(run.step)} of ${format.grouped.format(run.steps)}`,
      run.error,
      remove(run.key.join("/")),
    ]);
    return table.plain(["line", "run", "experiment", "setting", "differs in", "state", "step", "error", ""], rows, "runs compared");
  }

  function remove(text) {
    const drop = () => {
      address.select({ run: address.selection().getAll("run").filter((one) => one !== text) });
      bnlab.live.now();
    };
    return element("button", { type: "button", onclick: drop, "aria-label": `leave ${text} out` }, "×");
  }

  function show(section, data) {
    const parts = bnlab.dom.parts(section);
    const gone = data.missing.map((text) => element("p", { class: "problem" }, `${text} is not in the results folder.`));
    const more = data.left_out ? [element("p", { class: "dim" }, `${format.count(data.left_out, "run")} more than a chart can show.`)] : [];
    keep(parts.runs, [["runs", [data.runs, data.missing]]], () => element("div", {}, list(data), ...gone, ...more));
    parts.curves.hidden = !data.runs.length;
    section.bnlabCurves ||= curves.make(parts.curves);
    section.bnlabCurves.show(data);
    bnlab.distributions.show(parts.distributions, data.distributions);
    bnlab.families.show(parts.families, data.families);
  }

  bnlab.sections = { ...bnlab.sections, compare: show };
})();
