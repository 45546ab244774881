"use strict";
(() => {
  const { element, keep } = bnlab.dom;
  const { format, badges, address, controls, curves } = bnlab;

  function about(data) {
    const settings = data.settings.map((setting) =>
      element("a", { href: address.page.experiment(data.name, { setting }), class: "chip", "aria-current": setting === data.setting ? "true" : null }, setting),
    );
    const commands = data.settings.length ? [] : [element("p", {}, "Nothing is stored of it yet. What to type:"), ...data.commands.map((c) => element("p", {}, element("code", {}, c)))];
    return [data.source ? element("p", { class: "dim" }, `Source: ${data.source}`) : "", element("div", { class: "badges" }, settings), ...commands];
  }

  function state(data) {
    const finished = ["done", "diverged"].reduce((sum, word) => sum + (data.states[word] || 0), 0);
    const whole = data.planned ? `${finished} of ${data.planned} planned runs finished` : `${format.count(finished, "run")} finished`;
    const link = element("a", { href: address.page.runs({ experiment: data.name, setting: data.setting }) }, whole);
    const sweep = data.sweep ? `; about ${format.duration(data.sweep.seconds_left)} left` : "";
    return [element("p", {}, link, sweep, " ", element("span", { class: "badges" }, badges.states(data.states))), data.problem ? element("p", { class: "problem" }, data.problem) : ""];
  }

  function verdict(row) {
    const href = address.page.claims({ open: row.id, experiment: row.experiment, all: "1" });
    return element("a", { href, title: row.says, class: "bare" }, badges.verdict(row.verdict, `${row.id} ${row.verdict}`));
  }

  function figure(one) {
    const source = address.figure(one.experiment, one.setting, one.name, one.formats.includes("png") ? "png" : "svg");
    const saves = one.formats.map((kind) => element("a", { href: address.figure(one.experiment, one.setting, one.name, kind, true), download: `${one.experiment}-${one.name}.${kind}` }, kind.toUpperCase()));
    const shown = one.formats.includes("svg") ? "svg" : "png";
    const picture = element("img", { src: source, alt: `figure ${one.name}`, loading: "lazy" });
    const image = address.REPORT ? picture : element("a", { href: address.figure(one.experiment, one.setting, one.name, shown) }, picture);
    return element("figure", { id: `figure-${one.name}` }, element("figcaption", {}, element("strong", {}, one.name), " ", element("span", { class: "saves" }, saves)), one.formats.some((kind) => kind === "png" || kind === "svg") ? image : "");
  }

  // A choice for every key in which the groups differ.
  function keyControls(section, parts, keys) {
    const shape = JSON.stringify(keys.map(({ key, values }) => [key, values]));
    if (section.bnlabKeys === shape) return;
    section.bnlabKeys = shape;
    const made = keys.map(({ key, values, chosen }) => {
      const one = controls.choice(`by.${key}`, key, [], () => bnlab.live.now());
      one.offer([["*", "all"], ...values.map((value) => [value, value || "–"])]);
      one.node.querySelector("select").value = chosen;
      return one.node;
    });
    parts.controls.replaceChildren(...made);
  }

  function show(section, data) {
    const parts = bnlab.dom.parts(section);
    parts.name.textContent = data.setting ? `${data.name} · ${data.setting}` : data.name;
    parts.question.textContent = data.question;
    keep(parts.about, [["about", [data.settings, data.setting]]], () => element("div", {}, about(data)));
    if (!data.setting) return;
    keep(parts.state, [["state", [data.states, data.planned, data.sweep, data.problem]]], () => element("div", {}, state(data)));
    const here = { experiment: data.name, setting: data.setting };
    keep(parts.verdicts, data.verdicts.map((row) => [row.id, { ...row, ...here }]), verdict);
    keyControls(section, parts, data.keys);
    section.bnlabCurves ||= curves.make(parts.curves);
    section.bnlabCurves.show(data);
    bnlab.distributions.show(parts.distributions, data.distributions);
    bnlab.families.show(parts.families, data.families);
    keep(parts.figures, data.figures.map((one) => [one.name, { ...one, ...here }]), figure);
    if (!data.figures.length) parts.figures.replaceChildren(element("p", { class: "dim" }, "No figure has been drawn; ", element("code", {}, `bnlab figures ${data.name}`), " draws them."));
    const asked = address.selection().get("figure");
    if (asked && !section.bnlabScrolled) document.getElementById(`figure-${asked}`)?.scrollIntoView();
    section.bnlabScrolled = true;
  }

  bnlab.sections = { ...bnlab.sections, experiment: show };
})();
