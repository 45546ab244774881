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
  const SOURCES = { S0: "S0, talk of Görner", S1: "S1, article", S2: "S2, article", S3: "S3, article" };
  SOURCES.P1 = "P1, Ioffe & Szegedy 2015";
  SOURCES.P2 = "P2, Santurkar et al. 2018";
  SOURCES.P3 = "P3, Ioffe 2017";
  const STATEMENT = ["statement", "verdict", "effect", "95 % interval", "margin", "p, after Holm", "n", "published", "seen"];

  function matches(row, query) {
    const text = (query.get("text") || "").toLowerCase();
    return (
      (!query.get("from") || row.source_of === query.get("from")) &&
      (!query.get("kind") || row.kind === query.get("kind")) &&
      (!query.get("verdict") || row.verdict === query.get("verdict")) &&
      (!query.get("experiment") || row.experiment === query.get("experiment")) &&
      (query.has("all") || row.best) &&
      (!text || `${row.id} ${row.says} ${row.source} ${row.tests}`.toLowerCase().includes(text))
    );
  }

  function whole(row) {
    if (!row.parts || !row.parts.length) return `${format.effect(row)} ${format.interval(row)}`.trim();
    const counts = {};
    for (const part of row.parts) counts[part.verdict] = (counts[part.verdict] || 0) + 1;
    return `${row.parts.length} parts: ${Object.entries(counts).map(([word, n]) => `${n} ${word}`).join(", ")}`;
  }

  function pValue(part) {
    if (!Number.isFinite(part.p)) return "";
    return Number.isFinite(part.holm) ? `${format.short(part.p)}, ${format.short(part.holm)}` : format.short(part.p);
  }

  function statement(label, part) {
    const published = part.published ? element("span", { title: part.published.provenance }, part.published.text) : "";
    const margin = Number.isFinite(part.margin) ? format.short(part.margin) : "";
    return [label, badges.verdict(part.verdict), format.effect(part), format.interval(part), margin, pValue(part), format.ofPlanned(part), published, part.note || ""];
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
      element("span", { class: "whole" }, whole(row)),
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
      all: controls.tick("all", "every setting, not only the best of each claim", draw),
    };
    parts.controls.replaceChildren(...Object.values(made).map((one) => one.node));
    return made;
  }

  function offer(made, data) {
    const every = [...data.rows, ...data.waiting];
    const from = controls.distinct(every, (row) => row.source_of).map((key) => [key, SOURCES[key] || key]);
    made.from.offer([["", "all"], ...from]);
    made.kind.offer([["", "all"], ...Object.entries(KINDS).map(([key, said]) => [key, `${key}, ${said.split(":")[0].split(",")[0]}`])]);
    made.verdict.offer([["", "all"], ...Object.keys(badges.VERDICTS).map((word) => [word, word])]);
    made.experiment.offer(controls.choicesOf(every, (row) => row.experiment));
  }

  function waitingList(rows) {
    const query = address.selection();
    const kept = rows.filter((row) => (!query.get("from") || row.source_of === query.get("from")) && (!query.get("experiment") || row.experiment === query.get("experiment")));
    if (!kept.length || query.get("verdict") || query.get("kind") || query.get("text")) return [];
    const lines = kept.map((row) => [row.id, row.experiment, element("code", {}, row.command)]);
    return [element("h2", {}, `${format.count(kept.length, "claim")} without a verdict`), table.plain(["claim", "experiment", "what to type"], lines, "claims without a verdict")];
  }

  function show(section, data) {
    const parts = bnlab.dom.parts(section);
    section.bnlabData = data;
    const draw = () => {
      const now = section.bnlabData;
      const query = address.selection();
      const kept = now.rows.filter((row) => matches(row, query));
      parts.count.textContent = `${format.count(kept.length, "verdict")} of ${now.rows.length}`;
      keep(parts.claims, kept.map((row) => [keyOf(row), row]), claim);
      parts.waiting.replaceChildren(...waitingList(now.waiting));
      keep(parts.problems, now.problems.map((one) => [one.where, one]), ({ where, says }) => element("p", { class: "problem" }, `${where}: ${says}`));
    };
    section.bnlabControls ||= makeControls(parts, draw);
    offer(section.bnlabControls, data);
    draw();
  }

  bnlab.sections = { ...bnlab.sections, claims: show };
})();
