"use strict";
(() => {
  const { element, keep } = bnlab.dom;
  const { format, badges, address } = bnlab;

  const NOUNS = {
    articles: ["claim of the articles", "claims of the articles"],
    papers: ["statement of papers", "statements of papers"],
    own: ["claim of one's own", "claims of one's own"],
  };

  function tile(label, content) {
    return element("div", { class: "tile" }, element("h2", {}, label), element("div", { class: "badges" }, content));
  }

  // Claims of the articles, statements of papers and claims of one's own are told apart.
  function claimsTile({ origin, known, judged, undone }) {
    const count = Object.values(judged).reduce((a, b) => a + b, 0);
    const label = format.count(known, ...NOUNS[origin]);
    const open = known > count ? element("span", { class: "dim" }, `${known - count} not judged`) : "";
    const some = undone ? element("a", { class: "undone", href: address.page.claims({ from: origin, undone: "1" }) }, `${undone} not after Holm's adjustment`) : "";
    return tile(element("a", { href: address.page.claims({ from: origin }) }, label), [...badges.verdicts(judged), open, some]);
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
      setting.outdated.length ? element("p", { class: "undone" }, `${setting.outdated.map((one) => one.what).join(" and ")} are older than the runs`) : null,
      setting.problem ? element("p", { class: "problem" }, setting.problem) : null,
    );
  }

  const notRun = (command) => element("p", { class: "dim" }, "No run of it is stored. ", command ? element("code", {}, command.text) : "");

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
      settings.length ? element("ul", { class: "settings" }, settings) : notRun(one.command),
    );
  }

  function show(section, data) {
    const parts = bnlab.dom.parts(section);
    const total = Object.values(data.states).reduce((a, b) => a + b, 0);
    const tiles = [...data.claims.map((one) => [one.origin, one]), ["runs", { total, states: data.states }]];
    keep(parts.summary, tiles, (one) => (one.origin ? claimsTile(one) : tile(format.count(one.total, "run"), badges.states(one.states))));
    const running = data.experiments.flatMap((one) =>
      one.settings.filter((s) => s.sweep).map((s) => [`${one.name} ${s.name}`, { experiment: one.name, setting: s.name, progress: s.sweep }]),
    );
    keep(parts.sweeps, running, sweep);
    keep(parts.experiments, data.experiments.map((one) => [one.name, one]), experiment);
  }

  bnlab.sections = { ...bnlab.sections, overview: show };
})();
