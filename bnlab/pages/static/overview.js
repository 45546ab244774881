"use strict";
(() => {
  const { element, keep } = bnlab.dom;
  const { format, badges, address } = bnlab;

  function tile(label, content) {
    return element("div", { class: "tile" }, element("h2", {}, label), element("div", { class: "badges" }, content));
  }

  function left(seconds) {
    return Number.isFinite(seconds) ? `about ${format.duration(seconds)} left` : "time left not known yet";
  }

  function sweep({ experiment, setting, progress }) {
    const href = address.page.experiment(experiment, { setting });
    const counts = `${progress.finished} of ${progress.total} runs finished, ${progress.running} running`;
    const failed = progress.failed ? `, ${progress.failed} failed` : "";
    return element(
      "div",
      { class: "sweep" },
      element("a", { href }, `${experiment} ${setting}`),
      element("progress", { max: 1, value: progress.part, "aria-label": `progress of ${experiment} ${setting}` }),
      element("span", {}, `${counts}${failed}; ${left(progress.seconds_left)}`),
    );
  }

  function settingLine(experiment, setting) {
    const runs = setting.packed === 0 ? "" : " in the pack";
    const whole = setting.planned ? `${setting.finished} of ${setting.planned}` : setting.finished;
    const others = Object.fromEntries(Object.entries(setting.states).filter(([s]) => s !== "done"));
    return element(
      "li",
      {},
      element("a", { href: address.page.experiment(experiment, { setting: setting.name }) }, setting.name),
      element("span", { class: "dim" }, ` ${setting.finished || setting.planned ? `${whole} runs${runs}` : "no run"}`),
      element("span", { class: "badges" }, badges.states(others)),
      setting.problem ? element("p", { class: "problem" }, setting.problem) : null,
    );
  }

  function experiment(one) {
    const settings = one.settings.map((setting) => settingLine(one.name, setting));
    const verdicts = badges.verdicts(one.verdicts);
    const judged = Object.values(one.verdicts).reduce((a, b) => a + b, 0);
    const waiting = one.claims > judged ? element("span", { class: "dim" }, `${one.claims - judged} not judged`) : null;
    return element(
      "article",
      { class: "card" },
      element("h3", {}, element("a", { href: address.page.experiment(one.name) }, one.name)),
      element("p", {}, one.question || "No experiment of this name is known; its folder lies here."),
      element("div", { class: "badges" }, verdicts, waiting),
      settings.length ? element("ul", { class: "settings" }, settings) : element("p", { class: "dim" }, "No runs yet. ", one.commands.map((c) => element("code", {}, c))),
    );
  }

  function show(section, data) {
    const parts = bnlab.dom.parts(section);
    const total = Object.values(data.states).reduce((a, b) => a + b, 0);
    const claims = Object.values(data.verdicts).reduce((a, b) => a + b, 0);
    const tiles = [
      ["claims", { label: format.count(claims, "claim"), counts: data.verdicts, of: "verdicts" }],
      ["runs", { label: format.count(total, "run"), counts: data.states, of: "states" }],
    ];
    keep(parts.summary, tiles, ({ label, counts, of }) => tile(label, badges[of](counts)));
    const running = data.experiments.flatMap((one) =>
      one.settings.filter((s) => s.sweep).map((s) => [`${one.name} ${s.name}`, { experiment: one.name, setting: s.name, progress: s.sweep }]),
    );
    keep(parts.sweeps, running, sweep);
    keep(parts.experiments, data.experiments.map((one) => [one.name, one]), experiment);
  }

  bnlab.sections = { ...bnlab.sections, overview: show };
})();
