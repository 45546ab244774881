"use strict";
// Verdicts and states: a word, a sign and a colour, so that none of them has to be seen.
(() => {
  const { element } = bnlab.dom;
  const VERDICTS = { supported: "✓", refuted: "✗", mixed: "±", undecided: "?" };
  const STATES = { running: "▶", done: "✓", diverged: "↗", failed: "✗", interrupted: "‖", preempted: "‖", damaged: "!" };
  const ABOUT = {
    diverged: "the loss or a buffer became infinite: a result, which is kept, counted and drawn",
    interrupted: "it ended without a word; the same command resumes it",
    preempted: "the scheduler stopped it; the same command resumes it",
    damaged: "its files cannot be read",
  };

  function badge(word, sign, kind, text = word) {
    const name = /^[a-z]+$/.test(word) ? word : "other";
    const attributes = { class: `badge ${kind}-${name}`, title: ABOUT[word] };
    return element("span", attributes, element("span", { "aria-hidden": "true" }, sign), ` ${text}`);
  }

  const verdict = (word, text) => badge(String(word), VERDICTS[word] || "?", "verdict", text);
  const state = (word, text) => badge(String(word), STATES[word] || "?", "state", text);

  function counted(counts, make, order) {
    const words = [...order.filter((word) => counts[word]), ...Object.keys(counts).filter((w) => !order.includes(w))];
    return words.map((word) => make(word, `${bnlab.format.grouped.format(counts[word])} ${word}`));
  }

  const verdicts = (counts) => counted(counts, verdict, Object.keys(VERDICTS));
  const states = (counts) => counted(counts, state, Object.keys(STATES));

  // That verdicts or figures were made before some of their runs ended, and what makes them again.
  function outdated({ what, runs, command }, where = "") {
    const says = `${where ? `${where}: ` : ""}${what} are older than ${bnlab.format.count(runs, "run")} that ended since; `;
    return element("p", { class: "notice calm" }, says[0].toUpperCase() + says.slice(1), element("code", {}, command), what === "figures" ? " draws them again." : " judges again.");
  }

  bnlab.badges = { verdict, state, verdicts, states, outdated, VERDICTS, STATES };
})();
