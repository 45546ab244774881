"use strict";
(() => {
  const { element, keep } = bnlab.dom;
  const { format, badges, address, controls, table } = bnlab;
  const KINDS = {
    E: "exact: it can be proved, and is tested to rounding",
    S: "statistical: it needs seeds and an interval",
    D: "a definition, or a fact about a paper or a library",
    X: "wrong or over-stated as it is worded",
  };
  const ORIGINS = [["articles", "all articles"], ["papers", "all papers"], ["own", "all of one's own"]];
  const STATEMENT = ["statement", "verdict", "effect", "95 % interval", "margin", "p, after Holm", "n", "published", "seen"];

  const from = (row, query) => [row.source_of, row.origin, ""].includes(query.get("from") || "");

  function matches(row, query) {
    const text = (query.get("text") || "").toLowerCase();
    return (
      from(row, query) &&
      (!query.get("kind") || row.kind === query.get("kind")) &&
      (!query.get("verdict") || row.verdict === query.get("verdict")) &&
      (!query.get("experiment") || row.experiment === query.get("experiment")) &&
      (query.has("all") || row.best) &&
      (!query.has("undone") || row.after_holm) &&
      (!text || `${row.id} ${row.says} ${row.source} ${row.tests}`.toLowerCase().includes(text))
    );
  }

  function whole(row) {
    if (!row.parts || !row.parts.length) return `${format.effect(row)} ${format.interval(row)}`.trim();
    const counts = {};
    for (const part of row.parts) counts[part.verdict] = (counts[part.verdict] || 0) + 1;
    return `${row.parts.length} parts: ${Object.entries(counts).map(([word, n]) => `${n} ${word}`).join(", ")}`;
  }

  // p and Holm's p of a claim that is one statement; those of parts stand in the evidence.
  function pText(row) {
    if ((row.parts && row.parts.length) || !Number.isFinite(row.p)) return "";
    const holm = Number.isFinite(row.holm) ? `, after Holm ${format.short(row.holm)}` : "";
    return element("span", { class: "dim" }, `p ${format.short(row.p)}${holm}`);
  }

  function pValue(part) {
    if (!Number.isFinite(part.p)) return "";
    return Number.isFinite(part.holm) ? `${format.short(part.p)}, ${format.short(part.holm)}` : format.short(part.p);
  }

  function statement(label, part) {
    const published = part.published ? element("span", { title: part.published.provenance }, part.published.text) : "";
    const margin = Number.isFinite(part.margin) ? format.short(part.margin) : "";
    return [label, verdictOf(part), format.effect(part), format.interval(part), margin, pValue(part), format.ofPlanned(part), published, part.note || ""];
  }

  // A statement that Holm's adjustment would leave undecided says so.
  function verdictOf(part) {
    const decided = ["supported", "refuted"].includes(part.verdict);
    const undone = decided && Number.isFinite(part.holm) && part.holm >= 0.05;
    return element("span", {}, badges.verdict(part.verdict), undone ? element("span", { class: "undone" }, " not after Holm") : "");
  }

  // What Holm's adjustment over all statements of the setting would leave of the verdict.
  function adjusted(row) {
    if (!row.undone.length) return "";
    const parts = row.parts && row.parts.length ? row.parts.length : 1;
    const count = `Holm's adjustment undoes ${row.undone.length} of ${format.count(parts, "statement")}`;
    if (!row.after_holm) return count;
    return parts > 1 ? `${row.after_holm} after Holm's adjustment, which undoes ${row.undone.length} of ${parts} statements` : `${row.after_holm} after Holm's adjustment`;
  }

  function evidence(row) {
    const parts = row.parts && row.parts.length ? row.parts : [{ ...row, label: row.label || "the sentence" }];
    const lines = parts.map((part) => statement(part.label, part));
    const beside = (row.beside || []).map((part) => statement(`beside it: ${part.label}`, part));
    const facts = [
      ["Source", row.source],
      ["Kind", `${row.kind}, ${KINDS[row.kind] || ""}`],
      ["Tested", row.tests || "the sentence as it stands"],
      ["Published", row.published ? `${row.published.text} (${row.published.provenance})` : "no number"],
      ["After Holm", adjusted(row)],
      ["Runs", runsOf(row)],
      ["Note", row.note],
    ];
    return element(
      "div",
      { class: "evidence" },
      element("dl", {}, facts.filter(([, said]) => said).flatMap(([name, said]) => [element("dt", {}, name), element("dd", {}, said)])),
      table.plain(STATEMENT, [...lines, ...beside], `statements of ${row.id}`),
      row.pictured ? picture(row) : null,
    );
  }

  function runsOf(row) {
    const at = { experiment: row.experiment, setting: row.setting };
    const from = row.from === "pack" ? "from the pack" : "from run directories";
    return element("span", {}, element("a", { href: address.page.runs(at) }, `${row.experiment} ${row.setting}`), ` (${from}; n is ${format.ofPlanned(row)})`);
  }

  function picture(row) {
    const source = address.figure(row.experiment, row.setting, row.figure, "png");
    const href = address.page.experiment(row.experiment, { setting: row.setting, figure: row.figure });
    const image = element("img", { src: source, alt: `figure ${row.figure} of ${row.experiment}`, loading: "lazy" });
    return element("figure", {}, element("a", { href }, image), element("figcaption", {}, `Figure ${row.figure}`));
  }

  const keyOf = (row) => `${row.id}@${row.experiment}@${row.setting}`;

  function claim(row) {
    const summary = element(
      "summary",
      {},
      element("span", { class: "id" }, row.id),
      element("span", { class: "says" }, row.says),
      badges.verdict(row.verdict),
      element("span", { class: "whole" }, whole(row), pText(row), row.undone.length ? element("span", { class: row.after_holm ? "undone" : "dim" }, adjusted(row)) : ""),
      element("span", { class: "where dim" }, `n ${format.ofPlanned(row)} · ${row.experiment} ${row.setting}`),
    );
    const details = element("details", { class: "claim", id: keyOf(row) }, summary);
    const fill = () => details.childElementCount === 1 && details.append(evidence(row));
    details.addEventListener("toggle", () => {
      if (details.open) fill();
      const others = address.selection().getAll("open").filter((key) => key !== keyOf(row));
      address.select({ open: details.open ? [...others, keyOf(row)] : others });
    });
    if (address.selection().getAll("open").some((key) => key === keyOf(row) || key === row.id)) {
      fill();
      details.open = true;
    }
    return details;
  }

  function makeControls(parts, draw) {
    const made = {
      from: controls.choice("from", "Source", [], draw),
      kind: controls.choice("kind", "Kind", [], draw),
      verdict: controls.choice("verdict", "Verdict", [], draw),
      experiment: controls.choice("experiment", "Experiment", [], draw),
      text: controls.search("text", "Search", draw),
      undone: controls.tick("undone", "only those that Holm's adjustment undoes", draw),
      all: controls.tick("all", "every setting, not only the best of each claim", draw),
    };
    parts.controls.replaceChildren(...Object.values(made).map((one) => one.node));
    return made;
  }

  function offer(made, data) {
    const every = [...data.rows, ...data.waiting];
    const single = controls.distinct(every, (row) => row.source_of).map((key) => [key, data.sources[key] ? `${key}, ${data.sources[key]}` : key]);
    const whole = ORIGINS.filter(([name]) => every.some((row) => row.origin === name));
    made.from.offer([["", "all"], ...whole, ...single]);
    made.kind.offer([["", "all"], ...Object.entries(KINDS).map(([key, said]) => [key, `${key}, ${said.split(":")[0].split(",")[0]}`])]);
    made.verdict.offer([["", "all"], ...Object.keys(badges.VERDICTS).map((word) => [word, word])]);
    made.experiment.offer(controls.choicesOf(every, (row) => row.experiment));
  }

  function waitingList(rows) {
    const query = address.selection();
    const kept = rows.filter((row) => from(row, query) && (!query.get("experiment") || row.experiment === query.get("experiment")));
    if (!kept.length || query.has("undone") || query.get("verdict") || query.get("kind") || query.get("text")) return [];
    const lines = controls.distinct(kept, (row) => row.experiment).map((name) => {
      const own = kept.filter((row) => row.experiment === name);
      return [own.map((row) => row.id).join(", "), element("a", { href: address.page.experiment(name) }, name), element("code", {}, own[0].command)];
    });
    return [element("h2", {}, `${format.count(kept.length, "claim")} without a verdict`), table.plain(["claims", "experiment", "what to type"], lines, "claims without a verdict")];
  }

  function show(section, data) {
    const parts = bnlab.dom.parts(section);
    section.bnlabData = data;
    const draw = () => {
      const now = section.bnlabData;
      const query = address.selection();
      const kept = now.rows.filter((row) => matches(row, query));
      parts.count.textContent = `${format.count(kept.length, "verdict")} of ${now.rows.filter((row) => query.has("all") || row.best).length}`;
      keep(parts.claims, kept.map((row) => [keyOf(row), row]), claim);
      parts.waiting.replaceChildren(...waitingList(now.waiting));
      keep(parts.problems, now.problems.map((one) => [one.where, one]), ({ where, says }) => element("p", { class: "problem" }, `${where}: ${says}`));
      keep(parts.outdated, now.outdated.map((one) => [one.where, one]), (one) => badges.outdated(one, one.where));
    };
    section.bnlabControls ||= makeControls(parts, draw);
    offer(section.bnlabControls, data);
    draw();
  }

  bnlab.sections = { ...bnlab.sections, claims: show };
})();
