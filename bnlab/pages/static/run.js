"use strict";
(() => {
  const { element, keep } = bnlab.dom;
  const { format, badges, address, curves, table } = bnlab;

  function state(data) {
    const { status, key } = data;
    const [experiment, setting] = key;
    const where = element("a", { href: address.page.experiment(experiment, { setting }) }, `${experiment} ${setting}`);
    const steps = `step ${format.grouped.format(status.step)} of ${format.grouped.format(status.steps)}`;
    const more = [steps, format.duration(status.seconds), format.count(status.attempts, "attempt"), data.source === "pack" ? "from the pack" : "in its directory"];
    const diverged = status.diverged_at === null ? "" : ` diverged at step ${format.grouped.format(status.diverged_at)}: its data are kept, counted and drawn`;
    return [
      element("p", {}, where, " ", badges.state(status.state), ` ${more.filter(Boolean).join(" · ")}${diverged}`),
      status.state === "running" && status.steps ? element("progress", { max: status.steps, value: status.step, "aria-label": "steps done" }) : "",
      status.error ? element("p", { class: "problem" }, status.error) : "",
      data.problem ? element("p", { class: "problem" }, data.problem) : "",
      ...status.notes.map((note) => element("p", { class: "dim" }, `Note: ${note}`)),
    ];
  }

  function siblings(data) {
    if (!data.siblings.length) return element("p", { class: "dim" }, "The setting has no other run with this seed.");
    const keys = [...new Set(data.siblings.flatMap((one) => Object.keys(one.differs)))];
    const own = ["this run", badges.state(data.status.state), ...keys.map((key) => data.config[key] ?? ""), ""];
    const others = data.siblings.map((one) => [
      element("a", { href: address.page.run(...one.key) }, one.key.slice(2).join(" ")),
      badges.state(one.state),
      ...keys.map((key) => (key in one.differs ? element("strong", {}, one.differs[key]) : element("span", { class: "dim" }, "same"))),
      element("a", { href: address.page.compare([data.key, one.key]) }, "compare"),
    ]);
    return table.plain(["run", "state", ...keys, ""], [own, ...others], "runs with the same seed");
  }

  function pairs(values, caption) {
    const rows = Object.entries(values).map(([key, value]) => [element("code", {}, key), value]);
    return rows.length ? table.plain(["key", "value"], rows, caption) : element("p", { class: "dim" }, "Nothing can be read.");
  }

  function show(section, data) {
    const parts = bnlab.dom.parts(section);
    parts.name.textContent = `${data.key[2]} ${data.key[3]}`;
    const once = (name, item, make) => keep(parts[name], [[name, item]], () => element("div", {}, make()));
    once("state", [data.status, data.problem], () => state(data));
    section.bnlabCurves ||= curves.make(parts.curves);
    section.bnlabCurves.show(data);
    bnlab.distributions.show(parts.distributions, data.distributions);
    bnlab.families.show(parts.families, data.families);
    once("siblings", [data.siblings, data.status.state], () => siblings(data));
    once("config", data.config, () => element("details", {}, element("summary", {}, format.count(Object.keys(data.config).length, "key")), pairs(data.config, "configuration")));
    once("environment", data.environment, () => pairs(data.environment, "environment"));
    once("log", data.log, () => (data.log ? element("pre", { class: "scroll", tabindex: "0" }, data.log) : element("p", { class: "dim" }, "There is no log.")));
  }

  bnlab.sections = { ...bnlab.sections, run: show };
})();
