"use strict";
(() => {
  const { element, keep } = bnlab.dom;
  const { format, badges, address, controls, curves } = bnlab;

  function about(data) {
    const settings = data.settings.map((setting) =>
      element("a", { href: address.page.experiment(data.name, { setting }), class: "chip", "aria-current": setting === data.setting ? "true" : null }, setting),
    );
    return [data.source ? element("p", { class: "dim" }, `Source: ${data.source}`) : "", settings.length ? element("div", { class: "badges" }, settings) : "", data.setting ? "" : notRun(data.command)];
  }

  function notRun(command) {
    if (!command) return element("p", {}, "No run of it is stored.");
    const time = command.minutes ? ` (about ${format.duration(60 * command.minutes)} on two cores)` : "";
    return element("p", {}, "No run of it is stored. ", element("code", {}, command.text), ` trains, draws and judges${time}.`);
  }

  const finished = (data) => ["done", "diverged"].reduce((sum, word) => sum + (data.states[word] || 0), 0);
  const missing = (says, runs, command, does) => element("p", { class: "dim" }, `${says} `, runs ? typed(command, does) : "");

  function state(data) {
    if (!Object.keys(data.states).length) return [notTrained(data.commands.run), problem(data)];
    const whole = data.planned ? `${finished(data)} of ${data.planned} planned runs finished` : `${format.count(finished(data), "run")} finished`;
    const link = element("a", { href: address.page.runs({ experiment: data.name, setting: data.setting }) }, whole);
    const sweep = data.sweep ? `; about ${format.duration(data.sweep.seconds_left)} left` : "";
    return [element("p", {}, link, sweep, " ", element("span", { class: "badges" }, badges.states(data.states))), problem(data)];
  }

  const problem = (data) => (data.problem ? element("p", { class: "problem" }, data.problem) : "");
  const typed = (command, does) => (command ? [element("code", {}, command), ` ${does}.`] : []);
  const notTrained = (command) => element("p", {}, "No run lies in this setting. ", typed(command, "trains its plan"));

  function verdict(row) {
    const href = address.page.claims({ open: row.id, experiment: row.experiment, all: "1" });
    const holm = row.after_holm ? element("span", { class: "undone" }, ` ${row.after_holm} after Holm`) : "";
    return element("a", { href, title: row.says, class: "bare" }, badges.verdict(row.verdict, `${row.id} ${row.verdict}`), holm);
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
    const trained = Boolean(data.setting) && Object.keys(data.states).length > 0;
    parts.measured.hidden = !trained;
    parts.drawn.hidden = !trained && !(data.figures || []).length;
    if (!data.setting) return;
    keep(parts.state, [["state", [data.states, data.planned, data.sweep, data.problem, data.commands]]], () => element("div", {}, state(data)));
    keep(parts.outdated, data.outdated.map((one) => [one.what, one]), (one) => badges.outdated(one));
    const here = { experiment: data.name, setting: data.setting };
    keep(parts.verdicts, data.verdicts.map((row) => [row.id, { ...row, ...here }]), verdict);
    if (!data.verdicts.length && data.commands.claims) parts.verdicts.replaceChildren(missing("No verdict is stored.", finished(data), data.commands.claims, "judges"));
    keyControls(section, parts, data.keys);
    section.bnlabCurves ||= curves.make(parts.curves);
    section.bnlabCurves.show(data);
    bnlab.distributions.show(parts.distributions, data.distributions);
    bnlab.families.show(parts.families, data.families);
    keep(parts.figures, data.figures.map((one) => [one.name, { ...one, ...here }]), figure);
    if (!data.figures.length) parts.figures.replaceChildren(missing("No figure is stored.", finished(data), data.commands.figures, "draws them"));
    const asked = address.selection().get("figure");
    if (asked && !section.bnlabScrolled) document.getElementById(`figure-${asked}`)?.scrollIntoView();
    section.bnlabScrolled = true;
  }

  bnlab.sections = { ...bnlab.sections, experiment: show };
})();
